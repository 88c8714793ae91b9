"""Which frame is shown when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.clock import FrameClock, plan_timed_windows
from bah_mllm.core.errors import ConfigError
from bah_mllm.core.timeline import Window

PHONE = FrameClock(100 / 4, tuple(np.r_[np.arange(20) / 10, 2 + np.arange(80) / 40].tolist()))
"""Ten frames a second for 2 s, then 40: the average of 25 names the wrong frame nearly everywhere."""


def test_a_span_of_seconds_takes_the_frames_whose_own_times_lie_in_it() -> None:
    assert PHONE.span(2.0, 3.0) == (20, 60)
    assert PHONE.span(0.0, 2.0) == (0, 20)
    assert PHONE.span(0.25, 0.26) == (2, 3)  # the frame shown then, though it began before


@given(t_s=st.floats(0, 6, allow_nan=False))
def test_the_frame_at_a_time_is_the_last_that_began(t_s: float) -> None:
    expected = max(k for k in range(300) if PHONE.time_of(k) <= t_s + 1e-6)
    assert PHONE.frame_at(t_s) == expected


@given(t_s=st.floats(0, 6, allow_nan=False))
def test_a_span_stops_at_the_first_frame_that_begins_no_earlier(t_s: float) -> None:
    assert PHONE.first_from(t_s) == min(k for k in range(300) if PHONE.time_of(k) >= t_s - 1e-6)


@given(frame=st.integers(0, 100_000), fps=st.sampled_from([24.0, 30.0, 29.97, 25.0, 23.976, 15.0]))
def test_frames_and_their_times_name_each_other(frame: int, fps: float) -> None:
    for clock in (FrameClock(fps), PHONE):
        assert clock.frame_at(clock.time_of(frame)) == frame
        assert clock.first_from(clock.time_of(frame)) == frame


def test_beyond_the_last_frame_time_goes_on_at_the_average_rate() -> None:
    assert PHONE.time_of(100) == pytest.approx(3.975 + 1 / 25)
    assert PHONE.time_of(125) == pytest.approx(3.975 + 26 / 25)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_is_refused(fps: float) -> None:
    with pytest.raises(ConfigError, match="frame rate"):
        FrameClock(fps)


def test_windows_in_seconds_hold_the_frames_of_their_seconds() -> None:
    windows = list(plan_timed_windows(100, PHONE, window_s=1.0, hop_s=1.0))
    assert windows == [Window(0, 10), Window(10, 20), Window(20, 60), Window(60, 100)]
    halves = list(plan_timed_windows(100, PHONE, window_s=1.0, hop_s=0.5))
    assert halves[:3] == [Window(0, 10), Window(5, 15), Window(10, 20)]
    assert {frame for window in halves for frame in range(window.start, window.stop)} == set(range(100))


def test_seconds_in_which_nothing_is_shown_have_no_window() -> None:
    still = FrameClock(1.0, (0.0, 0.5, 9.0, 9.5))
    assert list(plan_timed_windows(4, still, window_s=1.0, hop_s=1.0)) == [Window(0, 2), Window(2, 4)]
