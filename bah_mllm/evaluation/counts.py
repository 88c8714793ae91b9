"""Formulas on counts, shared by the metrics (one set of counts) and the bootstrap (one set per draw).

Every function works on the last axis or element by element, so that a thousand draws cost one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

__all__ = ["GRID", "N_ECE_BINS", "ece_bins", "f1_from_counts", "grid_area", "grid_bins"]

# The paper's thresholds: "between 0 and 1 with a step of 0.001" (section 3.4). As floating point numbers they are not
# all the nearest ones to k/1000, and ties at a threshold depend on that; so they are made as the reference makes them.
GRID = np.arange(0, 1, 0.001)

N_ECE_BINS = 15  # of equal width, as in Guo et al. 2017, "On calibration of modern neural networks"


def f1_from_counts(
    tp: Shaped[np.ndarray, ...], fp: Shaped[np.ndarray, ...], fn: Shaped[np.ndarray, ...]
) -> Float[np.ndarray, ...]:
    """Return ``2 tp / (2 tp + fp + fn)``, and 0 where a class is neither present nor predicted."""
    denominator = np.asarray(2 * tp + fp + fn, dtype=np.float64)
    return np.divide(2 * tp, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def grid_bins(scores: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return how many thresholds of ``GRID`` each score reaches (score >= threshold): 1 to 1000."""
    return np.searchsorted(GRID, scores, side="right")


def grid_area(
    positives: Shaped[np.ndarray, "*draws bins"], everything: Shaped[np.ndarray, "*draws bins"]
) -> Float[np.ndarray, "*draws"]:
    """Return ``ap_bah`` from histograms over ``grid_bins``; NaN where there are no positives.

    Args:
        positives: How many positives reach exactly k thresholds, k = 0 ... 1000 on the last axis.
        everything: The same for positives and negatives together.
    """
    # Predicted positive at threshold j are those that reach more than j thresholds: a sum from the right.
    tp = np.cumsum(positives[..., :0:-1], axis=-1, dtype=np.float64)[..., ::-1]
    predicted = np.cumsum(everything[..., :0:-1], axis=-1, dtype=np.float64)[..., ::-1]
    n_positive = np.asarray(positives.sum(axis=-1, keepdims=True), dtype=np.float64)
    precision = np.divide(tp, predicted, out=np.zeros_like(tp), where=predicted > 0)
    recall = np.divide(tp, n_positive, out=np.full_like(tp, np.nan), where=n_positive > 0)
    # sklearn.metrics.auc to the bit: the trapezoid rule in threshold order. Recall never rises along it, so that every
    # term is 0 or negative and the sign is turned.
    area = (np.diff(recall, axis=-1) * (precision[..., 1:] + precision[..., :-1]) / 2.0).sum(axis=-1)
    return np.asarray(np.abs(area))


def ece_bins(scores: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return the calibration bin of each score, 0 to 14; bins hold their lower edge, the last both."""
    edges = np.linspace(0.0, 1.0, N_ECE_BINS + 1)
    return np.minimum(np.searchsorted(edges, scores, side="right") - 1, N_ECE_BINS - 1)
