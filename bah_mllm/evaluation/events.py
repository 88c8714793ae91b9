"""Are the annotated segments found as events, rather than frame by frame?

A predicted segment is a run of consecutive frames predicted positive, after small gaps are closed and short runs
dropped as an ``EventRule`` says; a true one is a run labelled positive. A gap in what was scored ends both. Within a
video, predicted and true segments are paired one to one, best overlap first, where their intersection over union (IoU)
reaches a minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import ConfigError
from bah_mllm.evaluation.counts import f1_from_counts

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["EventRule", "EventScores", "Events", "Runs", "event_scores", "find_events", "find_runs", "pair_runs"]


@dataclass(frozen=True, slots=True)
class EventRule:
    """How frame scores become segments, in this order.

    Args:
        threshold: A frame is positive where score > threshold; None takes the threshold of the other metrics.
        max_gap_frames: Runs with at most this many scored frames between them become one; 0 leaves them apart.
        min_frames: Shorter runs are dropped, after gaps are closed.
        assumed_fps: Frames per second of videos whose rate is unknown; None leaves them out of all that needs one.

    Raises:
        ConfigError: A number is impossible.
    """

    threshold: float | None = None
    max_gap_frames: int = 0
    min_frames: int = 1
    assumed_fps: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ConfigError(
                f"The threshold for segments is {self.threshold}.", remedy="Give a number from 0 to below 1."
            )
        if self.max_gap_frames < 0 or self.min_frames < 1:
            raise ConfigError(
                f"Gaps of up to {self.max_gap_frames} frames are to be closed, and runs of under {self.min_frames} "
                "dropped.",
                remedy="Give a gap of 0 or more frames, and a length of 1 or more.",
            )
        if self.assumed_fps is not None and not 0 < self.assumed_fps < float("inf"):
            raise ConfigError(
                f"The assumed frame rate is {self.assumed_fps}.", remedy="Give frames per second, such as 24."
            )


class Runs(NamedTuple):
    """Runs of positive frames of all videos, in order."""

    video: Int[np.ndarray, " runs"]
    start: Int[np.ndarray, " runs"]
    stop: Int[np.ndarray, " runs"]


class Events(NamedTuple):
    """Segments of all videos, and how they pair up; what ``event_scores`` counts.

    Args:
        true: Annotated segments.
        predicted: Predicted ones.
        loose: Pairs (true, predicted) at an IoU of at least 0.3.
        strict: Pairs at 0.5.
        minutes: Time judged in each video; NaN where its frame rate is unknown.
        fps: Frames per second of each video; NaN where unknown.
        clocks: Of the videos whose frames are not evenly spaced, by place in ``fps``.
    """

    true: Runs
    predicted: Runs
    loose: Int[np.ndarray, "pairs 2"]
    strict: Int[np.ndarray, "pairs 2"]
    minutes: Float[np.ndarray, " videos"]
    fps: Float[np.ndarray, " videos"]
    clocks: Mapping[int, FrameClock]


class EventScores(NamedTuple):
    """How well segments are found.

    Args:
        segment_f1_30: F1 of segments, paired at an IoU of at least 0.3; None where there are none, true or predicted.
        segment_f1_50: The same at 0.5.
        onset_error_s: Median distance between true and predicted start of the pairs at 0.3, in seconds; None without a
            pair in a video of known frame rate.
        offset_error_s: The same of their ends.
        false_alarms_per_minute: Predicted segments without a partner at 0.3, per minute judged, over the videos of
            known frame rate; None without such a video.
    """

    segment_f1_30: float | None
    segment_f1_50: float | None
    onset_error_s: float | None
    offset_error_s: float | None
    false_alarms_per_minute: float | None


def find_events(
    is_true: Bool[np.ndarray, " items"],
    is_predicted: Bool[np.ndarray, " items"],
    *,
    video: Int[np.ndarray, " items"],
    frame: Int[np.ndarray, " items"],
    fps: Float[np.ndarray, " videos"],
    clocks: Mapping[int, FrameClock] | None = None,
    rule: EventRule | None = None,
) -> Events:
    """Find and pair segments.

    Args:
        is_true: Labelled positive, per frame.
        is_predicted: Predicted positive, per frame.
        video: Whose frame it is, as a place in ``fps``; ascending.
        frame: Its number in the video; ascending within each video.
        fps: Average frames per second of each video; NaN where unknown.
        clocks: Of the videos whose frames are not evenly spaced, by place in ``fps``.
        rule: How frames become predicted segments; its threshold is not looked at. None takes runs as they are.
    """
    rule = rule or EventRule()
    if rule.assumed_fps is not None:
        fps = np.where(np.isnan(fps), rule.assumed_fps, fps)
    cleaned = is_predicted | _short_gaps(is_predicted, video, frame, max_gap_frames=rule.max_gap_frames)
    true, predicted = find_runs(is_true, video, frame), find_runs(cleaned, video, frame)
    is_long = predicted.stop - predicted.start >= rule.min_frames
    predicted = Runs(*(part[is_long] for part in predicted))
    return Events(
        true=true,
        predicted=predicted,
        loose=_pairs(true, predicted, iou=0.3),
        strict=_pairs(true, predicted, iou=0.5),
        minutes=np.bincount(video, minlength=len(fps)) / fps / 60,
        fps=fps,
        clocks=clocks or {},
    )


def event_scores(events: Events, times: Int[np.ndarray, " videos"] | None = None) -> EventScores:
    """Score segments.

    Args:
        events: What ``find_events`` found.
        times: How often each video counts (as in a draw of the bootstrap); once where None.
    """
    times = np.ones(len(events.fps), dtype=np.int64) if times is None else times
    n_true, n_predicted = int(times[events.true.video].sum()), int(times[events.predicted.video].sum())
    onset, offset = _errors_s(events, times)
    is_alarm = np.ones(len(events.predicted.video), dtype=bool)
    is_alarm[events.loose[:, 1]] = False
    is_timed = ~np.isnan(events.fps)
    n_alarms = int((times * is_timed)[events.predicted.video][is_alarm].sum())
    minutes = float((times * np.where(is_timed, events.minutes, 0)).sum())
    return EventScores(
        segment_f1_30=_f1(int(times[events.true.video[events.loose[:, 0]]].sum()), n_true, n_predicted),
        segment_f1_50=_f1(int(times[events.true.video[events.strict[:, 0]]].sum()), n_true, n_predicted),
        onset_error_s=onset,
        offset_error_s=offset,
        false_alarms_per_minute=n_alarms / minutes if minutes else None,
    )


def _pairs(true: Runs, predicted: Runs, *, iou: float) -> Int[np.ndarray, "pairs 2"]:
    return np.array(pair_runs(true, predicted, iou=iou), dtype=np.int64).reshape(-1, 2)


def _errors_s(events: Events, times: Int[np.ndarray, " videos"]) -> tuple[float | None, float | None]:
    """Return the median distances of starts and of ends."""
    t, p = events.loose.T
    video = events.true.video[t]
    repeat = np.where(np.isnan(events.fps[video]), 0, times[video])
    if not repeat.sum():
        return None, None
    onset, offset = (
        float(np.median(np.repeat(_apart_s(events, video, true[t], predicted[p]), repeat)))
        for true, predicted in (
            (events.true.start, events.predicted.start),
            (events.true.stop, events.predicted.stop),
        )
    )
    return onset, offset


def _apart_s(
    events: Events,
    video: Int[np.ndarray, " pairs"],
    first: Int[np.ndarray, " pairs"],
    second: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """Return the seconds between two frames of each pair."""
    apart_s: np.ndarray = np.abs(first - second) / events.fps[video]
    for pair, place in enumerate(video):
        if (clock := events.clocks.get(int(place))) is not None:
            apart_s[pair] = abs(clock.time_of(int(first[pair])) - clock.time_of(int(second[pair])))
    return apart_s


def _short_gaps(
    is_positive: Bool[np.ndarray, " items"],
    video: Int[np.ndarray, " items"],
    frame: Int[np.ndarray, " items"],
    *,
    max_gap_frames: int,
) -> Bool[np.ndarray, " items"]:
    """Return the negative frames between two runs that lie at most so many scored frames apart."""
    inside = np.zeros(len(is_positive), dtype=bool)
    if max_gap_frames:
        places = np.flatnonzero(is_positive)
        gap = np.diff(places)
        # All frames between them are scored where as many items as frames lie between.
        is_close = (gap > 1) & (gap <= max_gap_frames + 1)
        is_close &= (np.diff(video[places]) == 0) & (np.diff(frame[places]) == gap)
        for start, stop in zip(places[:-1][is_close], places[1:][is_close], strict=True):
            inside[start + 1 : stop] = True
    return inside


def find_runs(
    is_positive: Bool[np.ndarray, " items"], video: Int[np.ndarray, " items"], frame: Int[np.ndarray, " items"]
) -> Runs:
    """Return the runs of consecutive positive frames; arguments as for ``find_events``."""
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
