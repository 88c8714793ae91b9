"""Which F1 and weighted F1 can stand in one row, whatever the predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bah_mllm.paper.published_page.rows import Row

__all__ = ["is_possible", "most_rows_possible", "negatives_needed", "possible_negatives", "possible_wf1"]

_PRINTED = 1e-4  # cells have four digits, some rounded and some cut off


def possible_wf1(f1: float, positive: float) -> tuple[float, float]:
    """Return the lowest and highest weighted F1 that predictions with this F1 can have.

    At a given F1 the F1 of the negatives falls with tp. The least tp has no false positives, the most has no false
    negatives or no true negatives.
    """
    if f1 == 0:
        return _weighted(f1, positive, 0.0, 1.0), _weighted(f1, positive, 0.0, positive)
    least, most = positive * f1 / (2 - f1), min(positive, f1 / (2 - f1))
    errors_per_tp = 2 * (1 / f1 - 1)
    lowest, highest = (_weighted(f1, positive, tp, tp * errors_per_tp) for tp in (most, least))
    return lowest, highest


def _weighted(f1: float, positive: float, tp: float, errors: float) -> float:
    """Return the weighted F1 of predictions with this F1, shares of positives, of true positives and of errors."""
    tn = 1 - tp - errors
    return (1 - positive) * 2 * tn / (2 * tn + errors) + positive * f1 if tn > 0 else positive * f1


def is_possible(f1: float, wf1: float, positive: float) -> bool:
    """Return whether any predictions have these two cells at this prevalence, allowing for the digits printed."""
    near = [value for value in (f1 - _PRINTED, f1, f1 + _PRINTED) if value >= 0]
    bounds = [possible_wf1(value, positive) for value in near]
    return min(low for low, _ in bounds) - _PRINTED <= wf1 <= max(high for _, high in bounds) + _PRINTED


def negatives_needed(wf1: float) -> float:
    """Return the least share of negatives that allows this weighted F1 at an F1 of 0.

    At best every negative is right: wf1 = s 2s / (1 + s), hence 2 s^2 - wf1 s - wf1 = 0.
    """
    return (wf1 + math.sqrt(wf1 * wf1 + 8 * wf1)) / 4


def possible_negatives(row: Row) -> tuple[float, float]:
    """Return the least and greatest share of negatives, in steps of 0.001, under which a row is possible."""
    f1, wf1 = row.metrics["f1"], row.metrics["wf1"]
    found = [k / 1000 for k in range(1, 1000) if is_possible(f1, wf1, 1 - k / 1000)]
    return found[0], found[-1]


def most_rows_possible(rows: Sequence[Mapping[str, float]]) -> tuple[float, int]:
    """Return the share of negatives, in steps of 0.001, under which most rows are possible, and how many are."""
    fits = [sum(is_possible(row["f1"], row["wf1"], 1 - k / 1000) for row in rows) for k in range(1, 1000)]
    return (1 + int(np.argmax(fits))) / 1000, max(fits)
