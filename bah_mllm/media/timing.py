"""From the times that a file gives its packets and frames to times that grow from 0 s, whatever state they are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from bah_mllm.core.clock import FrameClock

__all__ = ["GrowingTimes", "clock_of", "growing_times", "joined_ticks"]

_USUAL_STEP_S = 1 / 24  # between frames without times, in a file that states no rate
_RESTART_S = 0.5  # frames are stored out of order by less than this; a larger step back is another recording
_MAX_STEP_S = 3600.0  # a gap of more than an hour between two frames is a broken time
_EVEN_WITHIN_S = 1e-3  # Matroska rounds times to milliseconds


@dataclass(slots=True)
class GrowingTimes:
    """Times of decoded frames, in the order of showing: the first is 0 s and they grow.

    Which of a frame's two times is believed goes by how often each has failed to grow so far, as in FFmpeg's
    ``best_effort_timestamp``. A frame without a time, or with one not after the last, is one step later. Where two
    frames in a row go back by more than half a second, or ahead by more than an hour, the times have begun anew
    (joined recordings) and go on after the last frame.

    Args:
        time_base: Seconds a tick.
        stated_step_s: Between frames without times, where the header states a rate.
        step_s: Between the last two frames.
        last_s: Time of the last frame.
    """

    time_base: Fraction
    stated_step_s: float | None = None
    step_s: float = _USUAL_STEP_S
    last_s: float = 0.0
    _origin_ticks: int | None = None
    _shift_s: float = 0.0
    _new_shift_s: float = 0.0
    _n: int = 0
    _last_pts: int | None = None
    _last_dts: int | None = None
    _n_faulty_pts: int = 0
    _n_faulty_dts: int = 0

    def time_of(self, pts: int | None, dts: int | None) -> float:
        """Return the time of the next frame in seconds, from its times of showing and of decoding in ticks."""
        ticks = self._best_ticks(pts, dts)
        self._n += 1
        if self._n == 1:
            self._origin_ticks = ticks
            return 0.0
        if self._origin_ticks is None and ticks is not None:  # the first frames had no times
            self._origin_ticks, self._shift_s = ticks, self._next_s()
        t_s = self._next_s()
        if ticks is not None and self._origin_ticks is not None:
            own_s = float((ticks - self._origin_ticks) * self.time_base) + self._shift_s
            if not _follows(own_s, self.last_s) and _follows(own_s + self._new_shift_s, self.last_s, within_s=1.0):
                self._shift_s += self._new_shift_s  # two frames in a row agree on a new beginning
                own_s += self._new_shift_s
            is_lost = not _follows(own_s, self.last_s) and abs(own_s - self.last_s) > _RESTART_S
            self._new_shift_s = t_s - own_s if is_lost else 0.0
            if _follows(own_s, self.last_s):
                t_s = own_s
                self.step_s = min(own_s - self.last_s, 1.0)
        self.last_s = t_s
        return t_s

    def _next_s(self) -> float:
        return self.last_s + (self.step_s if self.stated_step_s is None else self.stated_step_s)

    def _best_ticks(self, pts: int | None, dts: int | None) -> int | None:
        known_dts, known_pts = (dts if dts is not None else pts), (pts if pts is not None else dts)
        if dts is not None and self._last_dts is not None:
            self._n_faulty_dts += dts <= self._last_dts
        if pts is not None and self._last_pts is not None:
            self._n_faulty_pts += pts <= self._last_pts
        self._last_dts = known_dts if known_dts is not None else self._last_dts
        self._last_pts = known_pts if known_pts is not None else self._last_pts
        if pts is not None and (dts is None or self._n_faulty_pts <= self._n_faulty_dts):
            return pts
        return dts


def growing_times(stream: Any) -> GrowingTimes:  # noqa: ANN401 - of PyAV
    """Return times for the frames of a stream; those without go by the header's rate."""
    rate = stream.average_rate or stream.guessed_rate
    stated_step_s = 1 / float(rate) if rate else None
    return GrowingTimes(stream.time_base, stated_step_s, stated_step_s or _USUAL_STEP_S)


def _follows(t_s: float, last_s: float, *, within_s: float = _MAX_STEP_S) -> bool:
    return 1e-6 < t_s - last_s < within_s


def joined_ticks(stored: Sequence[tuple[int | None, int | None]], time_base: Fraction) -> list[int]:
    """Return the times of packets in the order of showing, growing also where recordings were joined.

    Args:
        stored: Times of decoding and of showing of each packet, in the order of storing, in ticks; None where unknown.
        time_base: Seconds a tick.

    Returns:
        One time a packet that has any, in ticks.

    >>> joined_ticks([(0, 0), (1, 2), (2, 1), (3, 3), (0, 0), (1, 2), (2, 1)], Fraction(1))
    [0, 1, 2, 3, 4, 5, 6]
    """
    parts: list[list[int]] = [[]]
    last: int | None = None
    for dts, pts in stored:
        shown_at, stored_at = (pts if pts is not None else dts), (dts if dts is not None else pts)
        if shown_at is None or stored_at is None:
            continue
        step_s = 0.0 if last is None else float((stored_at - last) * time_base)
        if step_s < -_RESTART_S or step_s >= _MAX_STEP_S:
            parts.append([])
        last = stored_at
        parts[-1].append(shown_at)
    shown: list[int] = []
    for part in map(sorted, filter(None, parts)):
        shift = shown[-1] + (shown[-1] - shown[-2] if len(shown) > 1 else 1) - part[0] if shown else 0
        shown += [tick + shift for tick in part]
    return shown


def clock_of(ticks: Sequence[int], time_base: Fraction, fps: float | None, *, n_frames: int) -> FrameClock | None:
    """Return the clock of a video: even where its times are, else frame by frame.

    Args:
        ticks: Times in the order of showing, in ticks.
        time_base: Seconds a tick.
        fps: Average frames a second; None where it cannot be known.
        n_frames: Frames of the video; times of another count, or that do not grow, do not say which frame is whose.

    Returns:
        None where nothing tells when a frame is shown.
    """
    if fps is None:
        return None
    times_s = tuple(float((tick - ticks[0]) * time_base) for tick in ticks)
    tolerance_s = float(time_base) + _EVEN_WITHIN_S
    is_even = all(abs(t_s - k / fps) <= tolerance_s for k, t_s in enumerate(times_s))
    grows = all(earlier < later for earlier, later in pairwise(times_s))
    if is_even or not grows or len(times_s) != n_frames:
        return FrameClock(fps)
    return FrameClock(fps, times_s)
