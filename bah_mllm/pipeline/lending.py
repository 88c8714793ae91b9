"""Control runs: whose words, cues and pictures a prompt is given, and what is taken away."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bah_mllm.core.records import Clip, Video
from bah_mllm.cues.store import cue_paths
from bah_mllm.pipeline.setup import Setup, cues_folder

__all__ = ["Lending", "donors"]


@dataclass(frozen=True, slots=True)
class Lending:
    """What a control run shows in place of a video's own; without a control everything is the video's own.

    Args:
        control: A name of ``--control``, or None.
        of_words: Video id to the video that lends its transcript.
        of_cues: Video id to the video that lends its cues; only videos that somebody looked at.
    """

    control: str | None
    of_words: dict[str, Video]
    of_cues: dict[str, Video]

    @classmethod
    def of_run(cls, setup: Setup) -> Lending:
        """Deal out words and cues over the whole split, so that the first few of a run borrow as all would."""
        folder, seed = cues_folder(setup.config), setup.config.seed
        videos = setup.dataset.videos(setup.split)
        return cls(
            setup.config.control,
            donors([video for video in videos if video.transcript is not None], seed=seed),
            donors([video for video in videos if folder is not None and _has_cues(folder, video)], seed=seed),
        )

    @property
    def hides_words(self) -> bool:
        """Whether nobody's words are shown."""
        return self.control == "no-transcript"

    def words_from(self, video: Video) -> Video:
        """Return the video whose words are shown."""
        is_lent = self.control == "shuffled-transcript" and video.transcript is not None
        return self.of_words[video.video_id] if is_lent else video

    def cues_from(self, video: Video) -> Video | None:
        """Return the video whose cues are shown; None where cues are lent and nobody else has any."""
        if self.control != "shuffled-cues":
            return video
        lender = self.of_cues.get(video.video_id, video)
        return None if lender.video_id == video.video_id else lender

    def pictures(self, clip: Clip | None) -> Clip | None:
        """Return the pictures that are shown: those of the window, black ones, or none."""
        if clip is None or self.control == "no-video":
            return None
        return replace(clip, frames=clip.frames * 0) if self.control == "black-video" else clip


def _has_cues(folder: Path, video: Video) -> bool:
    return cue_paths(folder, video.video_id)[0].exists()


def donors(videos: Sequence[Video], *, seed: int) -> dict[str, Video]:
    """Return for each video another one that lends it its transcript or cues, somebody else's where possible.

    Every video lends once, so that what is shown of the split as a whole stays the same. A single one has only itself.

    Args:
        videos: Those of a whole split that have what is lent, so that the first few of a run borrow as all would.
        seed: Of the order of participants, and of the videos of each.
    """
    draw = random.Random(seed)  # noqa: S311 - not a secret
    people = sorted({video.participant_id for video in videos})
    draw.shuffle(people)
    rank = {person: index for index, person in enumerate(people)}
    # In random order within a person: sorted by id, everybody would borrow from whoever answers the same question.
    lenders = sorted(videos, key=lambda video: video.video_id)
    draw.shuffle(lenders)
    lenders.sort(key=lambda video: rank[video.participant_id])
    # A shift by the largest number of videos of one person leads out of everybody's own.
    counts = Counter(video.participant_id for video in lenders)
    shift = max(counts.values(), default=0) if len(people) > 1 else 1
    return {video.video_id: lenders[(index + shift) % len(lenders)] for index, video in enumerate(lenders)}
