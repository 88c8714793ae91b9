"""How far two systems must lie apart to be told from noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bah_mllm.evaluation.metrics import Confusion
from bah_mllm.paper.published_page.confusions import hard_metrics

__all__ = ["SEPARATED", "Separation", "influence", "separate", "standard_error"]

SEPARATED = 1.96  # standard errors: two-sided 5 % under a normal approximation


def influence(c: Confusion, metric: str) -> NDArray[np.float64]:
    """Return what one more item adds to a metric, shape (2 labels, 2 predictions)."""
    n, n_positive = sum(c), c.fn + c.tp
    values = hard_metrics(c)
    y, hard = np.array([[0, 0], [1, 1]]), np.array([[0, 1], [0, 1]])
    positive = (2 * y * hard - values["f1"] * (y + hard)) / (2 * c.tp + c.fp + c.fn)
    if metric == "f1":
        return np.asarray(positive, np.float64)
    f1_negative = 2 * values["macro_f1"] - values["f1"]
    negative = (2 * (1 - y) * (1 - hard) - f1_negative * (2 - y - hard)) / max(2 * c.tn + c.fp + c.fn, 1)
    class_f1 = np.where(y == 1, values["f1"], f1_negative)
    return np.asarray((n_positive * positive + (n - n_positive) * negative + class_f1 - values["wf1"]) / n, np.float64)


def standard_error(c: Confusion, metric: str) -> float:
    """Return the standard error of a metric if all items were independent (delta method)."""
    return float(np.sqrt((np.array(c).reshape(2, 2) * influence(c, metric) ** 2).sum()))


class Separation(NamedTuple):
    """A difference of two systems, and its standard error for errors as alike as can be and for unrelated ones."""

    difference: float
    alike: float
    unrelated: float

    @property
    def verdict(self) -> str:
        """Return what the two tables cells can tell about the difference."""
        size = abs(self.difference)
        if size < SEPARATED * self.alike:
            return "no, whatever the overlap"
        return "depends on the overlap" if size < SEPARATED * self.unrelated else "yes"


def separate(a: Confusion, b: Confusion, metric: str, *, items_per_decision: int = 1) -> Separation:
    """Return the difference of two systems on the same items, and how small its standard error can be.

    ``items_per_decision``: how many items one answer stands for; only answers are counted as independent.

    Which items both got right is not published. Most alike: the system with fewer positive answers in a class has them
    among those of the other, which makes the variance of the difference as small as the counts allow.
    """
    gap = influence(a, metric)[:, :, None] - influence(b, metric)[:, None, :]  # label, answer of a, answer of b
    joint, product = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    for label in (0, 1):
        of_a, of_b = np.array(a).reshape(2, 2)[label], np.array(b).reshape(2, 2)[label]
        both = min(of_a[1], of_b[1])
        joint[label] = [[of_a.sum() - of_a[1] - of_b[1] + both, of_b[1] - both], [of_a[1] - both, both]]
        product[label] = np.outer(of_a, of_b) / of_a.sum()
    variances = ((weight * gap**2).sum() * items_per_decision for weight in (joint, product))
    alike, unrelated = (float(np.sqrt(variance)) for variance in variances)
    return Separation(hard_metrics(a)[metric] - hard_metrics(b)[metric], alike, unrelated)
