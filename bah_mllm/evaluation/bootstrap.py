"""How sure are we? A bootstrap over participants, for every metric and for differences between two systems.

Frames of one video and videos of one person resemble each other, so that whole participants are drawn, with
replacement. No array is ever resampled: a draw is a vector of counts (how often each participant was drawn), and

- the F1 family, accuracy, ``ap_bah``, Brier and ECE need sums per participant only: one matrix product for all draws;
- ``ap`` and ``auroc`` need the items in order of their scores: they are sorted once, and counted per participant down
  that order; again a matrix product turns these counts into those of a draw.

The draws equal those of naive resampling, to rounding. Plain percentiles of them are too narrow for some fifty
participants who differ much; ``bounds_of`` says what is done about it, docs/design/intervals.md how well it works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation.counts import GRID, N_ECE_BINS, ece_bins, f1_from_counts, grid_area, grid_bins
from bah_mllm.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Int8

__all__ = [
    "DEFAULT_DRAWS",
    "Drawn",
    "Interval",
    "PairedDifference",
    "Sample",
    "bounds_of",
    "draw_metrics",
    "draw_participants",
    "draws_and_leave_one_out",
    "intervals",
    "metrics_per_draw",
    "paired_bootstrap",
    "paired_difference",
]

DEFAULT_DRAWS = 1000

_NO_VARIANCE = 1e-24  # rounding errors of a metric that does not depend on who is left out

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


class Interval(NamedTuple):
    """A 95 % interval.

    Args:
        bounds: Low and high; None where no draw defined the metric, or with fewer than two participants.
        n_undefined: Draws that left the metric undefined, and are left out.
    """

    bounds: tuple[float, float] | None
    n_undefined: int


class Drawn(NamedTuple):
    """One metric, or a difference of two.

    Args:
        point: On all items.
        values: On every draw; NaN where undefined.
        without_one: Without each participant; NaN for those without items, and where undefined.
    """

    point: float
    values: Float[np.ndarray, " draws"]
    without_one: Float[np.ndarray, " participants"]

    @classmethod
    def split(cls, values: Float[np.ndarray, " rows"], n_participants: int) -> Drawn:
        """Take values on the rows of ``draws_and_leave_one_out`` apart."""
        return cls(float(values[0]), values[n_participants + 1 :], values[1 : n_participants + 1])

    @property
    def n_undefined(self) -> int:
        """How many draws leave the metric undefined."""
        return int(np.isnan(self.values).sum())

    def minus(self, other: Drawn) -> Drawn:
        """Return the difference to what has the same draws: another system, or another group of the same people."""
        neither = np.isnan(self.without_one) & np.isnan(other.without_one)
        ours, theirs = (np.where(np.isnan(one.without_one), one.point, one.without_one) for one in (self, other))
        return Drawn(self.point - other.point, self.values - other.values, np.where(neither, np.nan, ours - theirs))


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much better one system is than another, on the same items and the same draws.

    Args:
        bounds: 95 % interval of the difference (first minus second); None where undefined.
        p_value: Two-sided, from the share of draws on the other side of zero; never 0, at most 1. None where undefined.
        n_undefined: Draws that left the metric undefined, and are left out.
    """

    bounds: tuple[float, float] | None
    p_value: float | None
    n_undefined: int


def draw_participants(n_participants: int, *, n_draws: int, seed: int) -> Int[np.ndarray, "draws participants"]:
    """Return how often each participant is drawn in each draw of ``n_participants`` with replacement."""
    shares = np.full(n_participants, 1.0 / n_participants)
    return np.random.default_rng(seed).multinomial(n_participants, shares, size=n_draws)


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


def draw_metrics(
    sample: Sample, *, threshold: float = 0.5, n_draws: int, seed: int, names: Sequence[str] = METRICS
) -> dict[str, Drawn]:
    """Draw participants, and return metrics on all items, on every draw and without each participant.

    Args:
        sample: The items. Participants without an item are drawn too.
        threshold: Positive where score > threshold.
        n_draws: At least 1.
        seed: Same seed, same number of participants: same draws.
        names: Which metrics.
    """
    counts = draws_and_leave_one_out(sample.n_participants, n_draws=n_draws, seed=seed)
    is_absent = np.bincount(sample.participants, minlength=sample.n_participants) == 0
    found = {}
    for name, values in metrics_per_draw(sample, counts, threshold=threshold, names=names).items():
        drawn = Drawn.split(values, sample.n_participants)
        found[name] = drawn._replace(without_one=np.where(is_absent, np.nan, drawn.without_one))
    return found


def draws_and_leave_one_out(n_participants: int, *, n_draws: int, seed: int) -> Int[np.ndarray, "rows participants"]:
    """Return counts of participants: all once, then all but one in turn, then the draws; see ``Drawn.split``."""
    counts = draw_participants(n_participants, n_draws=n_draws, seed=seed)
    once = np.ones((n_participants + 1, n_participants), dtype=counts.dtype)
    once[np.arange(n_participants) + 1, np.arange(n_participants)] = 0
    return np.concatenate([once, counts])


def intervals(
    sample: Sample, *, threshold: float, n_draws: int, seed: int, names: Sequence[str] = METRICS
) -> dict[str, Interval]:
    """Return a 95 % interval for every metric; see ``bounds_of``.

    Args:
        sample: The items.
        threshold: Positive where score > threshold.
        n_draws: 0 for no intervals.
        seed: Same seed, same number of participants: same draws.
        names: Which metrics.
    """
    if n_draws == 0 or sample.n_participants < 2:
        return dict.fromkeys(names, Interval(None, 0))
    drawn = draw_metrics(sample, threshold=threshold, n_draws=n_draws, seed=seed, names=names)
    return {name: Interval(bounds_of(some, metric=name), some.n_undefined) for name, some in drawn.items()}


def paired_bootstrap(
    first: Sample, second: Sample, *, threshold: float = 0.5, n_draws: int = DEFAULT_DRAWS, seed: int = 0
) -> dict[str, PairedDifference]:
    """Compare two systems on the same items, drawing the same participants for both.

    Args:
        first: Scores of the first system.
        second: Scores of the second; labels and participants must be those of the first.
        threshold: Positive where score > threshold.
        n_draws: At least 1.
        seed: Of the draws.

    Raises:
        DataError: The items differ.

    Returns:
        Metric name to the difference "first minus second".
    """
    if not (np.array_equal(first.labels, second.labels) and np.array_equal(first.participants, second.participants)):
        raise DataError(
            "Two systems can be compared on the same items only.",
            remedy="Take the items that both have scored, in the same order.",
        )
    if first.n_participants < 2:
        return dict.fromkeys(METRICS, PairedDifference(None, None, 0))
    ours, theirs = (draw_metrics(sample, threshold=threshold, n_draws=n_draws, seed=seed) for sample in (first, second))
    return {name: paired_difference(ours[name].minus(theirs[name])) for name in METRICS}


def paired_difference(drawn: Drawn) -> PairedDifference:
    """Return interval and p-value of a difference from its values on the draws."""
    known = drawn.values[~np.isnan(drawn.values)]
    if not len(known):
        return PairedDifference(None, None, drawn.n_undefined)
    from scipy.special import ndtri, stdtr

    # One draw is added to both sides: a p-value of exactly 0 cannot come from finitely many draws.
    n_below, n_above = int((known <= 0).sum()), int((known >= 0).sum())
    share = min(0.5, (min(n_below, n_above) + 1) / (len(known) + 1))
    n, freedom = _freedom(drawn)
    p_value = min(1.0, 2 * float(stdtr(freedom, ndtri(share) * np.sqrt((n - 1) / n))))
    return PairedDifference(bounds_of(drawn), p_value, drawn.n_undefined)


def bounds_of(drawn: Drawn, *, metric: str = "") -> tuple[float, float] | None:
    """Return a 95 % interval from the draws of a metric; None where no draw defines it.

    Percentiles of the draws, further out than 2.5 and 97.5: as far as quantiles of Student's t lie further out than
    those of the normal distribution, for as many degrees of freedom as the participants' influences on the metric give
    (few where a few people decide), and by the factor by which the spread of n draws from n falls short.

    ``ece`` is above its true value in small samples, and draws are so once more above it: its interval is moved down by
    twice the difference between the mean of the draws and the value.

    Args:
        drawn: The metric, or a difference.
        metric: Its name, where it is a metric.

    References:
        Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3 (expanded percentiles);
        Satterthwaite 1946 (degrees of freedom).
    """
    known = drawn.values[~np.isnan(drawn.values)]
    if not len(known):
        return None
    from scipy.special import ndtr, stdtrit

    n, freedom = _freedom(drawn)
    tail = float(ndtr(stdtrit(freedom, 0.025) * np.sqrt(n / (n - 1))))
    low, high = np.quantile(known, [tail, 1 - tail])
    if metric == "ece":
        low, high = np.maximum(np.array([low, high]) - 2 * (known.mean() - drawn.point), 0)
    return float(low), float(high)


def _freedom(drawn: Drawn) -> tuple[int, float]:
    """Return how many participants there are, and how many degrees of freedom their influences leave, 3 to n - 1.

    A variance estimated from n values of kurtosis k varies as one with ``2 n / (k - (n - 3) / (n - 1))`` degrees.
    """
    known = drawn.without_one[~np.isnan(drawn.without_one)]
    n = max(len(known), 2)
    influence = known - known.mean() if len(known) else known
    square = float((influence**2).mean()) if len(known) else 0.0
    if square < _NO_VARIANCE:
        return n, max(n - 1.0, 3.0)
    kurtosis = float((influence**4).mean()) / square**2
    return n, float(np.clip(2 * n / max(kurtosis - (n - 3) / (n - 1), 1e-9), 3, max(n - 1, 3)))


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
    seen, seen_positive = np.zeros(n_people), np.zeros(n_people)
    tp_before = np.zeros((1, len(weights)))
    n_at_once = max(1, _CELLS_AT_ONCE // max(n_people, len(weights)))
    for first in range(0, n_steps, n_at_once):
        edges = ranked.start[first : first + n_at_once + 1]
        everything, positive, tied_negative = _counts_per_step(ranked, edges, n_people)
        everything_so_far = seen + np.cumsum(everything, axis=0)
        positive_so_far = seen_positive + np.cumsum(positive, axis=0)
        seen, seen_positive = everything_so_far[-1], positive_so_far[-1]
        lost += positive.T @ (everything_so_far - positive_so_far - tied_negative / 2)
        tp = positive_so_far @ weights.T
        gained = np.diff(tp, axis=0, prepend=tp_before)
        tp_before = tp[-1:]
        gained *= tp
        gained /= np.maximum(everything_so_far @ weights.T, 1)  # where it is 0, so is what was gained
        ap += gained.sum(axis=0)
    n_positive = weights @ np.bincount(sample.participants, weights=sample.labels, minlength=n_people)
    n_negative = weights @ np.bincount(sample.participants, weights=1 - sample.labels, minlength=n_people)
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
