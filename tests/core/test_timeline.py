"""Windows and lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.timeline import Length, Window, plan_windows


@given(n=st.integers(1, 500), window=st.integers(1, 120), hop=st.integers(1, 120))
def test_windows_cover_every_frame_that_the_hop_leaves_reachable(n: int, window: int, hop: int) -> None:
    windows = list(plan_windows(n, window_frames=window, hop_frames=hop))
    covered = {frame for w in windows for frame in range(w.start, w.stop)}
    assert covered == {start + i for start in range(0, n, hop) for i in range(window) if start + i < n}
    assert all(w.start % hop == 0 and len(w) <= window and w.stop <= n for w in windows)
    assert len(set(windows)) == len(windows)
    if hop <= window:
        assert covered == set(range(n))
        assert sum(w.stop == n for w in windows) == 1, "no window repeats only frames that others have"


def test_the_last_window_is_short_rather_than_shifted() -> None:
    assert list(plan_windows(250, window_frames=120)) == [Window(0, 120), Window(120, 240), Window(240, 250)]


def test_a_hop_above_the_window_leaves_gaps() -> None:
    assert list(plan_windows(20, window_frames=4, hop_frames=8)) == [Window(0, 4), Window(8, 12), Window(16, 20)]


@pytest.mark.parametrize(
    ("text", "fps", "frames"),
    [("120", 30.0, 120), ("5s", 24.0, 120), (" 0.5s ", 24.0, 12), ("8f", 1.0, 8), ("0.001s", 24.0, 1)],
)
def test_lengths_are_frames_or_seconds(text: str, fps: float, frames: int) -> None:
    assert Length.parse(text).in_frames(fps=fps) == frames


@pytest.mark.parametrize("text", ["", "0", "0s", "-8", "1.5", "5 m", "s", "1e3", "five", "nan", "٣"])
def test_other_lengths_are_refused_with_the_value(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Length.parse(text)
    assert repr(text) in caught.value.problem
    assert "5s" in caught.value.remedy


@pytest.mark.parametrize(("start", "stop"), [(-1, 4), (4, 4), (5, 4)])
def test_an_empty_or_negative_window_is_refused(start: int, stop: int) -> None:
    with pytest.raises(ConfigError, match=r"start < stop"):
        Window(start, stop)
