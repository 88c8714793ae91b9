"""Corrections of stored rows: what they do to a probability, and what becomes of rows that lack what they need."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Level, Status, Variant
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows, metrics, reliability_rows, transform_rows
from bah_mllm.evaluation.calibration import reliability_bins
from bah_mllm.predictions import PredictionRow, rows_to_frame


def row(video: str, p: float | None, variant: Variant = Variant.MAIN, **other: object) -> PredictionRow:
    fields = {"system": "s", "participant_id": "a", "level": Level.VIDEO, **other}
    return PredictionRow(video_id=video, variant=variant, p_positive=p, **fields)


def corrected(rows, name, **other) -> dict[str, float]:
    found = transform_rows(rows, name, **other).rows
    return dict(zip(found["video_id"], found["p_positive"], strict=True))


def test_content_free_divides_by_what_the_prompt_says_without_content():
    rows = [row("v1", 0.8), row("v1", 0.6, Variant.CONTENT_FREE)]
    # (.8 / .6) : (.2 / .4) = 8 : 3
    assert corrected(rows, "content_free")["v1"] == pytest.approx(8 / 11)


def test_content_free_is_the_softmax_of_differences_of_log_probabilities():
    logp = {"yes": -0.3, "no": -2.0}
    free = {"yes": -0.7, "no": -1.1}

    def p(of):
        return np.exp(of["yes"]) / (np.exp(of["yes"]) + np.exp(of["no"]))

    expected = p({label: logp[label] - free[label] for label in logp})
    rows = [row("v1", p(logp)), row("v1", p(free), Variant.CONTENT_FREE)]
    assert corrected(rows, "content_free")["v1"] == pytest.approx(expected)


def test_a_prompt_that_says_the_same_without_content_says_nothing():
    rows = [row("v1", 0.97), row("v1", 0.97, Variant.CONTENT_FREE)]
    assert corrected(rows, "content_free")["v1"] == pytest.approx(0.5)


def test_both_orders_are_averaged():
    rows = [row("v1", 0.9), row("v1", 0.4, Variant.SWAPPED)]
    assert corrected(rows, "both_orders")["v1"] == pytest.approx(0.65)


def test_corrections_joined_by_a_plus_are_done_from_left_to_right():
    rows = [row("v1", 0.9), row("v1", 0.5, Variant.SWAPPED), row("v1", 0.6, Variant.CONTENT_FREE)]
    # Mean .7, then (.7 / .6) : (.3 / .4) = 14 : 9; the other way round (.9 / .6) : (.1 / .4) = 6 : 1, mean with .5.
    assert corrected(rows, "both_orders+content_free")["v1"] == pytest.approx(14 / 23)
    assert corrected(rows, "content_free+both_orders")["v1"] == pytest.approx((6 / 7 + 0.5) / 2)


def test_windows_take_the_variant_of_their_own_span_and_system():
    spans = {"level": Level.FRAME, "window_frames": 10}
    rows = []
    for system, shift in (("a", 0.0), ("b", 0.1)):
        for start, p, free in ((0, 0.5, 0.2), (10, 0.5, 0.4)):
            span = {"system": system, "start_frame": start, "stop_frame": start + 10, **spans}
            rows += [row("v1", p, **span), row("v1", free + shift, Variant.CONTENT_FREE, **span)]
    found = transform_rows(rows, "content_free").rows
    values = {(r.system, r.start_frame): r.p_positive for r in found.itertuples()}
    # A score of .5 divided by p is 1 - p.
    assert values == pytest.approx(
        {
            ("a+content_free", 0): 0.8,
            ("a+content_free", 10): 0.6,
            ("b+content_free", 0): 0.7,
            ("b+content_free", 10): 0.5,
        }
    )


def test_rows_that_lack_what_is_needed_are_left_out_counted_and_missing_for_the_evaluator():
    rows = [
        *(row("v1", 0.8), row("v1", 0.6, Variant.CONTENT_FREE)),
        row("v2", 0.8),
        *(row("v3", 0.8), row("v3", None, Variant.CONTENT_FREE, status=Status.ENGINE_ERROR)),
        *(row("v4", None, label=1), row("v4", 0.5, Variant.CONTENT_FREE)),
        *(row("v5", 1.0), row("v5", 1.0, Variant.CONTENT_FREE)),
        row("v6", None, status=Status.UNPARSED),
    ]
    found = transform_rows(rows, "content_free")
    counts = (found.n_rows, found.n_without_p, found.n_without_variant, found.n_undetermined)
    assert counts == (5, 1, 2, 1)
    assert len(found.notes) == 3
    labels = Labels(tuple(VideoLabels(f"v{n}", "a", split="test", label=n % 2) for n in range(1, 7)))
    (result,) = evaluate_rows(found.rows, labels, level="video", split="test", n_draws=0).rows
    assert result.identity.system == "s+content_free"
    assert (result.counts.n, result.counts.n_missing, result.counts.n_unparsed) == (1, 4, 1)
    json.dumps(found.to_json(), allow_nan=False)


def test_of_rows_with_one_key_the_last_is_corrected():
    rows = [row("v1", 0.1), row("v1", 0.2, Variant.SWAPPED), row("v1", 0.5), row("v1", 0.7, Variant.SWAPPED)]
    found = transform_rows(rows, "both_orders")
    assert found.rows["p_positive"].tolist() == pytest.approx([0.6])
    assert found.n_rows == 1


def test_prevalence_matching_moves_all_scores_alike_and_keeps_their_order():
    p = [0.6, 0.7, 0.8, 0.9, 0.95]
    found = corrected([row(f"v{n}", value) for n, value in enumerate(p)], "prevalence_match", prevalence=0.4)
    values = np.array([found[f"v{n}"] for n in range(5)])
    assert (values > 0.5).tolist() == [False, False, False, True, True]
    moves = np.log(values / (1 - values)) - np.log(np.array(p) / (1 - np.array(p)))
    assert moves == pytest.approx([moves[0]] * 5)


def test_windows_weigh_as_many_frames_as_they_hold():
    spans = ((0, 90, 0.2), (90, 95, 0.3), (95, 100, 0.4))
    rows = [
        row("v1", p, level=Level.FRAME, start_frame=start, stop_frame=stop, window_frames=90)
        for start, stop, p in spans
    ]
    found = transform_rows(rows, "prevalence_match", prevalence=0.1)
    assert (found.rows["p_positive"] > 0.5).tolist() == [False, True, True]
    assert list(found.reached.values()) == pytest.approx([0.1])
    assert not found.notes


def test_a_constant_system_cannot_match_a_prevalence_and_says_so():
    found = transform_rows([row(f"v{n}", 1.0) for n in range(10)], "prevalence_match", prevalence=0.3)
    assert set(found.rows["p_positive"]) == {0.5}
    assert list(found.reached.values()) == [0.0]
    assert "0.000 of s, video level, are positive; 0.300 were wanted" in found.notes[0]


@given(
    scores=st.lists(st.integers(0, 50).map(lambda n: n / 50), min_size=1, max_size=30),
    prevalence=st.floats(0.01, 0.99),
)
def test_no_other_cut_comes_nearer_to_the_prevalence(scores, prevalence):
    found = transform_rows([row(f"v{n}", p) for n, p in enumerate(scores)], "prevalence_match", prevalence=prevalence)
    share = (found.rows["p_positive"] > 0.5).mean()
    assert list(found.reached.values()) == pytest.approx([share])
    possible = {np.mean([p > cut for p in scores]) for cut in [-1.0, *scores]}
    assert abs(share - prevalence) <= min(abs(other - prevalence) for other in possible) + 1e-12


def test_unknown_repeated_and_impossible_corrections_are_refused():
    with pytest.raises(ConfigError, match="no correction 'platt'"):
        transform_rows([row("v1", 0.5)], "platt")
    with pytest.raises(ConfigError, match="named twice"):
        transform_rows([row("v1", 0.5)], "both_orders+both_orders")
    with pytest.raises(ConfigError, match="prevalence to match is None"):
        transform_rows([row("v1", 0.5)], "prevalence_match")
    with pytest.raises(DataError, match="None of 1 prediction rows") as raised:
        transform_rows([row("v1", 0.5)], "content_free")
    assert "--content-free --both-orders" in raised.value.remedy
    with pytest.raises(DataError, match="lacks the columns"):
        transform_rows(rows_to_frame([row("v1", 0.5)]).drop(columns="status"), "both_orders")


def test_reliability_bins_hold_every_item_once_and_make_up_the_ece():
    rng = np.random.default_rng(2)
    scores, labels = np.append(rng.random(200), [0.0, 1.0]), rng.integers(0, 2, 202)
    bins = reliability_bins(labels, scores)
    assert len(bins) == 15
    assert sum(one.n for one in bins) == 202
    inside = (scores >= 1 / 15) & (scores < 2 / 15)
    assert bins[1].n == inside.sum()
    assert bins[1].mean_score == pytest.approx(scores[inside].mean())
    assert bins[1].positive_share == pytest.approx(labels[inside].mean())
    gap = sum(one.n * abs(one.mean_score - one.positive_share) for one in bins if one.n) / 202
    assert gap == pytest.approx(metrics.ece(labels, scores))


def test_an_empty_bin_has_no_share():
    labels = Labels((VideoLabels("v1", "a", split="test", label=1),))
    (found,) = reliability_rows([row("v1", 0.99)], labels, level="video", split="test")
    assert (found.bins[0].n, found.bins[0].mean_score, found.bins[0].positive_share) == (0, None, None)
    assert (found.bins[-1].n, found.bins[-1].positive_share) == (1, 1.0)
    json.dumps(found.to_json(), allow_nan=False)
