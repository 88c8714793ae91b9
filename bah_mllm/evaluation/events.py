"""Are the annotated segments found as events, rather than frame by frame?

A predicted segment is a run of consecutive frames predicted positive; a true one is a run labelled positive. A gap in
what was scored ends both. Within a video, predicted and true segments are paired one to one, best overlap first, where
their intersection over union (IoU) reaches a minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.evaluation.counts import f1_from_counts

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["EventScores", "Runs", "event_scores", "find_runs", "pair_runs"]


class Runs(NamedTuple):
    """Runs of positive frames of all videos, in order."""

    video: Int[np.ndarray, " runs"]
    start: Int[np.ndarray, " runs"]
    stop: Int[np.ndarray, " runs"]


class EventScores(NamedTuple):
    """How well segments are found.

    Args:
        segment_f1_30: F1 of segments, paired at an IoU of at least 0.3; None where there are none, true or predicted.
        segment_f1_50: The same at 0.5.
        onset_error_s: Median distance between true and predicted start of the pairs at 0.3, in seconds; None without a
            pair in a video of known frame rate.
    """

    segment_f1_30: float | None
    segment_f1_50: float | None
    onset_error_s: float | None


def event_scores(
    is_true: Bool[np.ndarray, " items"],
    is_predicted: Bool[np.ndarray, " items"],
    *,
    video: Int[np.ndarray, " items"],
    frame: Int[np.ndarray, " items"],
    fps: Float[np.ndarray, " videos"],
) -> EventScores:
    """Score segments.

    Args:
        is_true: Labelled positive, per frame.
        is_predicted: Predicted positive, per frame.
        video: Whose frame it is, as a place in ``fps``; ascending.
        frame: Its number in the video; ascending within each video.
        fps: Frames per second of each video; NaN where unknown.
    """
    true, predicted = find_runs(is_true, video, frame), find_runs(is_predicted, video, frame)
    loose, strict = pair_runs(true, predicted, iou=0.3), pair_runs(true, predicted, iou=0.5)
    distance_s = np.array([abs(true.start[t] - predicted.start[p]) / fps[true.video[t]] for t, p in loose])
    distance_s = distance_s[~np.isnan(distance_s)]
    return EventScores(
        segment_f1_30=_f1(len(loose), len(true.start), len(predicted.start)),
        segment_f1_50=_f1(len(strict), len(true.start), len(predicted.start)),
        onset_error_s=float(np.median(distance_s)) if len(distance_s) else None,
    )


def find_runs(
    is_positive: Bool[np.ndarray, " items"], video: Int[np.ndarray, " items"], frame: Int[np.ndarray, " items"]
) -> Runs:
    """Return the runs of consecutive positive frames; arguments as for ``event_scores``."""
    continues = np.zeros(len(is_positive) + 1, dtype=bool)  # from the item before, without a gap
    continues[1:-1] = (np.diff(video) == 0) & (np.diff(frame) == 1)
    before = np.append(False, is_positive) & continues
    after = np.append(is_positive, False) & continues
    first = np.flatnonzero(is_positive & ~before[:-1])
    last = np.flatnonzero(is_positive & ~after[1:])
    return Runs(video[first], frame[first], frame[last] + 1)


def pair_runs(true: Runs, predicted: Runs, *, iou: float) -> list[tuple[int, int]]:
    """Return pairs (true, predicted) with at least this IoU, each run in one pair at most, best overlap first."""
    pairs = []
    for video in np.intersect1d(true.video, predicted.video):
        ours, theirs = np.flatnonzero(true.video == video), np.flatnonzero(predicted.video == video)
        start = np.maximum(true.start[ours][:, None], predicted.start[theirs])
        stop = np.minimum(true.stop[ours][:, None], predicted.stop[theirs])
        common = np.maximum(stop - start, 0)
        lengths = (true.stop - true.start)[ours][:, None] + (predicted.stop - predicted.start)[theirs]
        overlap = common / (lengths - common)
        taken_true, taken_predicted = set[int](), set[int]()
        for flat in np.argsort(-overlap, axis=None, kind="stable"):
            t, p = divmod(int(flat), len(theirs))
            if overlap[t, p] < iou:
                break
            if t not in taken_true and p not in taken_predicted:
                taken_true.add(t)
                taken_predicted.add(p)
                pairs.append((int(ours[t]), int(theirs[p])))
    return pairs


def _f1(n_paired: int, n_true: int, n_predicted: int) -> float | None:
    if n_true + n_predicted == 0:
        return None
    return float(
        f1_from_counts(np.asarray(n_paired), np.asarray(n_predicted - n_paired), np.asarray(n_true - n_paired))
    )
