"""The bootstrap equals resampling items one participant at a time, and does so quickly."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation import metrics
from bah_mllm.evaluation.bootstrap import draw_participants, intervals, paired_bootstrap
from bah_mllm.evaluation.per_draw import Sample, metrics_per_draw

NAMES = metrics.METRICS


def make_sample(rng: np.random.Generator, kind: str, *, n: int = 150, n_participants: int = 6) -> Sample:
    scores = {
        "distinct": rng.random(n),
        "tied": rng.integers(0, 9, n) / 8,  # 0.5 among them
        "constant": np.full(n, 0.4),
        "hard": rng.integers(0, 2, n).astype(float),
    }[kind]
    labels = (rng.random(n) < 0.3).astype(np.int8)
    return Sample(labels, scores, rng.integers(0, n_participants, n), n_participants)


def f1_of(y: np.ndarray, hard: np.ndarray, positive: int) -> float:
    both = ((y == positive) & (hard == positive)).sum()
    either = (y == positive).sum() + (hard == positive).sum()
    return 2 * both / either if either else 0.0


def naive(sample: Sample, counts: np.ndarray, threshold: float) -> dict[str, float]:
    """Resample the arrays themselves."""
    chosen = np.concatenate(
        [np.flatnonzero(sample.participants == who) for who, times in enumerate(counts) for _ in range(times)]
    ).astype(int)
    y, p = sample.labels[chosen], sample.scores[chosen]
    hard = (p > threshold).astype(int)
    f1, f1_negative = f1_of(y, hard, 1), f1_of(y, hard, 0)
    has_both = 0 < y.sum() < len(y)
    return {
        "f1": f1,
        "f1_negative": f1_negative,
        "macro_f1": (f1 + f1_negative) / 2,
        "wf1": f1 * y.mean() + f1_negative * (1 - y.mean()),
        "accuracy": (y == hard).mean(),
        "brier": ((p - y) ** 2).mean(),
        "ece": metrics.ece(y, p),
        "ap": sklearn.metrics.average_precision_score(y, p) if has_both else np.nan,
        "auroc": sklearn.metrics.roc_auc_score(y, p) if has_both else np.nan,
        "ap_bah": metrics.ap_bah(y, p) if has_both else np.nan,
    }


@pytest.mark.parametrize("kind", ["distinct", "tied", "constant", "hard"])
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_every_metric_of_every_draw_equals_naive_resampling(kind, threshold):
    sample = make_sample(np.random.default_rng(3), kind)
    counts = draw_participants(sample.n_participants, n_draws=12, seed=1)
    fast = metrics_per_draw(sample, counts, threshold=threshold)
    for draw in range(len(counts)):
        slow = naive(sample, counts[draw], threshold)
        for name in NAMES:
            assert fast[name][draw] == pytest.approx(slow[name], abs=1e-12, nan_ok=True), (name, draw)


def test_blocks_do_not_change_the_outcome(monkeypatch):
    sample = make_sample(np.random.default_rng(4), "distinct")
    counts = draw_participants(6, n_draws=30, seed=1)
    whole = metrics_per_draw(sample, counts)
    monkeypatch.setattr("bah_mllm.evaluation.per_draw._CELLS_AT_ONCE", 64)
    for name, values in metrics_per_draw(sample, counts).items():
        np.testing.assert_allclose(values, whole[name], atol=1e-12)


def test_draws_without_a_class_are_counted_and_left_out_of_ranking_metrics_only():
    # All positives belong to one of three participants, who is missing from (2/3)^3 = 8/27 of the draws.
    sample = Sample(np.array([1, 0, 0, 0], dtype=np.int8), np.array([0.9, 0.2, 0.4, 0.1]), np.array([0, 0, 1, 2]), 3)
    found = intervals(sample, threshold=0.5, n_draws=900, seed=0)
    for name in ("ap", "ap_bah", "auroc"):
        assert 900 * 8 / 27 * 0.8 < found[name].n_undefined < 900 * 8 / 27 * 1.2
        assert found[name].bounds is not None
    assert found["ap"].bounds == (1.0, 1.0)
    assert found["f1"].n_undefined == 0


def expected_tail(influence: list[float]) -> float:
    """Work out how far out the percentiles lie, with scipy's distributions."""
    n = len(influence)
    fourth, second = scipy.stats.moment(influence, 4), scipy.stats.moment(influence, 2)
    freedom = np.clip(2 * n / (fourth / second**2 - (n - 3) / (n - 1)), 3, n - 1)
    return scipy.stats.norm.cdf(scipy.stats.t.ppf(0.025, freedom) * np.sqrt(n / (n - 1)))


@pytest.mark.parametrize("metric", ["wf1", "ap", "brier"])
def test_intervals_are_percentiles_of_the_draws_as_far_out_as_few_participants_need(metric):
    sample = make_sample(np.random.default_rng(5), "distinct", n_participants=9)
    counts = draw_participants(9, n_draws=60, seed=9)
    slow = sorted(naive(sample, row, 0.5)[metric] for row in counts)
    tail = expected_tail([naive(sample, 1 - np.eye(9, dtype=int)[who], 0.5)[metric] for who in range(9)])
    assert tail < 0.025
    low, high = intervals(sample, threshold=0.5, n_draws=60, seed=9)[metric].bounds
    assert low == pytest.approx(np.quantile(slow, tail))
    assert high == pytest.approx(np.quantile(slow, 1 - tail))


def test_the_interval_of_ece_is_moved_down_by_what_resampling_adds():
    sample = make_sample(np.random.default_rng(5), "distinct", n_participants=9)
    slow = np.array([naive(sample, row, 0.5)["ece"] for row in draw_participants(9, n_draws=60, seed=9)])
    tail = expected_tail([naive(sample, 1 - np.eye(9, dtype=int)[who], 0.5)["ece"] for who in range(9)])
    added = slow.mean() - metrics.ece(sample.labels, sample.scores)
    assert added > 0.01
    found = intervals(sample, threshold=0.5, n_draws=60, seed=9)["ece"].bounds
    assert found == pytest.approx([max(0, np.quantile(slow, q) - 2 * added) for q in (tail, 1 - tail)])


def test_whole_participants_are_drawn():
    counts = draw_participants(5, n_draws=4000, seed=2)
    assert (counts.sum(axis=1) == 5).all()
    assert counts.mean(axis=0) == pytest.approx([1.0] * 5, abs=0.06)
    assert (counts.max(axis=1) > 1).any()


def test_participants_whose_videos_agree_make_intervals_wider_than_independent_items_would():
    rng = np.random.default_rng(7)
    right = np.repeat(rng.integers(0, 2, 20), 50)
    labels = rng.integers(0, 2, 1000).astype(np.int8)
    scores = np.where(right, labels, 1 - labels).astype(float)
    clustered = intervals(Sample(labels, scores, np.repeat(np.arange(20), 50), 20), threshold=0.5, n_draws=300, seed=0)
    alone = intervals(Sample(labels, scores, np.arange(1000), 1000), threshold=0.5, n_draws=300, seed=0)
    width = {
        name: found["accuracy"].bounds[1] - found["accuracy"].bounds[0]
        for name, found in (("clustered", clustered), ("alone", alone))
    }
    assert width["clustered"] > 4 * width["alone"]


def test_one_participant_has_no_interval():
    sample = make_sample(np.random.default_rng(8), "distinct", n_participants=1)
    assert all(found.bounds is None for found in intervals(sample, threshold=0.5, n_draws=50, seed=0).values())


def test_a_system_does_not_differ_from_itself():
    sample = make_sample(np.random.default_rng(9), "distinct")
    for found in paired_bootstrap(sample, sample, n_draws=100).values():
        assert found.bounds == (0.0, 0.0)
        assert found.p_value == 1.0


def test_paired_differences_use_the_same_draws_for_both():
    rng = np.random.default_rng(10)
    first = make_sample(rng, "distinct")
    second = Sample(first.labels, rng.random(150), first.participants, 6)
    counts = draw_participants(6, n_draws=49, seed=4)
    differences = [naive(first, row, 0.5)["ap"] - naive(second, row, 0.5)["ap"] for row in counts]
    found = paired_bootstrap(first, second, n_draws=49, seed=4)["ap"]
    influence = [naive(first, row, 0.5)["ap"] - naive(second, row, 0.5)["ap"] for row in 1 - np.eye(6, dtype=int)]
    tail = expected_tail(influence)
    assert found.bounds == pytest.approx(np.quantile(differences, [tail, 1 - tail]))
    # The p-value belongs to the interval: the t quantile at the share of draws on the smaller side of zero.
    smaller_side = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    z = scipy.stats.norm.ppf(min(0.5, (smaller_side + 1) / 50)) * np.sqrt(5 / 6)
    n, second_moment = 6, scipy.stats.moment(influence, 2)
    freedom = np.clip(2 * n / (scipy.stats.moment(influence, 4) / second_moment**2 - (n - 3) / (n - 1)), 3, n - 1)
    assert found.p_value == pytest.approx(2 * scipy.stats.t.cdf(z, freedom))


def test_systems_on_different_items_are_not_compared():
    first, second = (make_sample(np.random.default_rng(seed), "distinct") for seed in (11, 12))
    with pytest.raises(DataError, match="same items"):
        paired_bootstrap(first, second)


@pytest.mark.slow
def test_a_thousand_draws_of_all_frames_cost_less_than_150_average_precisions():
    rng = np.random.default_rng(13)
    labels = (rng.random(256_744) < 0.1973).astype(np.int8)
    scores = 1 / (1 + np.exp(-(rng.normal(size=len(labels)) + 0.5 * labels)))
    sample = Sample(labels, scores, np.sort(rng.integers(0, 56, len(labels))), 56)
    sklearn.metrics.average_precision_score(labels, scores)
    start = time.process_time()
    sklearn.metrics.average_precision_score(labels, scores)
    once = time.process_time() - start
    start = time.process_time()
    intervals(sample, threshold=0.5, n_draws=1000, seed=0)
    assert time.process_time() - start < 150 * once
