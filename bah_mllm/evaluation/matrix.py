"""Everything with everything: every system against every other, with p-values that allow for all pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.evaluation.align import Alignment, align
from bah_mllm.evaluation.bootstrap import DEFAULT_DRAWS, Drawn, PairedDifference, draw_metrics, paired_difference
from bah_mllm.evaluation.compare import Difference, difference_of
from bah_mllm.evaluation.evaluate import check_settings
from bah_mllm.evaluation.labels import Labels
from bah_mllm.evaluation.metrics import METRICS, point_metrics
from bah_mllm.evaluation.per_draw import Sample
from bah_mllm.evaluation.population import sample_of
from bah_mllm.evaluation.shared_labels import SharedLabels, labels_in_common
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

__all__ = ["ChangedVideo", "ComparisonMatrix", "Line", "Pair", "compare_all", "holm"]


class Line(NamedTuple):
    """One line of a result table: a system, its window, how its rows became scores, and how often it did not answer."""

    system: str
    window_frames: int | None
    aggregation: str
    n_unanswered: int = 0


class ChangedVideo(NamedTuple):
    """A video about which two systems differ.

    Args:
        video_id: Which video.
        n: Items of it that both scored: frames, or 1.
        distance: Mean absolute difference of the scores.
        change: Mean of the first's scores minus the second's.
        n_other_label: Items with another hard label.
    """

    video_id: str
    n: int
    distance: float
    change: float
    n_other_label: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two lines, on the items that both scored.

    Args:
        first: Place in ``ComparisonMatrix.lines``.
        second: Another place, after the first.
        n: Items that both scored.
        n_participants: Whose items these are.
        differences: Per metric, first minus second.
        p_holm: Per metric, the p-value with all pairs of the matrix allowed for (Holm 1979); None where undefined.
        agreement: Of their hard labels; None without common items.
        changed: The videos with the greatest distances, greatest first; those without any are left out.
    """

    first: int
    second: int
    n: int
    n_participants: int
    differences: Mapping[str, Difference]
    p_holm: Mapping[str, float | None]
    agreement: SharedLabels | None
    changed: tuple[ChangedVideo, ...]


@dataclass(frozen=True, slots=True)
class ComparisonMatrix:
    """Every line against every other.

    Args:
        lines: Of the result table.
        pairs: All pairs (first before second).
        level: What was judged.
        split: Whose items; None for all.
        threshold: Positive where score > threshold.
        n_draws: Draws of participants.
        seed: Of these draws.
        unanswered: How items without an answer are judged.
    """

    lines: tuple[Line, ...]
    pairs: tuple[Pair, ...]
    level: str
    split: str | None
    threshold: float
    n_draws: int
    seed: int
    unanswered: Unanswered = Unanswered.LEAVE_OUT

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dictionaries and numbers."""
        plain = {name: getattr(self, name) for name in ("level", "split", "threshold", "n_draws", "seed")}
        plain["unanswered"] = self.unanswered.value
        plain["lines"] = [line._asdict() for line in self.lines]
        plain["pairs"] = [
            asdict(pair)
            | {
                "agreement": None if pair.agreement is None else pair.agreement._asdict(),
                "changed": [video._asdict() for video in pair.changed],
            }
            for pair in self.pairs
        ]
        return plain


def compare_all(  # noqa: PLR0913 - settings by name
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    *,
    level: Level | str,
    split: str | None,
    threshold: float = 0.5,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    n_changed: int = 10,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> ComparisonMatrix:
    """Compare every system (window, aggregation) with every other.

    Args:
        rows: Prediction rows of all systems together, or a table.
        labels: Of the whole data set.
        level: ``frame`` or ``video``.
        split: Whose videos are judged; all videos where None.
        threshold: Positive where score > threshold.
        n_draws: Bootstrap draws; 0 for differences alone.
        seed: Of these draws.
        n_changed: How many of the videos that changed most are named for each pair.
        unanswered: How items without an answer of a system are judged.

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: There is but one system, or a setting is impossible.
    """
    check_settings(threshold, n_draws)
    level = Level(level)
    aligned = align(rows, labels, level=level, split=split, unanswered=unanswered)
    if len(aligned.systems) < 2:
        raise ConfigError(
            "There is one system (window, aggregation) only: nothing to compare.",
            remedy="Name two or more runs, or files of predictions.",
        )
    matcher = _Matcher(aligned, threshold, n_draws, seed, n_changed, {})
    places = range(len(aligned.systems))
    pairs = [matcher.pair(first, second) for first in places for second in places[first + 1 :]]
    return ComparisonMatrix(
        lines=tuple(Line(one.system, one.window_frames, one.aggregation, one.n_unanswered) for one in aligned.systems),
        pairs=_allow_for_all(pairs),
        level=level.value,
        split=split,
        threshold=threshold,
        n_draws=n_draws,
        seed=seed,
        unanswered=unanswered,
    )


class _Judged(NamedTuple):
    """One line on some items."""

    sample: Sample
    points: Mapping[str, float | None]
    drawn: Mapping[str, Drawn] | None


@dataclass(frozen=True, slots=True)
class _Matcher:
    """Makes pairs; what a line is worth on a set of items is worked out once."""

    aligned: Alignment
    threshold: float
    n_draws: int
    seed: int
    n_changed: int
    known: dict[tuple[int, bytes], _Judged]

    def pair(self, first: int, second: int) -> Pair:
        ours, theirs = self.aligned.systems[first], self.aligned.systems[second]
        items, in_ours, in_theirs = np.intersect1d(ours.items, theirs.items, assume_unique=True, return_indices=True)
        one, other = (
            self._judged(first, items, ours.scores[in_ours]),
            self._judged(second, items, theirs.scores[in_theirs]),
        )
        differences = {}
        for name in METRICS:
            drawn = PairedDifference(None, None, 0)
            if one.drawn is not None and other.drawn is not None:
                drawn = paired_difference(one.drawn[name].minus(other.drawn[name]))
            differences[name] = difference_of(one.points[name], other.points[name], drawn)
        a, b = one.sample.scores > self.threshold, other.sample.scores > self.threshold
        return Pair(
            first=first,
            second=second,
            n=len(items),
            n_participants=one.sample.n_participants,
            differences=differences,
            p_holm={name: difference.p_value for name, difference in differences.items()},
            agreement=labels_in_common(one.sample.labels, a, b) if len(items) else None,
            changed=self._changed(items, one.sample.scores - other.sample.scores, a != b),
        )

    def _judged(self, line: int, items: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"]) -> _Judged:
        key = (line, items.tobytes())
        if key not in self.known:
            sample = sample_of(self.aligned.population, items, scores)
            can_draw = self.n_draws > 0 and sample.n_participants > 1
            drawn = (
                draw_metrics(sample, threshold=self.threshold, n_draws=self.n_draws, seed=self.seed)
                if can_draw
                else None
            )
            points = point_metrics(sample.labels, sample.scores, threshold=self.threshold)
            self.known[key] = _Judged(sample, points, drawn)
        return self.known[key]

    def _changed(
        self,
        items: Int[np.ndarray, " items"],
        change: Float[np.ndarray, " items"],
        is_other_label: Bool[np.ndarray, " items"],
    ) -> tuple[ChangedVideo, ...]:
        population = self.aligned.population
        video = population.videos[items]
        n = np.bincount(video)
        distance, signed, n_other = (np.bincount(video, weights=w) for w in (np.abs(change), change, is_other_label))
        some = np.flatnonzero(distance > 0)
        order = some[np.lexsort((some, -(distance[some] / n[some])))][: self.n_changed]
        return tuple(
            ChangedVideo(
                population.video_ids[v], int(n[v]), float(distance[v] / n[v]), float(signed[v] / n[v]), int(n_other[v])
            )
            for v in order.tolist()
        )


def _allow_for_all(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the pairs with p-values adjusted over all of them, metric by metric."""
    adjusted = {name: holm([pair.differences[name].p_value for pair in pairs]) for name in METRICS}
    return tuple(
        replace(pair, p_holm={name: adjusted[name][place] for name in METRICS}) for place, pair in enumerate(pairs)
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values that allow for all tests made together; None stays None and is no test.

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted
