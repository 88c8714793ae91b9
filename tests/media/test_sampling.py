"""Which frames of a window a model sees."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.timeline import Window
from bah_mllm.media import SAMPLERS, sample_indices


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ("linspace", (0, 17, 34, 51, 68, 85, 102, 119)),
        ("hf", (0, 15, 30, 45, 60, 75, 90, 105)),
        ("center", (13, 26, 40, 53, 66, 80, 93, 106)),
    ],
)
def test_eight_of_120_frames_are_those_of_the_tool_it_is_named_after(sampler: str, expected: tuple[int, ...]) -> None:
    assert sample_indices(Window(0, 120), 8, sampler).indices == expected
    assert sample_indices(Window(240, 360), 8, sampler).indices == tuple(240 + index for index in expected)


windows = st.builds(lambda start, length: Window(start, start + length), st.integers(0, 20_000), st.integers(1, 3_000))


@given(window=windows)
def test_linspace_is_the_authors_numpy_call_on_the_window(window: Window) -> None:
    if len(window) >= 8:
        expected = np.linspace(window.start, window.stop - 1, 8).astype(int)
        assert sample_indices(window, 8, "linspace").indices == tuple(expected)


@given(window=windows, n_frames=st.integers(1, 32))
def test_linspace_spreads_frames_evenly_from_first_to_last(window: Window, n_frames: int) -> None:
    if len(window) >= n_frames > 1:
        indices = sample_indices(window, n_frames, "linspace").indices
        assert (indices[0], indices[-1]) == (window.start, window.stop - 1)
        for k, index in enumerate(indices):
            exact = window.start + Fraction(k * (len(window) - 1), n_frames - 1)
            assert -1 <= index - exact <= 0


@given(window=windows, n_frames=st.integers(1, 32))
def test_hf_takes_the_start_of_each_of_n_equal_parts(window: Window, n_frames: int) -> None:
    if len(window) >= n_frames:
        expected = tuple(window.start + math.floor(Fraction(k * len(window), n_frames)) for k in range(n_frames))
        assert sample_indices(window, n_frames, "hf").indices == expected


@pytest.mark.parametrize("n_frames", [4, 8, 16])
@pytest.mark.parametrize("length", [16, 24, 100, 120, 642, 2_881])
def test_hf_is_what_transformers_samples(length: int, n_frames: int) -> None:
    video_utils = pytest.importorskip("transformers.video_utils")
    metadata = video_utils.VideoMetadata(total_num_frames=length, fps=24.0)
    expected = video_utils.default_sample_indices_fn(metadata, num_frames=n_frames)
    assert sample_indices(Window(0, length), n_frames, "hf").indices == tuple(expected)


@given(window=windows)
def test_center_takes_the_inner_borders_of_n_plus_1_equal_parts(window: Window) -> None:
    if len(window) > 8:
        step = len(window) / 9  # VLMEvalKit: step_size = len(vid) / (num_frames + 1); int(i * step_size)
        expected = tuple(window.start + int(i * step) for i in range(1, 9))
        assert sample_indices(window, 8, "center").indices == expected


@given(window=windows, n_frames=st.integers(1, 32), sampler=st.sampled_from(sorted(SAMPLERS)))
def test_samples_ascend_within_the_window_and_repeat_only_where_it_is_short(
    window: Window, n_frames: int, sampler: str
) -> None:
    sample = sample_indices(window, n_frames, sampler)
    assert len(sample.indices) == n_frames
    assert list(sample.indices) == sorted(sample.indices)
    assert window.start <= sample.indices[0]
    assert sample.indices[-1] < window.stop
    assert sample.is_short == (len(window) < n_frames)
    assert len(set(sample.indices)) == min(n_frames, len(window))


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_window_of_as_many_frames_as_the_model_takes_gives_every_frame(sampler: str) -> None:
    assert sample_indices(Window(16, 24), 8, sampler) == (tuple(range(16, 24)), False)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_short_window_repeats_its_last_frame(sampler: str) -> None:
    assert sample_indices(Window(40, 43), 8, sampler) == ((40, 41, 42, 42, 42, 42, 42, 42), True)
    assert sample_indices(Window(5, 6), 3, sampler) == ((5, 5, 5), True)


def test_an_unknown_sampler_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match="'uniform'") as caught:
        sample_indices(Window(0, 9), 8, "uniform")
    assert caught.value.remedy == "Choose one of: center, hf, linspace."


def test_a_clip_of_no_frames_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 0"):
        sample_indices(Window(0, 9), 0, "hf")
