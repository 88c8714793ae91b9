"""The one clock of a video: when each frame is shown, and which frame is shown when.

The first picture is 0 s; sound, words, cues and segments are on the same clock. Where the file's own times are even,
frame k is shown at k / fps; where they are not (phones, screen recordings), each frame has its own time.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.timeline import Window

__all__ = ["FrameClock", "plan_timed_windows"]

_EPSILON_S = 1e-6  # times are written with three to six decimals: 0.041667 is not before the frame at 1/24 s


@dataclass(frozen=True, slots=True)
class FrameClock:
    """When the frames of a video are shown.

    Args:
        fps: Average frames a second, above 0.
        times_s: Time of every frame in seconds from the first one, growing; None where frame k is shown at k / fps.

    Raises:
        ConfigError: ``fps`` is not a positive number.

    >>> even, uneven = FrameClock(24.0), FrameClock(2.0, (0.0, 0.1, 1.1))
    >>> even.time_of(12), even.frame_at(2.2), uneven.time_of(2), uneven.frame_at(1.0)
    (0.5, 52, 1.1, 1)
    """

    fps: float
    times_s: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fps < math.inf:
            raise ConfigError(f"A frame rate of {self.fps!r} cannot be.", remedy="Give frames a second, above 0.")

    def time_of(self, frame: int) -> float:
        """Return when a frame is shown, in seconds; beyond the last one at the average rate.

        A quotient rather than a running sum: 1/24 added 2,304 times is 96.00000000000217, past the end of a 96 s video.
        """
        if not self.times_s:
            return frame / self.fps
        beyond = frame - (len(self.times_s) - 1)
        return self.times_s[frame] if beyond <= 0 else self.times_s[-1] + beyond / self.fps

    def frame_at(self, t_s: float) -> int:
        """Return the frame that is shown at a time, at least 0; beyond the last one at the average rate."""
        if not self.times_s:
            return max(0, math.floor(t_s * self.fps + _EPSILON_S))
        if t_s > self.times_s[-1]:
            return len(self.times_s) - 1 + math.floor((t_s - self.times_s[-1]) * self.fps + _EPSILON_S)
        return max(0, bisect_right(self.times_s, t_s + _EPSILON_S) - 1)

    def first_from(self, t_s: float) -> int:
        """Return the first frame that is shown at a time or later: where a span that ends then stops."""
        if not self.times_s:
            return max(0, math.ceil(t_s * self.fps - _EPSILON_S))
        if t_s > self.times_s[-1]:
            return len(self.times_s) - 1 + max(1, math.ceil((t_s - self.times_s[-1]) * self.fps - _EPSILON_S))
        return bisect_left(self.times_s, t_s - _EPSILON_S)

    def span(self, start_s: float, stop_s: float) -> tuple[int, int]:
        """Return the frames shown during a span of time, [start, stop); at least one.

        >>> FrameClock(24.0).span(1.0, 2.0)
        (24, 48)
        """
        start = self.frame_at(start_s)
        return start, max(start + 1, self.first_from(stop_s))


def plan_timed_windows(n_frames: int, clock: FrameClock, *, window_s: float, hop_s: float) -> Iterator[Window]:
    """Yield the windows that cover a video whose frames are not evenly spaced, in order of their starts.

    A window holds the frames shown during its seconds; one that holds none, or none that an earlier window lacks, is
    not planned.

    Args:
        n_frames: Length of the video in frames, at least 1.
        clock: When each frame is shown.
        window_s: Length of a window in seconds, above 0.
        hop_s: Start to start in seconds, above 0.

    >>> list(plan_timed_windows(4, FrameClock(2.0, (0.0, 0.1, 0.2, 1.5)), window_s=1.0, hop_s=1.0))
    [Window(start=0, stop=3), Window(start=3, stop=4)]
    """
    n = covered = 0
    while covered < n_frames:
        start, stop = clock.first_from(n * hop_s), min(n_frames, clock.first_from(n * hop_s + window_s))
        if stop > max(start, covered):
            yield Window(start, stop)
            covered = stop
        elif start >= n_frames:
            return
        n += 1
