"""What the hard metrics of a row say of its answers: counts, shares, and the two constants."""

from __future__ import annotations

import math
from typing import NamedTuple

from bah_mllm.evaluation.metrics import Confusion
from bah_mllm.paper.published_page.rows import Row, items_of

__all__ = ["Shares", "constants", "hard_metrics", "is_printed_as", "recover", "recovered_counts"]


class Shares(NamedTuple):
    """A confusion matrix as shares of all items, which add up to 1."""

    tn: float
    fp: float
    fn: float
    tp: float


def hard_metrics(c: Confusion | Shares) -> dict[str, float]:
    """Return F1, weighted F1 and macro F1 of counts or of shares."""
    f1 = 2 * c.tp / (2 * c.tp + c.fp + c.fn)
    f1_negative = 2 * c.tn / (2 * c.tn + c.fp + c.fn) if c.tn else 0.0
    negative = (c.tn + c.fp) / sum(c)
    return {"f1": f1, "wf1": negative * f1_negative + (1 - negative) * f1, "macro_f1": (f1 + f1_negative) / 2}


def constants(edition: str, level: str) -> dict[str, dict[str, float]]:
    """Return the hard metrics of the two constant classifiers on the test split."""
    n, n_positive = items_of(edition, level)
    return {
        "all-negative": hard_metrics(Confusion(tn=n - n_positive, fp=0, fn=n_positive, tp=0)),
        "all-positive": hard_metrics(Confusion(tn=0, fp=n - n_positive, fn=0, tp=n_positive)),
    }


def is_printed_as(value: float, cell: float) -> bool:
    """Return whether a value, rounded or cut off at the fourth digit, is what the cell says."""
    return cell in {round(value, 4), math.floor(value * 1e4) / 1e4}


def recover(f1: float, wf1: float, positive: float) -> Shares:
    """Return the only confusion matrix that F1, weighted F1 and the prevalence leave.

    Weighted F1 gives the F1 of the negatives, g. With e the share of errors, e = 2 tp (1/f1 - 1) and
    tn = e g / (2 (1 - g)); tp + tn + e = 1 gives tp. A share below 0 means that no predictions have these numbers.
    """
    g = (wf1 - positive * f1) / (1 - positive)
    correct_negative = g / (2 * (1 - g))  # tn per error
    if f1 == 0:
        tp, errors = 0.0, 1 / (1 + correct_negative)
    else:
        tp = 1 / (1 + (1 / f1 - 1) * 2 * (1 + correct_negative))
        errors = 2 * tp * (1 / f1 - 1)
    fn = positive - tp
    return Shares(tn=1 - tp - errors, fp=errors - fn, fn=fn, tp=tp)


def recovered_counts(row: Row) -> Confusion:
    """Return a row's counts on the test split.

    Kept inside each class, so that the classes keep their sizes: a cell that is cut off may ask for -0.3 items.
    """
    n, n_positive = items_of(row.edition, row.level)
    shares = recover(row.metrics["f1"], row.metrics["wf1"], n_positive / n)
    tp = min(max(round(shares.tp * n), 0), n_positive)
    fp = min(max(round(shares.fp * n), 0), n - n_positive)
    return Confusion(tn=n - n_positive - fp, fp=fp, fn=n_positive - tp, tp=tp)
