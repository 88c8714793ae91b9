"""What the evaluator knows of a data set: the labels of its videos, and what its training part tells beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Level

if TYPE_CHECKING:
    from jaxtyping import Int8

__all__ = ["UNLABELLED", "Labels", "Share", "TrainPrior", "VideoLabels"]

UNLABELLED = -1


@dataclass(frozen=True, slots=True, eq=False)
class VideoLabels:
    """The labels of one video.

    Args:
        video_id: As in the prediction rows.
        participant_id: Who answers; the unit of the bootstrap.
        question: 1 to 7, or None where unknown.
        split: Name of its split, or None where there are none.
        label: 1 or 0 for the whole video; None where unknown.
        frames: One per frame: 1, 0, or -1 where unlabelled; None where no frame is labelled.
        fps: Average frames per second, for errors in seconds; None where unknown.
        clock: When each frame is shown, where frames are not evenly spaced; None where ``fps`` says it all.

    Raises:
        DataError: A label is something else.
    """

    video_id: str
    participant_id: str
    question: int | None = None
    split: str | None = None
    label: int | None = None
    frames: Int8[np.ndarray, " frames"] | None = None
    fps: float | None = None
    clock: FrameClock | None = None

    def __post_init__(self) -> None:
        if self.label not in (None, 0, 1):
            raise DataError(
                f"The label of video {self.video_id} is {self.label!r}.", remedy="Use 1 for A/H, 0 for none, or None."
            )
        if self.frames is not None and (self.frames.ndim != 1 or not np.isin(self.frames, (UNLABELLED, 0, 1)).all()):
            raise DataError(
                f"The frame labels of video {self.video_id} hold something other than 0, 1 and -1.",
                remedy="Give one label per frame: 1 for A/H, 0 for none, -1 where unlabelled.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of a data set, all splits together.

    Args:
        videos: In any order; no id twice.

    Raises:
        DataError: An id occurs twice.
    """

    videos: tuple[VideoLabels, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for video in self.videos:
            if video.video_id in seen:
                raise DataError(
                    f"The video {video.video_id} is labelled twice.", remedy="Keep one entry per video in the data set."
                )
            seen.add(video.video_id)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that occur, sorted."""
        return tuple(sorted({video.split for video in self.videos if video.split is not None}))

    def of_split(self, split: str | None) -> tuple[VideoLabels, ...]:
        """Return the videos of a split, sorted by id; all videos where it is None.

        Raises:
            DataError: There is no such split.
        """
        chosen = [video for video in self.videos if split is None or video.split == split]
        if not chosen:
            there = f"It has: {', '.join(self.splits)}." if self.splits else "It has no splits."
            raise DataError(
                f"The data set has no videos in the split {split!r}. {there}",
                remedy="Name one of its splits with --split, or leave --split out to take all videos.",
            )
        return tuple(sorted(chosen, key=lambda video: video.video_id))


class Share(NamedTuple):
    """How many of some items are positive."""

    n_positive: int
    n: int

    @property
    def value(self) -> float:
        """The share of positives, 0 to 1."""
        return self.n_positive / self.n


@dataclass(frozen=True, slots=True)
class TrainPrior:
    """How often A/H occurs in the training split, overall and per question: what a system has to beat.

    Args:
        overall: Share of positive videos (or frames).
        per_question: The same per question; questions that do not occur are missing.
        split: Where it was counted.
    """

    overall: Share
    per_question: Mapping[int, Share]
    split: str = "train"

    @classmethod
    def count(cls, labels: Labels, *, level: Level, split: str = "train") -> Self | None:
        """Count over the labelled videos (or frames) of a split; None where there are none."""
        n_positive: dict[int | None, int] = {}
        n: dict[int | None, int] = {}
        for video in labels.videos:
            if video.split != split:
                continue
            values = _known(video, level)
            n_positive[video.question] = n_positive.get(video.question, 0) + int(values.sum())
            n[video.question] = n.get(video.question, 0) + len(values)
        if not sum(n.values()):
            return None
        per_question = {q: Share(n_positive[q], n[q]) for q in sorted(q for q in n if q is not None) if n[q]}
        return cls(Share(sum(n_positive.values()), sum(n.values())), MappingProxyType(per_question), split)


def _known(video: VideoLabels, level: Level) -> Int8[np.ndarray, " items"]:
    if level is Level.VIDEO:
        return np.asarray([] if video.label is None else [video.label], dtype=np.int8)
    return np.asarray([] if video.frames is None else video.frames[video.frames != UNLABELLED], dtype=np.int8)
