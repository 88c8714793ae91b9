"""Metrics of one binary task: is ambivalence or hesitancy (A/H) there, in a frame or in a video?

Conventions
    ``labels`` is one-dimensional and holds 0 and 1; 1 means A/H is present. ``values`` has the same length: hard
    predictions 0 and 1 for the F1 family, scores for the others. Everything is micro over the items given: frames of
    all videos are pooled, as in the paper.
    Hard predictions come from ``score > 0.5`` (a tie is negative, as with argmax); ``ap_bah`` alone uses
    ``score >= threshold``.

Metrics
    ``f1_positive``, ``f1_negative``   F1 of either class
    ``f1_macro``, ``f1_weighted``      their mean, plain or weighted with the share of each class in the labels
    ``accuracy``, ``confusion``        share of right answers; the four counts
    ``ap``                             average precision, step-wise, as scikit-learn computes it
    ``ap_bah``                         average precision as the BAH paper's code computes it: another number
    ``auroc``                          area under the ROC curve
    ``brier``, ``ece``                 squared error and expected calibration error of the probabilities
    ``point_metrics``                  all of them by name, None where one is undefined or says nothing

A metric that is undefined on its input raises; it never returns a number that looks real. ``point_metrics`` alone makes
tables, logs and the choice of an epoch: no part of the project has a second opinion on what is defined.

References:
    BAH: González-González et al. 2025, "BAH dataset for ambivalence/hesitancy recognition in videos", section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation.counts import GRID, N_ECE_BINS, ece_bins, f1_from_counts, grid_area, grid_bins

if TYPE_CHECKING:
    from jaxtyping import Float, Int8
    from numpy.typing import ArrayLike

__all__ = [
    "HARD_METRICS",
    "METRICS",
    "RANKING_METRICS",
    "Confusion",
    "accuracy",
    "ap",
    "ap_bah",
    "auroc",
    "brier",
    "confusion",
    "ece",
    "f1_macro",
    "f1_negative",
    "f1_positive",
    "f1_weighted",
    "is_ap_bah_unreliable",
    "point_metrics",
]


class Confusion(NamedTuple):
    """Counts of true negatives, false positives, false negatives and true positives."""

    tn: int
    fp: int
    fn: int
    tp: int


# --- validation -------------------------------------------------------------------------------------------------------


def _vector(values: ArrayLike, *, name: str) -> Float[np.ndarray, " n"]:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            array = np.asarray([float(value) for value in array.ravel()]).reshape(array.shape)
    except (TypeError, ValueError):
        raise DataError(f"{name} hold something that is not a number.", remedy=f"Give {name} as numbers.") from None
    if array.ndim != 1:
        raise DataError(
            f"{name} must have one dimension, but got the shape {array.shape}.", remedy=f"Give {name} as a flat list."
        )
    if array.size == 0:
        raise DataError(f"{name} are empty: no metric is defined.", remedy="Give at least one item.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(
            f"{name}[{where}] is {array[where]}, which is not a finite number.",
            remedy="Leave items without a score out, and count them as missing.",
        )
    return array


def _check_binary(array: Float[np.ndarray, " n"], *, name: str) -> Int8[np.ndarray, " n"]:
    odd = (array != 0) & (array != 1)
    if odd.any():
        where = int(np.flatnonzero(odd)[0])
        raise DataError(
            f"{name}[{where}] is {array[where]:g}, but must be 0 or 1.",
            remedy="Apply a threshold first (score > 0.5)." if name == "predictions" else "Use 1 for A/H, else 0.",
        )
    return array.astype(np.int8)


def _check_lengths(labels: Float[np.ndarray, " labels"], values: Float[np.ndarray, " values"], *, name: str) -> None:
    if len(labels) != len(values):
        raise DataError(
            f"There are {len(labels)} labels but {len(values)} {name}.", remedy=f"Give one of the {name} per label."
        )


def _validate_hard(labels: ArrayLike, predictions: ArrayLike) -> tuple[Int8[np.ndarray, " n"], Int8[np.ndarray, " n"]]:
    y, hard = _vector(labels, name="labels"), _vector(predictions, name="predictions")
    _check_lengths(y, hard, name="predictions")
    return _check_binary(y, name="labels"), _check_binary(hard, name="predictions")


def _validate_scores(
    labels: ArrayLike, scores: ArrayLike, *, probabilities: bool
) -> tuple[Int8[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    y, p = _vector(labels, name="labels"), _vector(scores, name="scores")
    _check_lengths(y, p, name="scores")
    outside = (p < 0) | (p > 1)
    if probabilities and outside.any():
        where = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"scores[{where}] is {p[where]:g}, but must be a probability from 0 to 1.",
            remedy="Turn logits into probabilities first (sigmoid or softmax).",
        )
    return _check_binary(y, name="labels"), p


def _need(labels: Int8[np.ndarray, " n"], *, positives: bool, negatives: bool, metric: str) -> None:
    if positives and not labels.any():
        raise DataError(f"{metric} is undefined: no positives.", remedy="Report it as missing, not as a number.")
    if negatives and labels.all():
        raise DataError(f"{metric} is undefined: no negatives.", remedy="Report it as missing, not as a number.")


# --- hard predictions -------------------------------------------------------------------------------------------------


def confusion(labels: ArrayLike, values: ArrayLike) -> Confusion:
    """Return the four counts of hard predictions.

    Args:
        labels: 0 or 1, shape (n,), n >= 1.
        values: Hard predictions, 0 or 1, shape (n,).

    Raises:
        DataError: Lengths differ, or a value is not 0 or 1.
    """
    y, hard = _validate_hard(labels, values)
    return Confusion(*(int(n) for n in np.bincount(2 * y + hard, minlength=4)))


def f1_positive(labels: ArrayLike, values: ArrayLike) -> float:
    """Return F1 of class 1, ``2 tp / (2 tp + fp + fn)``, 0 to 1; 0 where it is neither present nor predicted.

    Args, errors: see ``confusion``.

    >>> f1_positive([1, 1, 0], [1, 0, 0])
    0.6666666666666666
    """
    c = confusion(labels, values)
    return _f1(c.tp, c.fp, c.fn)


def f1_negative(labels: ArrayLike, values: ArrayLike) -> float:
    """Return F1 of class 0, 0 to 1; 0 where it is neither present nor predicted. Args, errors: see ``confusion``."""
    c = confusion(labels, values)
    return _f1(c.tn, c.fn, c.fp)


def f1_macro(labels: ArrayLike, values: ArrayLike) -> float:
    """Return the mean of the F1 of both classes (the "AVGF1" of the second edition). Args, errors: see ``confusion``.

    Always over both classes, even where the labels hold one only; scikit-learn then averages over those it sees, the
    reference refuses.
    """
    c = confusion(labels, values)
    return (_f1(c.tn, c.fn, c.fp) + _f1(c.tp, c.fp, c.fn)) / 2


def f1_weighted(labels: ArrayLike, values: ArrayLike) -> float:
    """Return the F1 of both classes, weighted with their share in the labels ("WF1").

    Args, errors: see ``confusion``.
    """
    c = confusion(labels, values)
    n_negative, n_positive = c.tn + c.fp, c.tp + c.fn
    weighted = _f1(c.tn, c.fn, c.fp) * n_negative + _f1(c.tp, c.fp, c.fn) * n_positive
    return weighted / (n_negative + n_positive)


def accuracy(labels: ArrayLike, values: ArrayLike) -> float:
    """Return the share of right predictions, 0 to 1. Args, errors: see ``confusion``."""
    c = confusion(labels, values)
    return (c.tn + c.tp) / sum(c)


def _f1(tp: int, fp: int, fn: int) -> float:
    return float(f1_from_counts(np.asarray(tp), np.asarray(fp), np.asarray(fn)))


# --- scores -----------------------------------------------------------------------------------------------------------


def ap(labels: ArrayLike, values: ArrayLike) -> float:
    """Return average precision: the mean, over the positives, of the precision at their rank.

    Step-wise as ``sklearn.metrics.average_precision_score``: the sum over distinct scores, from high to low, of
    (recall gained) * (precision there). It depends on the ranking only; constant scores give the prevalence.

    Args:
        labels: 0 or 1, shape (n,), with at least one positive.
        values: Scores, finite, shape (n,); any scale.

    Raises:
        DataError: Malformed input, or no positives.

    >>> ap([0, 1, 1, 0], [.1, .4, .35, .8])
    0.5833333333333333
    """
    y, p = _validate_scores(labels, values, probabilities=False)
    _need(y, positives=True, negatives=False, metric="ap")
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of each run of equal scores
    tp = np.cumsum(y[order], dtype=np.float64)[last]
    gained = np.diff(tp, prepend=0.0)
    return float((gained * tp / (last + 1)).sum() / tp[-1])


def ap_bah(labels: ArrayLike, values: ArrayLike) -> float:
    """Return average precision as the paper's evaluation code computes it, to the bit. Not the usual one.

    Precision and recall at the thresholds 0, 0.001 ... 0.999 (positive where score >= threshold; precision is 0 where
    nothing is predicted), then the trapezoid rule over recall in threshold order. There is no point (recall 0,
    precision 1) and no step rule, so that the value depends on calibration and not on the ranking alone:

    - constant scores below 0.999 give half the prevalence, constant ones 0;
    - scores within one step of the grid give half the prevalence, however well they rank;
    - everything that scores 0.999 or more is cut off: perfect 0/1 predictions give 0.

    Report it beside ``ap``, for comparison with published numbers only.

    Args:
        labels: 0 or 1, shape (n,), with at least one positive.
        values: Probabilities from 0 to 1, shape (n,).

    Raises:
        DataError: Malformed input, or no positives.

    References:
        BAH paper, section 3.4 ("a threshold list between 0 and 1 is used with a step of 0.001"), and its public code.

    >>> ap_bah([1, 0], [.9, .1])
    0.5
    """
    y, p = _validate_scores(labels, values, probabilities=True)
    _need(y, positives=True, negatives=False, metric="ap_bah")
    bins = grid_bins(p)
    n_bins = len(GRID) + 1
    return float(grid_area(np.bincount(bins[y == 1], minlength=n_bins), np.bincount(bins, minlength=n_bins)))


def is_ap_bah_unreliable(values: Float[np.ndarray, " n"]) -> bool:
    """Return whether ``ap_bah`` says little about these scores: spread below 0.05, or some at 0.999 or more."""
    return bool(np.ptp(values) < 0.05 or values.max() >= 0.999)


def auroc(labels: ArrayLike, values: ArrayLike) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Args:
        labels: 0 or 1, shape (n,), with both classes.
        values: Scores, finite, shape (n,); any scale.

    Raises:
        DataError: Malformed input, no positives, or no negatives.

    >>> auroc([0, 1, 1, 0], [.1, .4, .35, .8])
    0.5
    """
    y, p = _validate_scores(labels, values, probabilities=False)
    _need(y, positives=True, negatives=True, metric="auroc")
    order = np.argsort(p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    tp = np.cumsum(y[order], dtype=np.float64)[last]
    fp = last + 1 - tp
    # Positives of each run, times the negatives below the run and half of those inside it.
    below = np.concatenate([[0.0], fp[:-1]])
    wins = (np.diff(tp, prepend=0.0) * (below + fp) / 2).sum()
    return float(wins / (tp[-1] * fp[-1]))


def brier(labels: ArrayLike, values: ArrayLike) -> float:
    """Return the mean squared difference between probability and label, 0 (best) to 1.

    Args:
        labels: 0 or 1, shape (n,).
        values: Probabilities from 0 to 1, shape (n,).

    Raises:
        DataError: Malformed input.

    References:
        Brier 1950, "Verification of forecasts expressed in terms of probability".
    """
    y, p = _validate_scores(labels, values, probabilities=True)
    return float(np.mean((p - y) ** 2))


def ece(labels: ArrayLike, values: ArrayLike) -> float:
    """Return the expected calibration error, 0 (best) to 1.

    Over 15 bins of equal width: the mean difference between the mean probability and the share of positives in a bin,
    weighted with the bin's items. Of the positive class, as ``p`` is what a user reads, not of the winning class.

    Args:
        labels: 0 or 1, shape (n,).
        values: Probabilities from 0 to 1, shape (n,).

    Raises:
        DataError: Malformed input.

    References:
        Naeini et al. 2015; Guo et al. 2017, "On calibration of modern neural networks", equation 3.
    """
    y, p = _validate_scores(labels, values, probabilities=True)
    gaps = np.bincount(ece_bins(p), weights=p - y, minlength=N_ECE_BINS)
    return float(np.abs(gaps).sum() / len(p))


# --- by the names in tables and JSON ----------------------------------------------------------------------------------

Metric = Callable[["ArrayLike", "ArrayLike"], float]

HARD_METRICS: Mapping[str, Metric] = MappingProxyType(
    {"f1": f1_positive, "f1_negative": f1_negative, "macro_f1": f1_macro, "wf1": f1_weighted, "accuracy": accuracy}
)
RANKING_METRICS: Mapping[str, Metric] = MappingProxyType({"ap": ap, "ap_bah": ap_bah, "auroc": auroc})
_PROBABILITY_METRICS: Mapping[str, Metric] = MappingProxyType({"brier": brier, "ece": ece})
METRICS = (*HARD_METRICS, *RANKING_METRICS, *_PROBABILITY_METRICS)


def point_metrics(
    labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5, names: Sequence[str] = METRICS
) -> dict[str, float | None]:
    """Return metrics by name; None where a metric is undefined or says nothing.

    All are None without items. ``ap``, ``ap_bah`` and ``auroc`` are None where the labels are of one class: without
    positives they are undefined, and without negatives average precision is 1 whatever the scores.

    Args:
        labels: 0 or 1, shape (n,).
        scores: Probabilities from 0 to 1, shape (n,).
        threshold: Positive where score > threshold.
        names: Which of ``METRICS``, in the order wanted.

    Raises:
        DataError: Malformed input.

    >>> point_metrics([1, 1], [0.75, 0.25], names=("f1", "ap", "brier"))
    {'f1': 0.6666666666666666, 'ap': None, 'brier': 0.3125}
    """
    y, p = np.asarray(labels), np.asarray(scores)
    if not y.size and not p.size:
        return dict.fromkeys(names)
    y, p = _validate_scores(y, p, probabilities=True)
    hard = p > threshold
    has_both_classes = 0 < int(y.sum()) < len(y)
    found: dict[str, float | None] = {}
    for name in names:
        if name in HARD_METRICS:
            found[name] = HARD_METRICS[name](y, hard)
        elif name in RANKING_METRICS:
            found[name] = RANKING_METRICS[name](y, p) if has_both_classes else None
        else:
            found[name] = _PROBABILITY_METRICS[name](y, p)
    return found
