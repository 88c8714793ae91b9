"""Labelled frames of videos as rows of numbers, and where they are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from supervised.adaptation.domains import Domain
from supervised.records import VideoFeatures
from supervised.training.data import Standard

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int8, Int64

__all__ = ["FrameTable", "labels_of", "read_frames"]

_USUAL_FPS = 24.0  # of BAH's videos, where a file does not tell


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable:
    """Labelled frames of some videos, and where they are from.

    Args:
        domain: The frames, in order of videos and time.
        video_ids: Of the domain's video numbers.
        participant_ids: Of the domain's subject numbers.
        frame: Number of each row in its video.
        is_valid: Whether any modality says something of the frame.
    """

    domain: Domain
    video_ids: tuple[str, ...]
    participant_ids: tuple[str, ...]
    frame: Int64[np.ndarray, " n"]
    is_valid: Bool[np.ndarray, " n"]


def read_frames(
    videos: Sequence[VideoFeatures],
    standard: Standard,
    fps: Mapping[str, float | None],
    *,
    is_valid_only: bool = False,
) -> FrameTable:
    """Return the labelled frames of videos as rows, modalities side by side, in the precision of the store.

    Args:
        videos: With features; mirrored twins are kept where every video has one.
        standard: How features are standardised.
        fps: Frames a second by video; 24 where unknown.
        is_valid_only: Leave frames out of which no modality says anything.
    """
    people = {one: number for number, one in enumerate(dict.fromkeys(video.participant_id for video in videos))}
    labels = [labels_of(video) for video in videos]
    valid = [np.any(list(video.is_valid.values()), axis=0) for video in videos]
    rows = [np.flatnonzero((y >= 0) & (ok | (not is_valid_only))) for y, ok in zip(labels, valid, strict=True)]
    of_video = np.repeat(np.arange(len(videos)), [len(one) for one in rows])
    frame = np.concatenate([np.zeros(0, np.int64), *rows])
    rates = np.array([fps.get(video.video_id) or _USUAL_FPS for video in videos])
    subject = np.array([people[video.participant_id] for video in videos], np.int64)
    has_flipped = bool(videos) and all(video.flipped for video in videos)
    domain = Domain(
        torch.from_numpy(_stacked(videos, rows, standard, flipped=False)),
        torch.from_numpy(_at(labels, rows).astype(np.int64)),
        torch.from_numpy(subject[of_video]),
        torch.from_numpy(of_video),
        torch.from_numpy(frame / rates[of_video]),
        torch.from_numpy(_stacked(videos, rows, standard, flipped=True)) if has_flipped else None,
    )
    ids = tuple(video.video_id for video in videos)
    return FrameTable(domain, ids, tuple(people), frame, _at(valid, rows).astype(bool))


def labels_of(video: VideoFeatures) -> Int8[np.ndarray, " frames"]:
    """Return the labels of a video's frames; all -1 where they are unknown."""
    return np.full(video.n_frames, -1, np.int8) if video.frame_labels is None else video.frame_labels


def _at(values: Sequence[np.ndarray], rows: Sequence[Int64[np.ndarray, " _"]]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int8), *(one[places] for one, places in zip(values, rows, strict=True))])


def _stacked(
    videos: Sequence[VideoFeatures], rows: Sequence[Int64[np.ndarray, " _"]], standard: Standard, *, flipped: bool
) -> Float[np.ndarray, "n dim"]:
    """Return the chosen rows of all videos; filled video by video, so that they are held once only."""
    if not videos:
        return np.zeros((0, 1), np.float32)
    kind = np.result_type(*(values.dtype for video in videos for values in video.features.values()))
    n_columns = sum(values.shape[1] for values in videos[0].features.values())
    stacked: np.ndarray = np.empty((sum(len(one) for one in rows), n_columns), kind)
    start = 0
    for video, of_video in zip(videos, rows, strict=True):
        stacked[start : start + len(of_video)] = _side_by_side(video, standard, of_video, flipped=flipped)
        start += len(of_video)
    return stacked


def _side_by_side(
    video: VideoFeatures, standard: Standard, rows: Int64[np.ndarray, " rows"], *, flipped: bool
) -> Float[np.ndarray, "rows dim"]:
    chosen = {**video.features, **video.flipped} if flipped else video.features
    columns = [standard.apply(name, values[rows], video.is_valid[name][rows]) for name, values in chosen.items()]
    return np.concatenate(columns, axis=1)
