"""The labelled items of a split: the frames, or the videos, that are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.records import Level
from bah_mllm.evaluation.labels import UNLABELLED, VideoLabels
from bah_mllm.evaluation.per_draw import Sample
from bah_mllm.evaluation.rowtable import number_names

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int8

__all__ = ["Population", "frames_of", "is_labelled", "population_of", "sample_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The labelled items of a split.

    Args:
        level: Frames or videos.
        labels: 0 or 1, shape (items,).
        participants: Index into ``participant_ids``, shape (items,).
        participant_ids: Sorted.
        questions: 1 to 7, or 0 where unknown, shape (items,).
        videos: Whose item it is, as a place in ``fps``, ascending, shape (items,).
        frames: Its number in the video, shape (items,); 0 at video level.
        fps: Average frames per second of each labelled video; NaN where unknown.
        clocks: When each frame is shown, of the videos whose frames are not evenly spaced, by place in ``fps``.
        video_ids: Of each labelled video, sorted.
        n_unlabelled_videos: Videos of the split without any label at this level.
        n_unlabelled_frames: Frames without a label in videos that have some.
    """

    level: Level
    labels: Int8[np.ndarray, " items"]
    participants: Int[np.ndarray, " items"]
    participant_ids: tuple[str, ...]
    questions: Int[np.ndarray, " items"]
    videos: Int[np.ndarray, " items"]
    frames: Int[np.ndarray, " items"]
    fps: Float[np.ndarray, " videos"]
    clocks: Mapping[int, FrameClock]
    video_ids: tuple[str, ...]
    n_unlabelled_videos: int
    n_unlabelled_frames: int


def is_labelled(video: VideoLabels, level: Level) -> bool:
    """Return whether a video has a label at this level, or any frame with one."""
    if level is Level.VIDEO:
        return video.label is not None
    return video.frames is not None and bool((video.frames != UNLABELLED).any())


def population_of(videos: Sequence[VideoLabels], usable: Sequence[VideoLabels], level: Level) -> Population:
    """Return the labelled items.

    Args:
        videos: Of the split.
        usable: Those of them that have labels at this level, at least one.
        level: Frames or videos.
    """
    per_video = [
        np.array([video.label], dtype=np.int8) if level is Level.VIDEO else frames_of(video) for video in usable
    ]
    known = [values != UNLABELLED for values in per_video]
    n_items = [int(mask.sum()) for mask in known]
    people, codes = number_names([video.participant_id for video in usable])
    questions = np.array([video.question or 0 for video in usable], dtype=np.int64)
    return Population(
        level=level,
        labels=np.concatenate([values[mask] for values, mask in zip(per_video, known, strict=True)]),
        participants=np.repeat(codes, n_items),
        participant_ids=people,
        questions=np.repeat(questions, n_items),
        videos=np.repeat(np.arange(len(usable)), n_items),
        frames=np.concatenate([np.flatnonzero(mask) for mask in known]),
        fps=np.array([video.fps or np.nan for video in usable]),
        clocks={place: video.clock for place, video in enumerate(usable) if video.clock is not None},
        video_ids=tuple(video.video_id for video in usable),
        n_unlabelled_videos=len(videos) - len(usable),
        n_unlabelled_frames=sum(int((~mask).sum()) for mask in known),
    )


def frames_of(video: VideoLabels) -> Int8[np.ndarray, " frames"]:
    """Return the frame labels of a video; none where they are not known."""
    return np.zeros(0, dtype=np.int8) if video.frames is None else video.frames


def sample_of(population: Population, items: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"]) -> Sample:
    """Return some items with their scores; participants are those who have an item among them."""
    people, participants = np.unique(population.participants[items], return_inverse=True)
    return Sample(population.labels[items], scores, participants, len(people))
