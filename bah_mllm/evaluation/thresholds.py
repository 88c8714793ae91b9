"""What would a tuned threshold bring? Chosen on other participants, and set beside what tuning seems to bring.

The participants of the judged items are dealt into folds; the items of each fold get the threshold that does best on
all other participants. The difference between that (nested) and a threshold tuned and judged on the same items
(in sample) is the optimism: what a paper that tunes on its test data overstates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.evaluation.align import Aligned, align
from bah_mllm.evaluation.bootstrap import DEFAULT_DRAWS, bounds_of, draw_metrics
from bah_mllm.evaluation.counts import f1_from_counts
from bah_mllm.evaluation.evaluate import check_settings
from bah_mllm.evaluation.labels import Labels
from bah_mllm.evaluation.metrics import HARD_METRICS
from bah_mllm.evaluation.per_draw import Sample
from bah_mllm.evaluation.population import Population, sample_of
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

__all__ = ["MIN_TUNING_PARTICIPANTS", "NestedThreshold", "best_threshold", "deal_participants", "nested_thresholds"]

MIN_TUNING_PARTICIPANTS = 5


@dataclass(frozen=True, slots=True)
class NestedThreshold:
    """A system with thresholds chosen on other participants.

    Args:
        system: As in the rows.
        window_frames: The window asked for, or None.
        aggregation: How rows became scores.
        metric: What the thresholds maximise.
        left_out: Why there is no result; then the fields below are None or empty.
        n: Items judged.
        n_participants: Whose items these are.
        n_folds: Folds of participants.
        thresholds: That of each fold, chosen on all other folds.
        nested: Metric name to its value with these thresholds.
        ci: Metric name to the 95 % interval of ``nested``, thresholds held.
        fixed: ``metric`` at the threshold 0.5.
        in_sample_threshold: The threshold that does best on all items.
        in_sample: ``metric`` with it, on the same items.
        optimism: ``in_sample`` minus its ``nested`` value.
    """

    system: str
    window_frames: int | None
    aggregation: str
    metric: str
    left_out: str | None = None
    n: int | None = None
    n_participants: int | None = None
    n_folds: int | None = None
    thresholds: tuple[float, ...] = ()
    nested: Mapping[str, float] | None = None
    ci: Mapping[str, tuple[float, float] | None] | None = None
    fixed: float | None = None
    in_sample_threshold: float | None = None
    in_sample: float | None = None
    optimism: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers."""
        return asdict(self)


def nested_thresholds(  # noqa: PLR0913 - settings by name
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    *,
    level: Level | str,
    split: str | None,
    metric: str = "macro_f1",
    n_folds: int = 5,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> tuple[NestedThreshold, ...]:
    """Tune every system's threshold by cross-validation over participants.

    A system whose items belong to fewer than five participants, or are all of one class, is left out with the reason.

    Args:
        rows: Prediction rows, or a table with the columns of the schema.
        labels: Of the whole data set.
        level: ``frame`` or ``video``.
        split: Whose videos are judged; all videos where None.
        metric: ``f1``, ``f1_negative``, ``macro_f1``, ``wf1`` or ``accuracy``.
        n_folds: At least 2; at most one a participant are made.
        n_draws: Draws for the intervals; 0 for none.
        seed: Of the folds and of the draws.
        unanswered: How items without an answer of a system are judged.

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: A setting is impossible.
    """
    check_settings(0.5, n_draws)
    if metric not in HARD_METRICS:
        raise ConfigError(
            f"A threshold cannot be chosen for {metric!r}.", remedy=f"Choose from: {', '.join(HARD_METRICS)}."
        )
    if n_folds < 2:
        raise ConfigError(f"{n_folds} folds leave nothing to tune on.", remedy="Give 2 or more.")
    aligned = align(rows, labels, level=Level(level), split=split, unanswered=unanswered)
    return tuple(
        _nested(system, aligned.population, metric, n_folds=n_folds, n_draws=n_draws, seed=seed)
        for system in aligned.systems
    )


def _nested(
    system: Aligned, population: Population, metric: str, *, n_folds: int, n_draws: int, seed: int
) -> NestedThreshold:
    sample = sample_of(population, system.items, system.scores)
    identity = (system.system, system.window_frames, system.aggregation, metric)
    if sample.n_participants < MIN_TUNING_PARTICIPANTS:
        return NestedThreshold(*identity, left_out=f"fewer than {MIN_TUNING_PARTICIPANTS} participants")
    if sample.labels.min() == sample.labels.max():
        return NestedThreshold(*identity, left_out="all labels are the same")
    fold = deal_participants(sample.n_participants, n_folds=n_folds, seed=seed)
    fold_of_item = fold[sample.participants]
    thresholds = tuple(
        best_threshold(sample.labels[fold_of_item != k], sample.scores[fold_of_item != k], metric=metric)
        for k in range(int(fold.max()) + 1)
    )
    hard = sample.scores > np.array(thresholds)[fold_of_item]
    nested = {name: function(sample.labels, hard) for name, function in HARD_METRICS.items()}
    best = best_threshold(sample.labels, sample.scores, metric=metric)
    in_sample = HARD_METRICS[metric](sample.labels, sample.scores > best)
    return NestedThreshold(
        *identity,
        n=len(hard),
        n_participants=sample.n_participants,
        n_folds=len(thresholds),
        thresholds=thresholds,
        nested=nested,
        ci=_intervals(sample, hard, n_draws=n_draws, seed=seed),
        fixed=HARD_METRICS[metric](sample.labels, sample.scores > 0.5),
        in_sample_threshold=best,
        in_sample=in_sample,
        optimism=in_sample - nested[metric],
    )


def _intervals(
    sample: Sample, hard: Bool[np.ndarray, " items"], *, n_draws: int, seed: int
) -> dict[str, tuple[float, float] | None]:
    if n_draws == 0:
        return dict.fromkeys(HARD_METRICS)
    tuned = Sample(sample.labels, hard.astype(np.float64), sample.participants, sample.n_participants)
    drawn = draw_metrics(tuned, n_draws=n_draws, seed=seed, names=tuple(HARD_METRICS))
    return {name: bounds_of(some, metric=name) for name, some in drawn.items()}


def deal_participants(n_participants: int, *, n_folds: int, seed: int) -> Int[np.ndarray, " participants"]:
    """Return the fold of each participant: shuffled, then dealt in turn, so that folds differ by one at most."""
    order = np.random.default_rng(seed).permutation(n_participants)
    fold = np.empty(n_participants, dtype=np.int64)
    fold[order] = np.arange(n_participants) % min(n_folds, n_participants)
    return fold


def best_threshold(labels: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"], *, metric: str) -> float:
    """Return the threshold, 0 to below 1, at which ``score > threshold`` has the highest value of a metric.

    It lies midway between two neighbouring scores; of equally good ones it is the one nearest to 0.5.

    Args:
        labels: 0 or 1, shape (items,); at least one item.
        scores: Probabilities from 0 to 1, shape (items,).
        metric: A name in ``HARD_METRICS``.
    """
    values, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, weights=labels, minlength=len(values))
    negatives = np.bincount(place, minlength=len(values)) - positives
    # With the k-th candidate, the k lowest distinct scores are called negative.
    fn, tn = np.append(0, np.cumsum(positives)), np.append(0, np.cumsum(negatives))
    tp, fp = fn[-1] - fn, tn[-1] - tn
    middle = values[:-1] + (values[1:] - values[:-1]) / 2
    candidates = np.concatenate([[values[0] / 2], np.minimum(middle, np.nextafter(values[1:], 0)), [values[-1]]])
    # A score of 0 is positive under no threshold, and one of 1 under all below 1.
    is_possible = np.ones(len(candidates), dtype=bool)
    is_possible[0] = values[0] > 0
    is_possible[-1] = values[-1] < 1
    worth = np.where(is_possible, _worth(metric, tp=tp, fp=fp, fn=fn, tn=tn), -1.0)
    best = np.flatnonzero(worth >= worth.max() - 1e-12)
    return float(candidates[best[np.abs(candidates[best] - 0.5).argmin()]])


def _worth(
    metric: str,
    *,
    tp: Float[np.ndarray, " k"],
    fp: Float[np.ndarray, " k"],
    fn: Float[np.ndarray, " k"],
    tn: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    f1, f1_negative = f1_from_counts(tp, fp, fn), f1_from_counts(tn, fn, fp)
    n = tp + fp + fn + tn
    return np.asarray(
        {
            "f1": f1,
            "f1_negative": f1_negative,
            "macro_f1": (f1 + f1_negative) / 2,
            "wf1": (f1 * (tp + fn) + f1_negative * (tn + fp)) / n,
            "accuracy": (tp + tn) / n,
        }[metric]
    )
