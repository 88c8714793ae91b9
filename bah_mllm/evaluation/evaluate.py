"""The evaluator: rows and labels in; metrics, intervals, anchors and counts out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Unanswered, Variant
from bah_mllm.evaluation import metrics
from bah_mllm.evaluation.align import Aligned, Alignment, align
from bah_mllm.evaluation.anchors import anchor_scores
from bah_mllm.evaluation.bootstrap import DEFAULT_DRAWS, Drawn, bounds_of, draws_and_leave_one_out, intervals
from bah_mllm.evaluation.events import EventRule, event_scores, find_events
from bah_mllm.evaluation.labels import Labels, TrainPrior
from bah_mllm.evaluation.metrics import Confusion, point_metrics
from bah_mllm.evaluation.per_draw import Sample
from bah_mllm.evaluation.population import Population, sample_of
from bah_mllm.evaluation.results import Estimate, Evaluation, EventResult, ItemCounts, LineIdentity, Result
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int

__all__ = ["check_settings", "evaluate_rows"]

_FEW_PARTICIPANTS = 10  # the intervals were checked with 56; with a handful, one person decides


def evaluate_rows(  # noqa: PLR0913 - settings by name
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    *,
    level: Level | str,
    split: str | None,
    threshold: float = 0.5,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    train_prior: TrainPrior | None = None,
    events: EventRule | None = None,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> Evaluation:
    """Judge prediction rows.

    Args:
        rows: Prediction rows, or a table with the columns of the schema; of any number of systems.
        labels: Of the whole data set (the training split gives the anchors).
        level: ``frame`` or ``video``.
        split: Whose videos are judged; all videos where None.
        threshold: Positive where score > threshold; 0.5 unless chosen on other participants.
        n_draws: Bootstrap draws; 0 for no intervals.
        seed: Of these draws.
        train_prior: What the training split tells; counted from the labels' split ``train`` where None.
        events: How frame scores become segments; runs of positive frames as they are where None.
        unanswered: How items without an answer of a system are judged; anchors are judged on the same items.

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: The threshold or the number of draws is impossible.
    """
    level = Level(level)
    check_settings(threshold, n_draws)
    aligned = align(rows, labels, level=level, split=split, unanswered=unanswered)
    rater = _Rater(
        aligned.population, events or EventRule(), split=split, threshold=threshold, n_draws=n_draws, seed=seed
    )
    item_sets = _item_sets(aligned)
    results = tuple(rater.system(system, item_set=item_sets[_fingerprint(system.items)]) for system in aligned.systems)
    if train_prior is None:
        train_prior = TrainPrior.count(labels, level=level)
    items_of_set = {item_sets[_fingerprint(system.items)]: system.items for system in aligned.systems}
    anchors: list[Result] = []
    left_out: dict[str, str] = {}
    for item_set, items in items_of_set.items():
        made = anchor_scores(aligned.population.questions[items], train_prior)
        left_out |= made.left_out
        anchors += [rater.anchor(name, items, scores, item_set=item_set) for name, scores in made.scores.items()]
    notes = _general_notes(aligned, threshold, train_prior, split)
    reasons = MappingProxyType(left_out)
    return Evaluation(results, tuple(anchors), reasons, aligned.counts, notes, n_draws, seed, unanswered)


def check_settings(threshold: float, n_draws: int) -> None:
    """Refuse a threshold outside [0, 1) and a negative number of draws.

    Raises:
        ConfigError: One of them is.
    """
    if not 0 <= threshold < 1:
        raise ConfigError(
            f"The threshold is {threshold}, but must be from 0 to below 1.",
            remedy="Leave it at 0.5, or give one chosen on other participants.",
        )
    if n_draws < 0:
        raise ConfigError(f"The number of bootstrap draws is {n_draws}.", remedy="Give 0 for none, or 1000.")


def _fingerprint(items: Int[np.ndarray, " items"]) -> bytes:
    return items.tobytes()


def _item_sets(aligned: Alignment) -> dict[bytes, int]:
    """Number the distinct sets of scored items in the order of the systems."""
    return {items: number for number, items in enumerate(dict.fromkeys(_fingerprint(s.items) for s in aligned.systems))}


@dataclass(frozen=True, slots=True)
class _Rater:
    """Turns scores into lines, with the same settings for systems and anchors."""

    population: Population
    rule: EventRule
    split: str | None
    threshold: float
    n_draws: int
    seed: int

    def system(self, aligned: Aligned, *, item_set: int) -> Result:
        sample = sample_of(self.population, aligned.items, aligned.scores)
        return self._rate(
            self._identity(aligned.system, item_set, aligned=aligned),
            aligned.items,
            sample,
            unscored=_Unscored(aligned.n_missing, aligned.n_unparsed, aligned.n_failed),
            notes=(*_sample_notes(sample), *_system_notes(aligned)),
            unanswered=aligned.unanswered,
        )

    def anchor(
        self, name: str, items: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"], *, item_set: int
    ) -> Result:
        sample = sample_of(self.population, items, scores)
        return self._rate(self._identity(name, item_set), items, sample, unscored=_Unscored(0, 0, 0), notes=())

    def _identity(self, name: str, item_set: int, *, aligned: Aligned | None = None) -> LineIdentity:
        return LineIdentity(
            system=name,
            variant=None if aligned is None else Variant.MAIN.value,
            window_frames=None if aligned is None else aligned.window_frames,
            aggregation=None if aligned is None else aligned.aggregation,
            level=self.population.level.value,
            split=self.split,
            item_set=item_set,
        )

    def _rate(
        self,
        identity: LineIdentity,
        items: Int[np.ndarray, " items"],
        sample: Sample,
        *,
        unscored: _Unscored,
        notes: tuple[str, ...],
        unanswered: Unanswered | None = None,
    ) -> Result:
        found = intervals(sample, threshold=self.threshold, n_draws=self.n_draws, seed=self.seed)
        points = point_metrics(sample.labels, sample.scores, threshold=self.threshold)
        estimates = {
            # A metric that is undefined has no interval, even where some draws define it.
            name: Estimate(value, None if value is None else found[name].bounds, found[name].n_undefined)
            for name, value in points.items()
        }
        n_filled = 0 if unanswered in (None, Unanswered.LEAVE_OUT) else sum(unscored)
        counts = _count(sample, unscored, n_filled=n_filled, threshold=self.threshold)
        return Result(identity, counts, self.threshold, estimates, self._events(items, sample), notes, unanswered)

    def _events(self, items: Int[np.ndarray, " items"], sample: Sample) -> EventResult | None:
        """Return how well segments were found; None at video level."""
        if self.population.level is Level.VIDEO:
            return None
        threshold = self.threshold if self.rule.threshold is None else self.rule.threshold
        videos = self.population.videos[items]
        events = find_events(
            sample.labels == 1,
            sample.scores > threshold,
            video=videos,
            frame=self.population.frames[items],
            fps=self.population.fps,
            clocks=self.population.clocks,
            rule=self.rule,
        )
        estimates = {name: Estimate(value, None, 0) for name, value in event_scores(events)._asdict().items()}
        if self.n_draws and sample.n_participants > 1:
            person = np.zeros(len(self.population.fps), dtype=np.int64)
            person[videos] = sample.participants
            is_judged = np.bincount(videos, minlength=len(person)) > 0
            counts = draws_and_leave_one_out(sample.n_participants, n_draws=self.n_draws, seed=self.seed)
            per_draw = [event_scores(events, times[person] * is_judged) for times in counts]
            for name, values in zip(estimates, np.array(per_draw, dtype=np.float64).T, strict=True):
                drawn = Drawn.split(values, sample.n_participants)
                point = estimates[name].value
                estimates[name] = Estimate(point, None if point is None else bounds_of(drawn), drawn.n_undefined)
        return EventResult(estimates, replace(self.rule, threshold=threshold))


class _Unscored(NamedTuple):
    """Labelled items that cannot be judged; see ``ItemCounts``."""

    n_missing: int
    n_unparsed: int
    n_failed: int


def _count(sample: Sample, unscored: _Unscored, *, n_filled: int, threshold: float) -> ItemCounts:
    n = len(sample.labels)
    n_scored = n - n_filled
    n_labelled = n_scored + sum(unscored)
    hard = sample.scores > threshold
    return ItemCounts(
        n=n,
        n_missing=unscored.n_missing,
        n_unparsed=unscored.n_unparsed,
        n_failed=unscored.n_failed,
        n_participants=sample.n_participants,
        coverage=n_scored / n_labelled if n_labelled else None,
        prevalence=float(sample.labels.mean()) if n else None,
        positive_rate=float(hard.mean()) if n else None,
        confusion=metrics.confusion(sample.labels, hard) if n else Confusion(0, 0, 0, 0),
        n_filled=n_filled,
    )


def _sample_notes(sample: Sample) -> list[str]:
    if not len(sample.labels):
        return ["nothing could be scored: no metric is defined"]
    notes = []
    n_positive = int(sample.labels.sum())
    if n_positive in (0, len(sample.labels)):
        kind = "positive" if n_positive else "negative"
        notes.append(f"every label is {kind}: ap, ap_bah and auroc are left out")
    if sample.n_participants < 2:
        notes.append("one participant only: no intervals")
    elif sample.n_participants < _FEW_PARTICIPANTS:
        notes.append(f"{sample.n_participants} participants only: too few for the intervals to mean much")
    return notes


def _system_notes(aligned: Aligned) -> list[str]:
    notes = []
    if aligned.has_labels_only:
        notes.append(
            "the system gives labels, not probabilities: ap, ap_bah, auroc, brier and ece rate two or few values only"
        )
    if len(aligned.scores) and metrics.is_ap_bah_unreliable(aligned.scores):
        notes.append("ap_bah_unreliable: scores spread over less than 0.05 or reach 0.999; read ap and auroc instead")
    if aligned.n_incomplete_videos:
        notes.append(f"videos scored although some of their frames were not: {aligned.n_incomplete_videos:,}")
    return notes


def _general_notes(
    aligned: Alignment, threshold: float, prior: TrainPrior | None, split: str | None
) -> tuple[str, ...]:
    counts, population = aligned.counts, aligned.population
    unknown = ", ".join(counts.unknown_videos)
    facts = [
        (threshold != 0.5, f"the threshold is {threshold:g} instead of 0.5"),
        (prior is not None and prior.split == split, "the anchors' training shares come from the judged split itself"),
        (counts.n_duplicates, f"{counts.n_duplicates:,} rows were replaced by later rows with the same key"),
        (counts.n_unknown_video, f"{counts.n_unknown_video:,} rows are about unknown videos, such as {unknown}"),
        (counts.n_other_split, f"{counts.n_other_split:,} rows are about other splits"),
        (counts.n_other_variant, f"{counts.n_other_variant:,} rows are of other prompt variants"),
        (counts.n_other_level, f"{counts.n_other_level:,} rows are about whole videos"),
        (counts.n_unlabelled, f"{counts.n_unlabelled:,} rows are about videos without labels at this level"),
        (counts.n_beyond_end, f"{counts.n_beyond_end:,} frames beyond the end of their videos were not counted"),
        (population.n_unlabelled_videos, f"{population.n_unlabelled_videos:,} videos of the split have no labels"),
        (population.n_unlabelled_frames, f"{population.n_unlabelled_frames:,} frames of the split have no labels"),
    ]
    return tuple(note for holds, note in facts if holds)
