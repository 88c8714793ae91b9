"""Is a system better than a baseline? Paired differences on the items that both scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.evaluation.align import Aligned, Alignment, align
from bah_mllm.evaluation.anchors import anchor_scores
from bah_mllm.evaluation.bootstrap import DEFAULT_DRAWS, PairedDifference, paired_bootstrap
from bah_mllm.evaluation.evaluate import check_settings
from bah_mllm.evaluation.labels import Labels, TrainPrior
from bah_mllm.evaluation.metrics import METRICS, point_metrics
from bah_mllm.evaluation.population import Population, sample_of
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Difference", "compare_rows", "difference_of"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one metric. None where the metric is undefined.

    Args:
        value: System minus baseline.
        bounds: 95 % interval, by a bootstrap that draws the same participants for both.
        p_value: Two-sided.
        n_draws_undefined: Draws that left the metric undefined, and are left out.
    """

    value: float | None
    bounds: tuple[float, float] | None
    p_value: float | None
    n_draws_undefined: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system against a baseline, on the items that both scored.

    Args:
        system: Name of the system.
        window_frames: Its window, or None.
        aggregation: How its rows became scores.
        baseline: Name of the system or anchor that it is compared with.
        n: Items that both scored.
        n_participants: Whose items these are.
        differences: One per metric.
    """

    system: str
    window_frames: int | None
    aggregation: str
    baseline: str
    n: int
    n_participants: int
    differences: Mapping[str, Difference]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers."""
        return asdict(self)


def compare_rows(  # noqa: PLR0913 - settings by name
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    *,
    level: Level | str,
    split: str | None,
    baseline: str,
    threshold: float = 0.5,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> tuple[Comparison, ...]:
    """Compare every system with a baseline.

    Args:
        rows: Prediction rows of all systems together, or a table.
        labels: Of the whole data set.
        level: ``frame`` or ``video``.
        split: Whose videos are judged; all videos where None.
        baseline: Name of a system in the rows, or of an anchor (``question-prior`` ...). Where it has several windows
            or aggregations, like is compared with like as far as possible.
        threshold: Positive where score > threshold.
        n_draws: Bootstrap draws; 0 for differences alone.
        seed: Of these draws.
        unanswered: How items without an answer of a system are judged.

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: There is no such baseline, or a setting is impossible.
    """
    check_settings(threshold, n_draws)
    aligned = align(rows, labels, level=Level(level), split=split, unanswered=unanswered)
    references = _references(aligned, labels, baseline)
    return tuple(
        _compare(system, _most_alike(system, references), aligned.population, threshold, n_draws, seed)
        for system in aligned.systems
        if system.system != baseline
    )


def _compare(
    system: Aligned, reference: Aligned, population: Population, threshold: float, n_draws: int, seed: int
) -> Comparison:
    items, in_system, in_reference = np.intersect1d(
        system.items, reference.items, assume_unique=True, return_indices=True
    )
    first = sample_of(population, items, system.scores[in_system])
    second = sample_of(population, items, reference.scores[in_reference])
    drawn = paired_bootstrap(first, second, threshold=threshold, n_draws=n_draws, seed=seed)
    ours, theirs = (
        point_metrics(first.labels, first.scores, threshold=threshold),
        point_metrics(second.labels, second.scores, threshold=threshold),
    )
    differences = {name: difference_of(ours[name], theirs[name], drawn[name]) for name in METRICS}
    return Comparison(
        system=system.system,
        window_frames=system.window_frames,
        aggregation=system.aggregation,
        baseline=reference.system,
        n=len(items),
        n_participants=first.n_participants,
        differences=differences,
    )


def difference_of(ours: float | None, theirs: float | None, drawn: PairedDifference) -> Difference:
    """Return a difference with its interval and p-value; undefined where either metric is."""
    if ours is None or theirs is None:
        return Difference(None, None, None, drawn.n_undefined)
    return Difference(ours - theirs, drawn.bounds, drawn.p_value, drawn.n_undefined)


def _most_alike(system: Aligned, references: Sequence[Aligned]) -> Aligned:
    """Return the reference with the same aggregation, and among those with the same window, as far as there is one."""
    return max(
        references,
        key=lambda other: (other.aggregation == system.aggregation, other.window_frames == system.window_frames),
    )


def _references(aligned: Alignment, labels: Labels, baseline: str) -> Sequence[Aligned]:
    """Return the lines of the baseline; an anchor has one, on all items."""
    found = [system for system in aligned.systems if system.system == baseline]
    if found:
        return found
    population = aligned.population
    anchors = anchor_scores(population.questions, TrainPrior.count(labels, level=population.level))
    if baseline not in anchors.scores:
        why = f" ({anchors.left_out[baseline]})" if baseline in anchors.left_out else ""
        names = [*sorted({system.system for system in aligned.systems}), *anchors.scores]
        raise ConfigError(
            f"There is no baseline {baseline!r} to compare with{why}.", remedy=f"Choose one of: {', '.join(names)}."
        )
    return [
        Aligned(
            system=baseline,
            window_frames=None,
            aggregation="",
            items=np.arange(len(population.labels)),
            scores=anchors.scores[baseline],
            n_missing=0,
            n_unparsed=0,
            n_failed=0,
            n_incomplete_videos=0,
            has_labels_only=False,
        )
    ]
