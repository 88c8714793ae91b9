"""Stretches of a condition, found as a loop over the samples would find them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.stretches import overlap_s, stretches, stretches_between, true_stretches, within


def by_loop(flags):
    """First and one past the last of each run of true values, one sample after the other."""
    found, start = [], None
    for place, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = place
        if not flag and start is not None:
            found.append((start, place))
            start = None
    return found


@given(st.lists(st.booleans(), max_size=40))
def test_true_values_that_follow_each_other_are_one_stretch(flags):
    assert true_stretches(np.array(flags, dtype=bool)) == by_loop(flags)


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(0, 4), st.integers(0, 5))
def test_hysteresis_gaps_and_least_lengths_are_those_of_a_loop(levels, gap, least):
    on, stays = np.array([n == 2 for n in levels], dtype=bool), np.array([n >= 1 for n in levels], dtype=bool)
    wanted = []
    for start, stop in by_loop(stays):
        if not any(on[start:stop]):
            continue
        if wanted and start - wanted[-1][1] < gap:
            wanted[-1] = (wanted[-1][0], stop)
        else:
            wanted.append((start, stop))
    wanted = [(start, stop) for start, stop in wanted if stop - start >= least]
    borders_s = np.arange(len(levels) + 1) / 4  # quarters are exact
    found = stretches_between(borders_s[:-1], borders_s[1:], on, stays_on=stays, min_s=least / 4, gap_s=gap / 4)
    assert [(one.start, one.stop) for one in found] == wanted
    assert [one.span for one in found] == [(start / 4, stop / 4) for start, stop in wanted]


def test_a_sample_lasts_from_half_a_step_before_it_to_half_a_step_after():
    t_s = np.array([0.0, 0.5, 1.0, 1.5])
    (first, last) = stretches(t_s, np.array([True, False, False, True]))
    assert first.span == (0.0, 0.25), "nothing begins before the video"
    assert last.span == (1.25, 1.75)
    assert last.length_s == 0.5


@pytest.mark.parametrize("n", [0, 1])
def test_no_sample_and_a_single_one_have_stretches_too(n):
    assert len(stretches(np.arange(n) * 1.0, np.ones(n, dtype=bool))) == n


def test_times_are_within_a_span_from_its_start_to_before_its_end_and_a_margin_widens_it():
    t_s = np.arange(6) * 1.0
    assert within(t_s, [(1.0, 3.0)]).tolist() == [False, True, True, False, False, False]
    assert within(t_s, [(2.0, 3.0)], 1.0).tolist() == [False, True, True, True, False, False]
    assert not within(t_s, []).any()


def test_overlaps_are_added_up_and_spans_apart_have_none():
    assert overlap_s((1.0, 5.0), [(0.0, 2.0), (3.0, 4.0), (4.5, 9.0), (6.0, 7.0)]) == 2.5
    assert overlap_s((1.0, 5.0), []) == 0
