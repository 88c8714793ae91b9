"""The records that travel between the parts: videos, transcripts, clips, prompts, jobs and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.timeline import Segment, Window

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, UInt8

__all__ = [
    "MAX_SEED",
    "Answer",
    "Chunk",
    "Clip",
    "Level",
    "Participant",
    "RenderedPrompt",
    "Status",
    "Transcript",
    "Unanswered",
    "Variant",
    "Video",
    "WindowJob",
    "Word",
]

MAX_SEED = 2**31 - 1  # scikit-learn takes 32 bits, and repeats of a training count up from its seed


class Level(StrEnum):
    """What one prediction is about: a frame, or a whole video."""

    FRAME = "frame"
    VIDEO = "video"


class Unanswered(StrEnum):
    """How labelled items without an answer (missing, unparsed, failed) are judged.

    Left out; as negative, p = 0; or as wrong, p = 1 - label.
    """

    LEAVE_OUT = "leave-out"
    NEGATIVE = "negative"
    WRONG = "wrong"


class Variant(StrEnum):
    """How the prompt was asked: as it is, with the label order swapped, or with its content emptied."""

    MAIN = "main"
    SWAPPED = "swapped"
    CONTENT_FREE = "content_free"


class Status(StrEnum):
    """What became of one prediction. Only ``ok`` rows carry a score or a label."""

    OK = "ok"
    UNPARSED = "unparsed"  # the model replied, but with neither label
    NO_MEDIA = "no_media"  # the prompt needs the video, which is missing or cannot be decoded
    NO_TRANSCRIPT = "no_transcript"  # the prompt needs words, and there are none
    NO_QUESTION = "no_question"  # the prompt names the question, and it is unknown which one was asked
    NO_CUES = "no_cues"  # the prompt names observed cues, and nobody looked at the video
    NO_FEATURES = "no_features"  # a trained model needs features of the video, and there are none
    TOO_LONG = "too_long"  # the prompt does not fit into the model's context
    ENGINE_ERROR = "engine_error"

    @property
    def is_failure(self) -> bool:
        """True for what a user should look at; an unparsed reply is a result, not a failure."""
        return self not in (Status.OK, Status.UNPARSED)


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word and its time in the video, in seconds."""

    text: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of transcript, about a sentence; times in seconds from the start of the video, or None."""

    text: str
    start_s: float | None
    stop_s: float | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a video.

    Args:
        text: All of it, stripped.
        language: ISO 639-1 code (``en``, ``fr``, ``de``; ``haw`` and ``yue`` have none), or None where unknown.
        chunks: Timed stretches, in order; empty where only the text is known.
        words: Timed words, in order; empty where no word times are known.
        notes: What a reader must know of how they were heard; never their words.
    """

    text: str
    language: str | None = None
    chunks: tuple[Chunk, ...] = ()
    words: tuple[Word, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Participant:
    """A person who answered questions, with what they agreed to.

    Args:
        may_publish: False keeps the person out of figures, example texts, HTML and exports meant for others.
        may_challenge: False keeps the person out of submission files.
        metadata: Sex, age_range, ethnicity, province, is_student ... as written; missing keys are unknown.
    """

    participant_id: str
    may_publish: bool = False
    may_challenge: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Video:
    """One answer of one participant to one question.

    Args:
        video_id: The path in the split file, with forward slashes (``Videos/<participant>/...mp4``).
        participant_id: Who answers.
        question: 1 to 7, or None where unknown.
        split: ``train``, ``val``, ``test`` or another name; None where there are no splits.
        label: 1 where ambivalence or hesitancy occurs anywhere in the video, else 0; None where unknown.
        path: The media file, or None where it is not there.
        transcript: What was said, or None where unknown.
        segments: Annotated segments; None where unknown, empty where there are none.
    """

    video_id: str
    participant_id: str
    question: int | None = None
    split: str | None = None
    label: int | None = None
    path: Path | None = None
    transcript: Transcript | None = None
    segments: tuple[Segment, ...] | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames sampled from a window.

    Args:
        frames: RGB, values 0 to 255, shape (frames, height, width, 3); already resized and cropped for the model.
        indices: Frame numbers in the video, shape (frames,); a repeated number is a repeated frame.
        t_s: Times of the frames in seconds, shape (frames,).
        is_short: True where the window held fewer frames than the model takes, so that the last one was repeated.
    """

    frames: UInt8[np.ndarray, "frames height width 3"]
    indices: tuple[int, ...]
    t_s: Float[np.ndarray, " frames"]
    is_short: bool

    def __repr__(self) -> str:
        return f"Clip(frames={self.frames.shape}, indices={self.indices}, is_short={self.is_short})"


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt with its values filled in, without the engine's wrapper.

    Args:
        name: Name of the template, as given to ``--prompt``.
        text: What the model is asked, trailing white space removed.
        labels: Label text to 0 or 1, in the order of the template; at least two, both values present.
        n_neutralised: How many control markers in untrusted text were made harmless.
        variant: As it is, with label order swapped, or content free.
    """

    name: str
    text: str
    labels: Mapping[str, int]
    n_neutralised: int = 0
    variant: Variant = Variant.MAIN


@dataclass(frozen=True, slots=True)
class WindowJob:
    """One window with all its prompts: the unit of work of an engine.

    Args:
        video_id: Whose window it is; with the frame indices of the clip, the key for reusing encoded frames.
        window: The span of frames, or None where there is no video.
        clip: Its sampled frames, or None for engines that see no video.
        prompts: At least one.
    """

    video_id: str
    window: Window | None
    clip: Clip | None
    prompts: tuple[RenderedPrompt, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said to one prompt of one window.

    Exactly one of the three is given.

    Args:
        logp: Natural-log probability of each label text as the exact continuation of the prompt.
        reply: Generated text.
        failure: Status and reason where the engine could not answer.
    """

    logp: Mapping[str, float] | None = None
    reply: str | None = None
    failure: tuple[Status, str] | None = None
