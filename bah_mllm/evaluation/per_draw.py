"""Every metric on every draw of participants at once, without resampling an array.

A draw is a vector of counts: how often each participant was drawn.

- The F1 family, accuracy, ``ap_bah``, Brier and ECE need sums per participant only: one matrix product for all draws.
- ``ap`` and ``auroc`` need the items in order of their scores: they are sorted once, and counted per participant down
  that order; again a matrix product turns these counts into those of a draw.

The values equal those of naive resampling, to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.evaluation.counts import GRID, N_ECE_BINS, ece_bins, f1_from_counts, grid_area, grid_bins
from bah_mllm.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8

__all__ = ["Sample", "metrics_per_draw"]

_CELLS_AT_ONCE = 2**18  # 2 MB of counts: blocks that stay in the cache


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The items that are judged.

    Args:
        labels: 0 or 1, shape (items,).
        scores: Probabilities from 0 to 1, shape (items,).
        participants: Whose item it is, as a number from 0 to ``n_participants - 1``, shape (items,).
        n_participants: How many there are to draw from; at least 1.
    """

    labels: Int8[np.ndarray, " items"]
    scores: Float[np.ndarray, " items"]
    participants: Int[np.ndarray, " items"]
    n_participants: int


def metrics_per_draw(
    sample: Sample,
    counts: Int[np.ndarray, "draws participants"],
    *,
    threshold: float = 0.5,
    names: Sequence[str] = METRICS,
) -> dict[str, Float[np.ndarray, " draws"]]:
    """Return metrics on every draw; NaN where the draw leaves one undefined.

    ``ap``, ``ap_bah`` and ``auroc`` are undefined on a draw without positives or without negatives, everything on a
    draw without items.

    Args:
        sample: The items.
        counts: How often each participant is drawn.
        threshold: Positive where score > threshold.
        names: Which metrics; those that need a ranking take most of the time.
    """
    weights = counts.astype(np.float64)
    n = weights @ np.bincount(sample.participants, minlength=sample.n_participants)
    values = _hard_metrics(sample, weights, threshold=threshold)
    values |= _calibration(sample, weights, n)
    if "ap_bah" in names:
        values["ap_bah"] = _grid_metric(sample, weights)
    if not {"ap", "auroc"}.isdisjoint(names):
        values["ap"], values["auroc"] = _ranking_metrics(sample, weights)
    n_positive = weights @ np.bincount(sample.participants, weights=sample.labels, minlength=sample.n_participants)
    one_class = (n_positive == 0) | (n_positive == n)
    for name, value in values.items():
        value[one_class if name in ("ap", "ap_bah", "auroc") else n == 0] = np.nan
    return {name: values[name] for name in METRICS if name in names}


def _hard_metrics(
    sample: Sample, weights: Float[np.ndarray, "draws participants"], *, threshold: float
) -> dict[str, Float[np.ndarray, " draws"]]:
    kind = 4 * sample.participants + 2 * sample.labels.astype(np.int64) + (sample.scores > threshold)
    per_participant = np.bincount(kind, minlength=4 * sample.n_participants).reshape(-1, 4)
    tn, fp, fn, tp = (weights @ per_participant).T
    f1, f1_negative = f1_from_counts(tp, fp, fn), f1_from_counts(tn, fn, fp)
    n = np.maximum(tn + fp + fn + tp, 1)
    return {
        "f1": f1,
        "f1_negative": f1_negative,
        "macro_f1": (f1_negative + f1) / 2,
        "wf1": (f1_negative * (tn + fp) + f1 * (tp + fn)) / n,
        "accuracy": (tn + tp) / n,
    }


def _calibration(
    sample: Sample, weights: Float[np.ndarray, "draws participants"], n: Float[np.ndarray, " draws"]
) -> dict[str, Float[np.ndarray, " draws"]]:
    errors = sample.scores - sample.labels
    squares = np.bincount(sample.participants, weights=errors**2, minlength=sample.n_participants)
    cell = sample.participants * N_ECE_BINS + ece_bins(sample.scores)
    gaps = np.bincount(cell, weights=errors, minlength=sample.n_participants * N_ECE_BINS).reshape(-1, N_ECE_BINS)
    n = np.maximum(n, 1)
    return {"brier": weights @ squares / n, "ece": np.abs(weights @ gaps).sum(axis=1) / n}


def _grid_metric(sample: Sample, weights: Float[np.ndarray, "draws participants"]) -> Float[np.ndarray, " draws"]:
    n_bins = len(GRID) + 1
    cell = sample.participants * n_bins + grid_bins(sample.scores)
    n_cells = sample.n_participants * n_bins
    everything = np.bincount(cell, minlength=n_cells).reshape(-1, n_bins).astype(np.float64)
    positives = np.bincount(cell, weights=sample.labels, minlength=n_cells).reshape(-1, n_bins)
    area = np.empty(len(weights))
    step = max(1, _CELLS_AT_ONCE // n_bins)
    for start in range(0, len(weights), step):
        some = weights[start : start + step]
        area[start : start + step] = grid_area(some @ positives, some @ everything)
    return area


class _Ranked(NamedTuple):
    """Items from high to low score, down to the last positive.

    A step ends with a run of equal scores that holds a positive; the negatives above that run belong to it too. Recall
    changes at the ends of steps only, so that nothing else needs to be looked at.
    """

    participant: Int[np.ndarray, " items"]
    is_positive: Bool[np.ndarray, " items"]
    is_tied: Bool[np.ndarray, " items"]  # in the run of equal scores that ends its step
    start: Int[np.ndarray, " borders"]  # first item of each step, and one past the last step


def _rank(sample: Sample) -> _Ranked:
    order = np.argsort(-sample.scores, kind="stable")
    score, is_positive = sample.scores[order], sample.labels[order] == 1
    run = np.cumsum(np.append(True, score[1:] != score[:-1])) - 1
    run_has_positive = np.bincount(run, weights=is_positive) > 0
    step_of_run: Int[np.ndarray, " runs"] = np.cumsum(run_has_positive) - run_has_positive
    step: Int[np.ndarray, " items"] = step_of_run[run]
    start = np.searchsorted(step, np.arange(run_has_positive.sum() + 1))
    return _Ranked(sample.participants[order], is_positive, run_has_positive[run], start)


def _ranking_metrics(
    sample: Sample, weights: Float[np.ndarray, "draws participants"]
) -> tuple[Float[np.ndarray, " draws"], Float[np.ndarray, " draws"]]:
    """Return ``ap`` and ``auroc`` of every draw; anything but an error where a draw lacks a class.

    Counts per participant, accumulated step by step, turn into counts per draw by one matrix product a block of steps.
    For ``auroc`` the counts are first brought together over all steps: entry (a, b) of a matrix says how often a
    positive of participant a ranks below a negative of participant b.
    """
    ranked = _rank(sample)
    n_steps, n_people = len(ranked.start) - 1, sample.n_participants
    ap = np.zeros(len(weights))
    lost = np.zeros((n_people, n_people))
    # What blocks before this one hold: a block goes on where the last one ended, as if all steps were one array.
    seen, seen_positive = np.zeros(n_people), np.zeros(n_people)
    tp_before = np.zeros((1, len(weights)))
    # A block is as long as its two widest arrays allow: steps times participants, and steps times draws. 256,744 frames
    # times 1,000 draws in one piece would take 2 GB.
    n_at_once = max(1, _CELLS_AT_ONCE // max(n_people, len(weights)))
    for first in range(0, n_steps, n_at_once):
        edges = ranked.start[first : first + n_at_once + 1]
        everything, positive, tied_negative = _counts_per_step(ranked, edges, n_people)
        everything_so_far = seen + np.cumsum(everything, axis=0)
        positive_so_far = seen_positive + np.cumsum(positive, axis=0)
        seen, seen_positive = everything_so_far[-1], positive_so_far[-1]
        # The negatives of a step are above its positives, but for those tied with them: half of these count.
        lost += positive.T @ (everything_so_far - positive_so_far - tied_negative / 2)
        tp = positive_so_far @ weights.T
        gained = np.diff(tp, axis=0, prepend=tp_before)
        tp_before = tp[-1:]
        # Recall gained times precision, at the end of each step; in place, since these arrays are the largest here.
        gained *= tp
        gained /= np.maximum(everything_so_far @ weights.T, 1)  # where it is 0, so is what was gained
        ap += gained.sum(axis=0)
    n_positive = weights @ np.bincount(sample.participants, weights=sample.labels, minlength=n_people)
    n_negative = weights @ np.bincount(sample.participants, weights=1 - sample.labels, minlength=n_people)
    # Pairs of a positive and a negative in a draw: participant a, drawn w_a times, against b, drawn w_b times.
    n_lost = ((weights @ lost) * weights).sum(axis=1)
    return ap / np.maximum(n_positive, 1), 1 - n_lost / np.maximum(n_positive * n_negative, 1)


def _counts_per_step(
    ranked: _Ranked, edges: Int[np.ndarray, " borders"], n_people: int
) -> tuple[Float[np.ndarray, "steps participants"], ...]:
    """Return how many items, positives, and negatives tied with a positive each participant has in each step."""
    items = slice(edges[0], edges[-1])
    n_steps = len(edges) - 1
    step = np.repeat(np.arange(n_steps), np.diff(edges))
    cell = step * n_people + ranked.participant[items]
    is_positive = ranked.is_positive[items]

    def count(chosen: Bool[np.ndarray, " items"] | slice) -> Float[np.ndarray, "steps participants"]:
        return np.bincount(cell[chosen], minlength=n_steps * n_people).reshape(n_steps, n_people).astype(np.float64)

    return count(slice(None)), count(is_positive), count(ranked.is_tied[items] & ~is_positive)
