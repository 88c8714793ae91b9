"""Several seeds of one method as one result, with the luck of the seed in its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.evaluation.align import Aligned, Alignment, align
from bah_mllm.evaluation.bootstrap import DEFAULT_DRAWS, Drawn, bounds_of, draw_metrics
from bah_mllm.evaluation.evaluate import check_settings
from bah_mllm.evaluation.labels import Labels
from bah_mllm.evaluation.metrics import METRICS, point_metrics
from bah_mllm.evaluation.per_draw import Sample
from bah_mllm.evaluation.population import sample_of
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float

__all__ = ["PooledSeeds", "pool_seeds"]


@dataclass(frozen=True, slots=True)
class PooledSeeds:
    """A method over several seeds, on the items that all of them scored.

    Args:
        system: Name of the method.
        window_frames: The window asked for, or None.
        aggregation: How rows became scores.
        seeds: Names of the systems that were pooled.
        n: Items that all of them scored.
        n_participants: Whose items these are.
        metrics: Metric name to the mean over seeds; None where undefined.
        seed_sd: Metric name to the standard deviation over seeds (with n - 1).
        per_seed: Metric name to the value of each seed.
        ci: Metric name to a 95 % interval, of participants and of seeds; None without draws, or where undefined.
    """

    system: str
    window_frames: int | None
    aggregation: str
    seeds: tuple[str, ...]
    n: int
    n_participants: int
    metrics: Mapping[str, float | None]
    seed_sd: Mapping[str, float | None]
    per_seed: Mapping[str, tuple[float | None, ...]]
    ci: Mapping[str, tuple[float, float] | None]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers."""
        return asdict(self)


def pool_seeds(  # noqa: PLR0913 - settings by name
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    methods: Mapping[str, Sequence[str]],
    *,
    level: Level | str,
    split: str | None,
    threshold: float = 0.5,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> tuple[PooledSeeds, ...]:
    """Pool the seeds of each method.

    Args:
        rows: Prediction rows, or a table with the columns of the schema.
        labels: Of the whole data set.
        methods: Name of a method to the systems in the rows that are its seeds; two or more.
        level: ``frame`` or ``video``.
        split: Whose videos are judged; all videos where None.
        threshold: Positive where score > threshold.
        n_draws: 0 for no intervals.
        seed: Of the draws.
        unanswered: How items without an answer of a system are judged.

    Returns:
        One entry per method, window and aggregation that all of its seeds have.

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: A system is not there, or a setting is impossible.
    """
    check_settings(threshold, n_draws)
    aligned = align(rows, labels, level=Level(level), split=split, unanswered=unanswered)
    there = {one.system for one in aligned.systems}
    pooled = []
    for name, seeds in methods.items():
        missing = sorted(set(seeds) - there)
        if missing or len(set(seeds)) < 2:
            what = f"has no seed {missing[0]!r}" if missing else "has fewer than two seeds"
            raise ConfigError(f"The method {name!r} {what}.", remedy=f"Choose from: {', '.join(sorted(there))}.")
        of_method = [one for one in aligned.systems if one.system in seeds]
        for kind in dict.fromkeys((one.window_frames, one.aggregation) for one in of_method):
            lines = [one for one in of_method if (one.window_frames, one.aggregation) == kind]
            if len(lines) == len(set(seeds)):
                pooled.append(_pool(name, lines, aligned, threshold=threshold, n_draws=n_draws, seed=seed))
    return tuple(pooled)


def _pool(
    name: str, lines: Sequence[Aligned], aligned: Alignment, *, threshold: float, n_draws: int, seed: int
) -> PooledSeeds:
    items = reduce(np.intersect1d, (line.items for line in lines))
    samples = [sample_of(aligned.population, items, line.scores[np.searchsorted(line.items, items)]) for line in lines]
    points = [point_metrics(sample.labels, sample.scores, threshold=threshold) for sample in samples]
    per_seed = {metric: tuple(point[metric] for point in points) for metric in METRICS}
    is_defined = {metric: None not in values for metric, values in per_seed.items()}
    known = {metric: np.array(per_seed[metric], dtype=np.float64) for metric in METRICS}
    ci: dict[str, tuple[float, float] | None] = dict.fromkeys(METRICS)
    if n_draws and samples[0].n_participants > 1:
        found = _draw(samples, threshold=threshold, n_draws=n_draws, seed=seed)
        ci = {metric: bounds_of(found[metric], metric=metric) if is_defined[metric] else None for metric in METRICS}
    return PooledSeeds(
        system=name,
        window_frames=lines[0].window_frames,
        aggregation=lines[0].aggregation,
        seeds=tuple(line.system for line in lines),
        n=len(items),
        n_participants=samples[0].n_participants,
        metrics={metric: float(known[metric].mean()) if is_defined[metric] else None for metric in METRICS},
        seed_sd={metric: float(known[metric].std(ddof=1)) if is_defined[metric] else None for metric in METRICS},
        per_seed=per_seed,
        ci=ci,
    )


def _draw(samples: Sequence[Sample], *, threshold: float, n_draws: int, seed: int) -> dict[str, Drawn]:
    """Return each metric's mean over seeds; in every draw over as many seeds, drawn with replacement."""
    drawn = [draw_metrics(sample, threshold=threshold, n_draws=n_draws, seed=seed) for sample in samples]
    n = len(samples)
    # Another stream than that of the participants, which begins with the same seed.
    times = np.random.default_rng([seed, 1]).multinomial(n, np.full(n, 1 / n), size=n_draws)
    found = {}
    for metric in METRICS:
        values: Float[np.ndarray, "draws seeds"] = np.stack([one[metric].values for one in drawn], axis=1)
        found[metric] = Drawn(
            point=float(np.mean([one[metric].point for one in drawn])),
            values=(values * times).sum(axis=1) / n,
            without_one=np.mean([one[metric].without_one for one in drawn], axis=0),
        )
    return found
