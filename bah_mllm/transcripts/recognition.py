"""Speech recognition with word times: openai-whisper and faster-whisper behind one interface.

Voice activity comes first: the recogniser hears nothing but stretches of speech. On silence, noise and music it would
make up text (and does: "1 oz. 1 oz. 2 oz." on an instrumental clip); here they give an empty transcript. Phrases that
it repeats where nobody speaks are left out, with a note.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import BahError, ConfigError, PrerequisiteError
from bah_mllm.core.loading import load_named
from bah_mllm.core.records import Chunk, Transcript, Word
from bah_mllm.core.stretches import TimeSpan
from bah_mllm.dataset.spoken import language_code, read_words, write_words
from bah_mllm.transcripts.loops import HeardWord, find_loops
from bah_mllm.transcripts.voice import SAMPLE_RATE_HZ, speech_spans

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "DEFAULT_MODEL",
    "FILLER_PROMPTS",
    "PURPOSE",
    "RECOGNISERS",
    "Piece",
    "Recogniser",
    "open_recogniser",
    "transcribe_cached",
]

RECOGNISERS: dict[str, str] = {
    "openai-whisper": "bah_mllm.transcripts.openai_whisper:OpenAIWhisper",
    "faster-whisper": "bah_mllm.transcripts.faster_whisper:FasterWhisper",
}

DEFAULT_MODEL = "large-v3"  # what BAH's own transcripts were made with (paper, section on data)

FILLER_PROMPTS: Mapping[str, str] = {
    "en": "Um, uh, hmm, er... I, I mean, you know, it's, uh, like, well...",
    "fr": "Euh, heu, hum, ben... je, je veux dire, tu sais, c'est, euh, genre, enfin...",
}
"""What a transcript that keeps its fillers looks like. Whisper leaves most of them out, and writes as it is shown."""

_LISTENING_S = 28.0  # stretches are joined up to this length: Whisper hears 30 s at a time
_JOIN_S = 2.0
_PAD_S = 0.2
_VERSION = 2  # of what is done with the words heard: 2 leaves loops out
_STRAY_S = 0.3  # a word this far from any speech was made up

PURPOSE = "speech recognition"


class Piece(NamedTuple):
    """Words of one segment as a recogniser gives them: text with its leading blank, start and end in seconds."""

    words: tuple[tuple[str, float, float], ...]


class Recogniser(ABC):
    """Turns a recording into a transcript with word times.

    Args:
        model: Name of a model, or path of one.
        device: ``auto`` takes a CUDA device where there is one.
        download: True fetches a named model that is not there; else it must be.
        keep_fillers: True shows the model a text with fillers first, so that it writes them down.
        languages: ISO 639-1 codes among which the language is chosen where it is not given, at least one; None lets
            the model choose among all that it knows.

    Raises:
        ConfigError: There is no language to choose from.
    """

    name: str
    """Key in ``RECOGNISERS``."""
    package: str
    """Distribution whose version is recorded."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        download: bool = False,
        keep_fillers: bool = True,
        languages: Sequence[str] | None = None,
    ) -> None:
        if languages is not None and not languages:
            raise ConfigError("No language to choose from.", remedy="Name at least one, for example `en`.")
        self.model_name = model
        self.device = device
        self.download = download
        self.keep_fillers = keep_fillers
        self.languages = None if languages is None else tuple(languages)

    @property
    def source(self) -> str:
        """What transcripts by it are marked with: recogniser, version, model, and whether fillers were asked for."""
        model = Path(self.model_name).name if Path(self.model_name).exists() else self.model_name
        return f"{self.name} {version(self.package)} {model}{' fillers' if self.keep_fillers else ''}"

    def transcribe(self, audio: Float[np.ndarray, " samples"], language: str | None = None) -> Transcript:
        """Return what is said in a recording.

        Args:
            audio: One channel at 16 kHz, values -1 to 1, shape (samples,).
            language: ISO 639-1 code, or a name as Whisper has it; None lets the model choose, from the first 30 s of
                speech. How well it tells them apart is the model's own skill: small ones mistake synthetic voices.

        Returns:
            Words in order, times in seconds from the start of the recording, and a chunk for each segment; without
            text and language where nobody speaks. Notes say where repeated phrases were left out.

        Raises:
            PrerequisiteError: The package or the model is not there.
            ConfigError: The model does not know the language.
        """
        samples = np.nan_to_num(np.asarray(audio, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        speech = speech_spans(samples, SAMPLE_RATE_HZ)
        if not speech:
            return Transcript("")
        if language is not None:
            language = self._checked(language)
        else:
            heard = np.concatenate([samples[_slice(span)] for span in speech])[: 30 * SAMPLE_RATE_HZ]
            language = self._language_of(heard)
        prompt = FILLER_PROMPTS.get(language) if self.keep_fillers else None
        clips = _clips(speech, len(samples) / SAMPLE_RATE_HZ)
        pieces, notes = _without_loops(list(self._pieces(samples, clips, language, prompt)), speech)
        return replace(_transcript(pieces, speech, language), notes=notes)

    @abstractmethod
    def load(self) -> None:
        """Load the model now, so that a missing one shows before any sound is listened to.

        Raises:
            PrerequisiteError: The package or the model is not there.
            ConfigError: There is no such model.
        """

    def _checked(self, language: str) -> str:
        code, known = language_code(language) or language, self._known_languages()
        if known is not None and code not in known:
            raise ConfigError(
                f"The model {self.model_name} does not know the language {language!r}.",
                remedy=f"Choose one of: {', '.join(known)}; or leave it out.",
            )
        return code

    def _known_languages(self) -> Sequence[str] | None:
        """Return the codes of the languages that the model knows; None where it does not say."""
        return None

    def _language_of(self, samples: Float[np.ndarray, " samples"]) -> str:
        if self.languages is not None and len(self.languages) == 1:
            return self.languages[0]
        p = self._language_probabilities(samples)
        if self.languages is None:
            return max(p, key=lambda code: p[code])
        known = [code for code in self.languages if code in p]
        if not known:
            raise ConfigError(
                f"The model {self.model_name} knows none of the languages {', '.join(self.languages)}.",
                remedy="Give a multilingual model, or name another language.",
            )
        return max(known, key=lambda code: p[code])

    @abstractmethod
    def _language_probabilities(self, samples: Float[np.ndarray, " samples"]) -> Mapping[str, float]:
        """Return ISO 639-1 code to probability."""

    @abstractmethod
    def _pieces(
        self, samples: Float[np.ndarray, " samples"], clips: Sequence[TimeSpan], language: str, prompt: str | None
    ) -> Iterable[Piece]:
        """Yield the segments heard inside the clips, in order."""

    def _not_loaded(self, problem: str) -> PrerequisiteError:
        fetch = "Check the network and start again" if self.download else "Allow the download (`--download`)"
        return PrerequisiteError(
            f"{self.name}: {problem}", remedy=f"{fetch}, or give the path of a model that is there (`--model PATH`)."
        )


def open_recogniser(name: str, model: str = DEFAULT_MODEL, **options: Any) -> Recogniser:  # noqa: ANN401 - passed on
    """Return a recogniser by name; its model is loaded by ``load``, or when it first hears speech.

    Args:
        name: Key of ``RECOGNISERS``.
        model: Name or path of its model.
        options: See ``Recogniser``.

    Raises:
        ConfigError: There is no such recogniser.
    """
    recogniser: Recogniser = load_named(RECOGNISERS, name, kind="recogniser")(model, **options)
    return recogniser


def transcribe_cached(
    recogniser: Recogniser,
    audio: Float[np.ndarray, " samples"],
    *,
    cache: Path,
    language: str | None = None,
) -> Transcript:
    """Return what is said in a recording, from the cache where the same sound was heard in the same way before.

    Args:
        recogniser: Hears it where the cache does not know it.
        audio: One channel at 16 kHz, shape (samples,).
        cache: Folder with one file of words a recording, named by the digest of sound, recogniser, model and options;
            a file that cannot be read is written anew.
        language: See ``Recogniser.transcribe``.
    """
    content = np.ascontiguousarray(audio, np.float32)
    among = "all" if recogniser.languages is None else ",".join(recogniser.languages)
    asked = f"{_VERSION}\0{recogniser.source}\0{recogniser.model_name}\0{language}\0{among}\0"
    digest = hashlib.sha256(asked.encode() + content.tobytes()).hexdigest()
    path = cache / f"{digest}.words.json"
    if path.is_file():
        try:
            return read_words(path)
        except BahError:
            path.unlink()
    recogniser.load()
    transcript = recogniser.transcribe(content, language)
    write_words(path, transcript, source=recogniser.source)
    return transcript


def _slice(span: TimeSpan) -> slice:
    return slice(round(span[0] * SAMPLE_RATE_HZ), round(span[1] * SAMPLE_RATE_HZ))


def _clips(speech: Sequence[TimeSpan], duration_s: float) -> list[TimeSpan]:
    """Return the stretches to listen to: speech with a little around it, joined over pauses."""
    clips: list[TimeSpan] = []
    for start_s, stop_s in speech:
        begin_s, end_s = max(0.0, start_s - _PAD_S), min(duration_s, stop_s + _PAD_S)
        if clips and begin_s - clips[-1][1] < _JOIN_S and end_s - clips[-1][0] <= _LISTENING_S:
            clips[-1] = (clips[-1][0], end_s)
        else:
            clips.append((max(begin_s, clips[-1][1] if clips else 0.0), end_s))
    return clips


def _without_loops(pieces: Sequence[Piece], speech: Sequence[TimeSpan]) -> tuple[list[Piece], tuple[str, ...]]:
    """Return the pieces without phrases repeated where nobody speaks, and a note on each of these loops."""
    loops = find_loops([HeardWord(*word) for piece in pieces for word in piece.words], speech)
    made_up = {place for loop in loops for place in loop.made_up}
    places = count()
    kept = [Piece(tuple(word for word in piece.words if next(places) not in made_up)) for piece in pieces]
    return kept, tuple(
        f"{loop.n_repetitions} repetitions of a phrase from {loop.span[0]:.1f} to {loop.span[1]:.1f} s are left out: "
        "nobody speaks there"
        for loop in loops
    )


def _transcript(pieces: Iterable[Piece], speech: Sequence[TimeSpan], language: str) -> Transcript:
    """Return the words that somebody spoke: those near speech, in order, pieces of a word put together."""
    chunks: list[Chunk] = []
    words: list[Word] = []
    for piece in pieces:
        own: list[Word] = []
        for text, start_s, stop_s in piece.words:
            heard = _spoken_part(start_s, stop_s, speech)
            if not text.strip() or heard is None:
                continue
            if own and not text[0].isspace():  # Whisper marks the start of a word by a blank: "twenty", "-five"
                own[-1] = Word(own[-1].text + text.strip(), own[-1].start_s, max(own[-1].stop_s, heard[1]))
            else:
                begin_s = max(heard[0], own[-1].start_s if own else words[-1].start_s if words else 0.0)
                own.append(Word(text.strip(), begin_s, max(begin_s, heard[1])))
        if own:
            chunks.append(Chunk(" ".join(word.text for word in own), own[0].start_s, own[-1].stop_s))
            words += own
    return Transcript(" ".join(chunk.text for chunk in chunks), language, tuple(chunks), tuple(words))


def _spoken_part(start_s: float, stop_s: float, speech: Sequence[TimeSpan]) -> TimeSpan | None:
    """Return the part of a word's time in which somebody speaks, or None where nobody is near.

    Whisper lets the first word begin with the stretch that it was given, and words reach into the pause after them.
    """
    if not (math.isfinite(start_s) and math.isfinite(stop_s)):
        return None
    parts = [(max(start_s, start), min(stop_s, stop)) for start, stop in speech if start < stop_s and stop > start_s]
    if parts:
        return parts[0][0], parts[-1][1]
    is_near = any(start_s < stop + _STRAY_S and stop_s > start - _STRAY_S for start, stop in speech)
    return (max(0.0, start_s), stop_s) if is_near else None
