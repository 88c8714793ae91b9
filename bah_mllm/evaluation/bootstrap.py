"""How sure are we? A bootstrap over participants, for every metric and for differences between two systems.

Frames of one video and videos of one person resemble each other, so that whole participants are drawn, with
replacement. No array is ever resampled: a draw is a vector of counts, how often each participant was drawn, and
``per_draw`` says what every metric is on it. Plain percentiles of them are too narrow for some fifty
participants who differ much; ``bounds_of`` says what is done about it, docs/design/intervals.md how well it works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation.metrics import METRICS
from bah_mllm.evaluation.per_draw import Sample, metrics_per_draw

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = [
    "DEFAULT_DRAWS",
    "Drawn",
    "Interval",
    "PairedDifference",
    "bounds_of",
    "draw_metrics",
    "draw_participants",
    "draws_and_leave_one_out",
    "intervals",
    "paired_bootstrap",
    "paired_difference",
]

DEFAULT_DRAWS = 1000

_NO_VARIANCE = 1e-24  # rounding errors of a metric that does not depend on who is left out


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
