"""Metrics against scikit-learn, against a slow reading of the paper's definition, and on everything malformed."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation import metrics

N_CASES = 1000
HARD = (metrics.f1_positive, metrics.f1_negative, metrics.f1_macro, metrics.f1_weighted, metrics.accuracy)
SCORED = (metrics.ap, metrics.ap_bah, metrics.auroc, metrics.brier, metrics.ece)


def slow_f1(labels, hard, positive):
    tp = sum(y == positive and h == positive for y, h in zip(labels, hard, strict=True))
    wrong = sum((y == positive) != (h == positive) for y, h in zip(labels, hard, strict=True))
    return 2 * tp / (2 * tp + wrong) if tp + wrong else 0.0


def slow_ap_bah(labels, scores):
    """The definition, every item at every threshold; the area by scikit-learn."""
    predicted = scores >= np.arange(0, 1, 0.001)[:, None]
    tp, fp = (predicted & (labels == 1)).sum(axis=1), (predicted & (labels == 0)).sum(axis=1)
    precision = [hit / (hit + miss) if hit + miss else 0.0 for hit, miss in zip(tp, fp, strict=True)]
    return sklearn.metrics.auc(tp / (labels == 1).sum(), precision)


def cases(n_cases=N_CASES):
    """Random scores of every kind that has made metrics differ: ties, grid values, saturated, constant, one class."""
    rng = np.random.default_rng(20240901)
    kinds = [
        rng.random,
        lambda n: rng.integers(0, 11, n) / 10,
        lambda n: np.arange(0, 1, 0.001)[rng.integers(0, 1000, n)],
        lambda n: rng.integers(0, 2, n).astype(float),
        lambda n: np.full(n, rng.choice([0.0, 0.5, 0.998, 0.999, 1.0])),
        lambda n: 0.5 + rng.uniform(-1e-4, 1e-4, n),
        lambda n: 1 / (1 + np.exp(-20 * rng.normal(size=n))),
        lambda n: rng.random(n).astype(np.float32).astype(np.float64),
    ]
    for number in range(n_cases):
        n = int(rng.integers(1, 40))
        labels = (rng.random(n) < rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])).astype(int)
        yield labels, kinds[number % len(kinds)](n)


def test_f1s_equal_their_definition():
    for labels, scores in cases():
        hard = (scores > 0.5).astype(int)
        positive, negative = slow_f1(labels, hard, 1), slow_f1(labels, hard, 0)
        share = sum(labels) / len(labels)
        assert metrics.f1_positive(labels, hard) == pytest.approx(positive, abs=1e-12)
        assert metrics.f1_negative(labels, hard) == pytest.approx(negative, abs=1e-12)
        assert metrics.f1_macro(labels, hard) == pytest.approx((positive + negative) / 2, abs=1e-12)
        weighted = share * positive + (1 - share) * negative
        assert metrics.f1_weighted(labels, hard) == pytest.approx(weighted, abs=1e-12)


def test_f1s_accuracy_and_confusion_equal_scikit_learn():
    for labels, scores in cases(100):
        hard = (scores > 0.5).astype(int)
        options = {"labels": [0, 1], "zero_division": 0}
        each = sklearn.metrics.f1_score(labels, hard, average=None, **options)
        assert [metrics.f1_negative(labels, hard), metrics.f1_positive(labels, hard)] == pytest.approx(list(each))
        for name, metric in (("macro", metrics.f1_macro), ("weighted", metrics.f1_weighted)):
            expected = sklearn.metrics.f1_score(labels, hard, average=name, **options)
            assert metric(labels, hard) == pytest.approx(expected, abs=1e-12)
        assert metrics.accuracy(labels, hard) == pytest.approx(sklearn.metrics.accuracy_score(labels, hard))
        counts = sklearn.metrics.confusion_matrix(labels, hard, labels=[0, 1]).ravel()
        assert metrics.confusion(labels, hard) == tuple(counts)


def test_ap_bah_equals_the_papers_definition_to_the_bit():
    for labels, scores in cases():
        if labels.any():
            assert metrics.ap_bah(labels, scores) == slow_ap_bah(labels, scores)


def test_ap_and_auroc_equal_scikit_learn():
    for labels, scores in cases(200):
        if labels.any():
            expected = sklearn.metrics.average_precision_score(labels, scores)
            assert metrics.ap(labels, scores) == pytest.approx(expected, abs=1e-12)
        if 0 < labels.sum() < len(labels):
            expected = sklearn.metrics.roc_auc_score(labels, scores)
            assert metrics.auroc(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_brier_equals_scikit_learn_and_ece_equals_a_loop_over_bins():
    for labels, scores in cases(100):
        expected = sklearn.metrics.brier_score_loss(labels, scores, pos_label=1)
        assert metrics.brier(labels, scores) == pytest.approx(expected, abs=1e-12)
        gap = 0.0
        for index in range(15):
            low, high = np.linspace(0, 1, 16)[index : index + 2]
            inside = (scores >= low) & ((scores < high) | (index == 14))
            if inside.any():
                gap += inside.mean() * abs(scores[inside].mean() - labels[inside].mean())
        assert metrics.ece(labels, scores) == pytest.approx(gap, abs=1e-12)


# The size and prevalence of the frames of the v1 test split; the expected values were measured with the paper's code.
N_FRAMES, N_POSITIVE = 256_744, 50_664


@pytest.fixture(scope="module")
def frames():
    labels = np.zeros(N_FRAMES, dtype=int)
    labels[:N_POSITIVE] = 1
    return labels


@pytest.mark.parametrize(
    ("score", "expected"), [(0.5, 0.0987), (1.0, 0.0), (0.9995, 0.0)], ids=["half", "one", "above_the_grid"]
)
def test_ap_bah_of_constants_is_half_the_prevalence_or_nothing(frames, score, expected):
    scores = np.full(N_FRAMES, score)
    assert metrics.ap_bah(frames, scores) == pytest.approx(expected, abs=5e-5)
    assert metrics.ap(frames, scores) == pytest.approx(0.1973, abs=5e-5)


def test_ap_bah_of_perfect_predictions_depends_on_their_distance_from_one(frames):
    assert metrics.ap_bah(frames, np.where(frames, 0.9, 0.1)) == pytest.approx(0.5)
    assert metrics.ap_bah(frames, frames) == 0.0
    assert metrics.ap(frames, frames) == metrics.ap(frames, np.where(frames, 0.9, 0.1)) == 1.0


def test_ap_bah_and_ap_part_as_in_the_reference(frames):
    rng = np.random.default_rng(0)
    uniform = rng.random(N_FRAMES)
    assert metrics.ap_bah(frames, uniform) == pytest.approx(0.1979, abs=0.002)
    assert metrics.ap_bah(frames, 0.3001 + uniform * 0.0005) == pytest.approx(0.0987, abs=5e-4)
    logits = rng.normal(size=N_FRAMES) + 0.5 * frames
    p = 1 / (1 + np.exp(-logits))
    step_wise = metrics.ap(frames, p)
    assert step_wise == pytest.approx(0.2992, abs=0.002)
    assert metrics.ap_bah(frames, p) == pytest.approx(step_wise, abs=5e-4)
    squashed = 0.1951 + 0.0005 * p
    assert metrics.ap(frames, squashed) == pytest.approx(step_wise, abs=1e-9)
    assert metrics.ap_bah(frames, squashed) == pytest.approx(0.0987, abs=5e-4)
    overconfident = 1 / (1 + np.exp(-20 * logits))
    assert metrics.ap(frames, overconfident) == pytest.approx(step_wise, abs=0.006)
    assert metrics.ap_bah(frames, overconfident) < step_wise - 0.03


def test_hard_predictions_give_the_reference_aps(frames):
    hard = np.zeros(N_FRAMES)
    hard[: N_POSITIVE // 2] = 1  # half of the positives, a fifth of the negatives
    hard[N_POSITIVE : N_POSITIVE + round(0.2 * (N_FRAMES - N_POSITIVE))] = 1
    assert metrics.ap_bah(frames, hard) == pytest.approx(0.1441, abs=1e-3)
    assert metrics.ap(frames, hard) == pytest.approx(0.2904, abs=2e-3)


@pytest.mark.parametrize(
    ("n_positive", "n", "negative_macro", "negative_wf1", "positive_f1", "positive_macro", "positive_wf1", "ap_bah"),
    [
        (50_664, 256_744, 0.4453, 0.7148, 0.3296, 0.1648, 0.0650, 0.0987),
        (239, 392, 0.2807, 0.2191, 0.7575, 0.3788, 0.4619, 0.3048),
        (65_756, 335_110, 0.4456, 0.7163, 0.3281, 0.1640, 0.0644, 0.0981),
        (318, 525, 0.2828, 0.2230, 0.7544, 0.3772, 0.4570, 0.3029),
    ],
    ids=["v1_frames", "v1_videos", "iclr_frames", "iclr_videos"],
)
def test_trivial_baselines_have_the_values_that_the_paper_reports_for_some_prompts(
    n_positive, n, negative_macro, negative_wf1, positive_f1, positive_macro, positive_wf1, ap_bah
):
    labels = np.arange(n) < n_positive
    none, everything = np.zeros(n), np.ones(n)
    assert metrics.f1_positive(labels, none) == 0.0
    assert metrics.f1_macro(labels, none) == pytest.approx(negative_macro, abs=6e-5)
    assert metrics.f1_weighted(labels, none) == pytest.approx(negative_wf1, abs=6e-5)
    assert metrics.f1_positive(labels, everything) == pytest.approx(positive_f1, abs=6e-5)
    assert metrics.f1_macro(labels, everything) == pytest.approx(positive_macro, abs=6e-5)
    assert metrics.f1_weighted(labels, everything) == pytest.approx(positive_wf1, abs=6e-5)
    assert metrics.ap_bah(labels, np.full(n, 0.25)) == pytest.approx(ap_bah, abs=6e-5)


@pytest.mark.parametrize("metric", SCORED)
def test_order_of_items_does_not_matter(metric):
    rng = np.random.default_rng(5)
    labels, scores = rng.integers(0, 2, 200), rng.integers(0, 50, 200) / 50
    shuffled = rng.permutation(200)
    assert metric(labels[shuffled], scores[shuffled]) == pytest.approx(metric(labels, scores), abs=1e-12)


@pytest.mark.parametrize("sharpness", [0.1, 1, 12])
def test_ap_and_auroc_depend_on_the_ranking_only(sharpness):
    rng = np.random.default_rng(6)
    labels, logits = rng.integers(0, 2, 200), rng.normal(size=200)
    for metric in (metrics.ap, metrics.auroc):
        assert metric(labels, 1 / (1 + np.exp(-sharpness * logits))) == pytest.approx(metric(labels, logits))


def test_perfect_predictions_are_perfect():
    for metric in HARD:
        assert metric([0, 1, 1], [0, 1, 1]) == 1.0
    assert metrics.ap([0, 1], [0.2, 0.8]) == metrics.auroc([0, 1], [0.2, 0.8]) == 1.0
    assert metrics.brier([0, 1], [0, 1]) == metrics.ece([0, 1], [0, 1]) == 0.0


MALFORMED = [
    ([], [], "empty"),
    ([0, 1], [0.5], "2 labels but 1"),
    ([0, 2], [0, 1], "labels[1] is 2"),
    ([0, -1], [0, 1], "labels[1] is -1"),
    ([0, float("nan")], [0, 1], "labels[1] is nan"),
    ([0, None], [0, 1], "not a number"),
    (["a", "b"], [0, 1], "not a number"),
    ([[0], [1]], [0, 1], "(2, 1)"),
    ([0, 1], [0, float("nan")], "[1] is nan"),
    ([0, 1], [0, float("inf")], "[1] is inf"),
]


@pytest.mark.parametrize("metric", [*HARD, *SCORED])
@pytest.mark.parametrize(("labels", "values", "said"), MALFORMED)
def test_malformed_input_is_refused_and_named(metric, labels, values, said):
    with pytest.raises(DataError) as raised:
        metric(labels, values)
    assert said in raised.value.problem
    assert raised.value.remedy


@pytest.mark.parametrize("metric", HARD)
def test_f1_of_scores_that_were_not_thresholded_is_refused(metric):
    with pytest.raises(DataError, match=r"predictions\[0\] is 0.7"):
        metric([1, 0], [0.7, 0])


@pytest.mark.parametrize("metric", [metrics.ap_bah, metrics.brier, metrics.ece])
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_logits_are_refused_where_a_probability_is_meant(metric, value):
    with pytest.raises(DataError, match="probability from 0 to 1"):
        metric([1, 0], [0.5, value])


def test_ranking_metrics_take_logits():
    assert metrics.ap([1, 0], [3.5, -7.0]) == metrics.auroc([1, 0], [3.5, -7.0]) == 1.0


@pytest.mark.parametrize("metric", [metrics.ap, metrics.ap_bah, metrics.auroc])
def test_ranking_without_positives_is_undefined_rather_than_a_number(metric):
    with pytest.raises(DataError, match="undefined: no positives"):
        metric([0, 0], [0.1, 0.2])


def test_auroc_without_negatives_is_undefined():
    with pytest.raises(DataError, match="undefined: no negatives"):
        metrics.auroc([1, 1], [0.1, 0.2])


def test_ap_bah_is_called_unreliable_when_scores_are_close_or_saturated():
    assert metrics.is_ap_bah_unreliable(np.array([0.30, 0.34]))
    assert metrics.is_ap_bah_unreliable(np.array([0.1, 0.999]))
    assert not metrics.is_ap_bah_unreliable(np.array([0.1, 0.998]))


def test_point_metrics_are_those_of_scikit_learn_under_our_names():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 2, 60), rng.random(60)
    found = metrics.point_metrics(labels, p, threshold=0.4)
    assert list(found) == list(metrics.METRICS)
    hard = p > 0.4
    expected = {
        "f1": sklearn.metrics.f1_score(labels, hard),
        "f1_negative": sklearn.metrics.f1_score(labels, hard, pos_label=0),
        "macro_f1": sklearn.metrics.f1_score(labels, hard, average="macro"),
        "wf1": sklearn.metrics.f1_score(labels, hard, average="weighted"),
        "accuracy": sklearn.metrics.accuracy_score(labels, hard),
        "ap": sklearn.metrics.average_precision_score(labels, p),
        "auroc": sklearn.metrics.roc_auc_score(labels, p),
        "brier": sklearn.metrics.brier_score_loss(labels, p),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("label", "f1", "f1_negative", "accuracy"), [(1, 0.8, 0.0, 2 / 3), (0, 0.0, 0.5, 1 / 3)])
def test_labels_of_one_class_define_no_ranking_and_every_other_metric(label, f1, f1_negative, accuracy):
    found = metrics.point_metrics([label] * 3, [0.9, 0.8, 0.2])
    assert {name for name, value in found.items() if value is None} == {"ap", "ap_bah", "auroc"}
    assert (found["f1"], found["f1_negative"]) == pytest.approx((f1, f1_negative))
    assert found["accuracy"] == pytest.approx(accuracy)


def test_without_items_no_metric_is_defined():
    assert metrics.point_metrics([], [], names=("f1", "ap")) == {"f1": None, "ap": None}


def test_constant_scores_rank_nothing_and_say_the_prevalence():
    found = metrics.point_metrics([1, 0, 0, 0], [0.3] * 4)
    assert (found["ap"], found["ap_bah"], found["auroc"], found["f1"]) == pytest.approx((0.25, 0.125, 0.5, 0.0))


def test_labels_that_are_unknown_are_refused_by_point_metrics():
    with pytest.raises(DataError, match=r"labels\[1\] is -1"):
        metrics.point_metrics([0, -1], [0.5, 0.5], names=("f1",))
