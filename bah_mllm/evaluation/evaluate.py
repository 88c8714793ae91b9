"""The evaluator: rows and labels in; metrics, intervals, anchors and counts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Variant
from bah_mllm.evaluation import metrics
from bah_mllm.evaluation.align import Aligned, Alignment, Population, RowCounts, align
from bah_mllm.evaluation.anchors import anchor_scores
from bah_mllm.evaluation.bootstrap import (
    DEFAULT_DRAWS,
    Drawn,
    Sample,
    bounds_of,
    draws_and_leave_one_out,
    intervals,
)
from bah_mllm.evaluation.events import EventRule, EventScores, event_scores, find_events
from bah_mllm.evaluation.labels import Labels, TrainPrior
from bah_mllm.evaluation.metrics import METRICS, Confusion, point_metrics
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int

__all__ = ["COLLAPSE_SHARE", "Evaluation", "Result", "check_settings", "evaluate_rows", "sample_of"]

COLLAPSE_SHARE = 0.95  # more equal answers than this, and the system has probably stopped looking

_FEW_PARTICIPANTS = 10  # the intervals were checked with 56; with a handful, one person decides

_Bounds = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Result:
    """One line of a result table. Undefined metrics are None; so are their intervals.

    Args:
        system: What made the predictions, or the name of an anchor.
        variant: How the prompt was asked; None for anchors.
        window_frames: The window asked for; None where rows name none, and for anchors.
        aggregation: ``coverage``, ``video``, ``max24`` or ``mean`` (see ``align``); None for anchors.
        level: What was judged.
        split: Whose items; None for all of them.
        item_set: Number of the set of items judged; anchors with the same number were judged on the same items.
        n: Labelled items that were scored, and judged.
        n_missing: Labelled items without a row.
        n_unparsed: Labelled items for which the model's reply held neither label.
        n_failed: Labelled items whose rows failed, or whose score is not a number.
        n_participants: Whose items were judged.
        coverage: Share of the labelled items that were scored.
        prevalence: Share of positives among the judged items.
        positive_rate: Share of them predicted positive.
        threshold: Positive where score > threshold.
        f1: Of the positive class.
        f1_negative: Of the negative class.
        macro_f1: Mean of both.
        wf1: Mean of both, weighted with their share in the labels.
        accuracy: Share of right answers.
        confusion: The four counts behind them.
        ap: Step-wise average precision.
        ap_bah: Average precision as the paper's code computes it.
        auroc: Area under the ROC curve.
        brier: Mean squared error of the probabilities.
        ece: Expected calibration error.
        segment_f1_30: F1 of segments at an IoU of at least 0.3; frame level only, as the two below.
        segment_f1_50: F1 of segments at an IoU of at least 0.5.
        onset_error_s: Median distance between the starts of paired segments, in seconds.
        offset_error_s: The same of their ends.
        false_alarms_per_minute: Predicted segments without a true one at an IoU of 0.3, per minute judged.
        event_ci: For each of these five a 95 % interval, or None; empty at video level.
        event_rule: How frame scores became segments (``EventRule``, threshold filled in); empty at video level.
        ci: For each metric a 95 % interval (participant-cluster bootstrap), or None.
        n_draws_undefined: For each metric, how many draws left it undefined.
        collapse: More than 95 % of the answers agree.
        notes: What a reader must know to judge the line.
    """

    system: str
    variant: str | None
    window_frames: int | None
    aggregation: str | None
    level: str
    split: str | None
    item_set: int
    n: int
    n_missing: int
    n_unparsed: int
    n_failed: int
    n_participants: int
    coverage: float | None
    prevalence: float | None
    positive_rate: float | None
    threshold: float
    f1: float | None
    f1_negative: float | None
    macro_f1: float | None
    wf1: float | None
    accuracy: float | None
    confusion: Mapping[str, int]
    ap: float | None
    ap_bah: float | None
    auroc: float | None
    brier: float | None
    ece: float | None
    segment_f1_30: float | None
    segment_f1_50: float | None
    onset_error_s: float | None
    offset_error_s: float | None
    false_alarms_per_minute: float | None
    event_ci: Mapping[str, _Bounds]
    event_rule: Mapping[str, float | int | None]
    ci: Mapping[str, _Bounds]
    n_draws_undefined: Mapping[str, int]
    collapse: bool
    notes: tuple[str, ...]

    def metric(self, name: str) -> float | None:
        """Return a metric by its name in ``METRICS``."""
        value: float | None = getattr(self, name)
        return value


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of systems, and of anchors on the same items.

    Args:
        rows: One per system, window and aggregation.
        anchors: Up to four per set of items.
        anchors_left_out: Name of an anchor to the reason why it is missing.
        counts: What became of the prediction rows.
        notes: What concerns all lines.
        n_draws: Bootstrap draws.
        seed: Of these draws.
    """

    rows: tuple[Result, ...]
    anchors: tuple[Result, ...]
    anchors_left_out: Mapping[str, str]
    counts: RowCounts
    notes: tuple[str, ...]
    n_draws: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dictionaries and numbers; None where a metric is undefined, never NaN."""
        return {
            "rows": [_plain(row) for row in self.rows],
            "anchors": [_plain(row) for row in self.anchors],
            "anchors_left_out": dict(self.anchors_left_out),
            "counts": {**asdict(self.counts), "unknown_videos": list(self.counts.unknown_videos)},
            "notes": list(self.notes),
            "n_draws": self.n_draws,
            "seed": self.seed,
        }


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

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: The threshold or the number of draws is impossible.
    """
    level = Level(level)
    check_settings(threshold, n_draws)
    aligned = align(rows, labels, level=level, split=split)
    judge = _Judge(
        aligned.population, events or EventRule(), split=split, threshold=threshold, n_draws=n_draws, seed=seed
    )
    item_sets = _item_sets(aligned)
    results = tuple(judge.system(system, item_set=item_sets[_fingerprint(system.items)]) for system in aligned.systems)
    if train_prior is None:
        train_prior = TrainPrior.count(labels, level=level)
    items_of_set = {item_sets[_fingerprint(system.items)]: system.items for system in aligned.systems}
    anchors: list[Result] = []
    left_out: dict[str, str] = {}
    for item_set, items in items_of_set.items():
        made = anchor_scores(aligned.population.questions[items], train_prior)
        left_out |= made.left_out
        anchors += [judge.anchor(name, items, scores, item_set=item_set) for name, scores in made.scores.items()]
    notes = _general_notes(aligned, threshold, train_prior, split)
    return Evaluation(results, tuple(anchors), MappingProxyType(left_out), aligned.counts, notes, n_draws, seed)


def check_settings(threshold: float, n_draws: int) -> None:
    """Refuse a threshold outside [0, 1) and a negative number of draws."""
    if not 0 <= threshold < 1:
        raise ConfigError(
            f"The threshold is {threshold}, but must be from 0 to below 1.",
            remedy="Leave it at 0.5, or give one chosen on other participants.",
        )
    if n_draws < 0:
        raise ConfigError(f"The number of bootstrap draws is {n_draws}.", remedy="Give 0 for none, or 1000.")


def _plain(result: Result) -> dict[str, Any]:
    plain: dict[str, Any] = {name: getattr(result, name) for name in result.__slots__}
    plain["confusion"] = dict(result.confusion)
    plain["ci"] = {name: None if bounds is None else list(bounds) for name, bounds in result.ci.items()}
    plain["event_ci"] = {name: None if bounds is None else list(bounds) for name, bounds in result.event_ci.items()}
    plain["event_rule"] = dict(result.event_rule)
    plain["n_draws_undefined"] = dict(result.n_draws_undefined)
    plain["notes"] = list(result.notes)
    return plain


def _fingerprint(items: Int[np.ndarray, " items"]) -> bytes:
    return items.tobytes()


def _item_sets(aligned: Alignment) -> dict[bytes, int]:
    """Number the distinct sets of scored items in the order of the systems."""
    return {items: number for number, items in enumerate(dict.fromkeys(_fingerprint(s.items) for s in aligned.systems))}


def sample_of(population: Population, items: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"]) -> Sample:
    """Return some items with their scores; participants are those who have an item among them."""
    people, participants = np.unique(population.participants[items], return_inverse=True)
    return Sample(population.labels[items], scores, participants, len(people))


@dataclass(frozen=True, slots=True)
class _Judge:
    """Turns scores into results, with the same settings for systems and anchors."""

    population: Population
    rule: EventRule
    split: str | None
    threshold: float
    n_draws: int
    seed: int

    def system(self, aligned: Aligned, *, item_set: int) -> Result:
        sample = sample_of(self.population, aligned.items, aligned.scores)
        n_unscored = aligned.n_missing + aligned.n_unparsed + aligned.n_failed
        return self._judge(
            aligned.items,
            sample,
            system=aligned.system,
            variant=Variant.MAIN.value,
            window_frames=aligned.window_frames,
            aggregation=aligned.aggregation,
            item_set=item_set,
            n_missing=aligned.n_missing,
            n_unparsed=aligned.n_unparsed,
            n_failed=aligned.n_failed,
            coverage=len(aligned.items) / (len(aligned.items) + n_unscored),
            notes=(*_sample_notes(sample), *_system_notes(aligned)),
        )

    def anchor(
        self, name: str, items: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"], *, item_set: int
    ) -> Result:
        return self._judge(
            items,
            sample_of(self.population, items, scores),
            system=name,
            variant=None,
            window_frames=None,
            aggregation=None,
            item_set=item_set,
            n_missing=0,
            n_unparsed=0,
            n_failed=0,
            coverage=1.0,
            notes=(),
        )

    def _judge(
        self,
        items: Int[np.ndarray, " items"],
        sample: Sample,
        **identity: Any,  # noqa: ANN401 - fields that are passed through
    ) -> Result:
        n = len(sample.labels)
        hard = sample.scores > self.threshold
        counts = metrics.confusion(sample.labels, hard) if n else Confusion(0, 0, 0, 0)
        found = intervals(sample, threshold=self.threshold, n_draws=self.n_draws, seed=self.seed)
        points = point_metrics(sample.labels, sample.scores, threshold=self.threshold)
        positive_rate = float(hard.mean()) if n else None
        return Result(
            **(identity | points | self._events(items, sample)),
            level=self.population.level.value,
            split=self.split,
            n=n,
            n_participants=sample.n_participants,
            prevalence=float(sample.labels.mean()) if n else None,
            positive_rate=positive_rate,
            threshold=self.threshold,
            confusion=counts._asdict(),
            # A metric that is undefined has no interval, even where some draws define it.
            ci={name: found[name].bounds if points[name] is not None else None for name in METRICS},
            n_draws_undefined={name: found[name].n_undefined for name in METRICS},
            collapse=positive_rate is not None and max(positive_rate, 1 - positive_rate) > COLLAPSE_SHARE,
        )

    def _events(self, items: Int[np.ndarray, " items"], sample: Sample) -> dict[str, Any]:
        """Return what the result says of segments."""
        names = EventScores._fields
        if self.population.level is Level.VIDEO:
            return dict.fromkeys(names) | {"event_ci": {}, "event_rule": {}}
        threshold = self.threshold if self.rule.threshold is None else self.rule.threshold
        videos = self.population.videos[items]
        events = find_events(
            sample.labels == 1,
            sample.scores > threshold,
            video=videos,
            frame=self.population.frames[items],
            fps=self.population.fps,
            rule=self.rule,
        )
        points = event_scores(events)._asdict()
        ci: dict[str, _Bounds] = dict.fromkeys(names)
        if self.n_draws and sample.n_participants > 1:
            person = np.zeros(len(self.population.fps), dtype=np.int64)
            person[videos] = sample.participants
            is_judged = np.bincount(videos, minlength=len(person)) > 0
            counts = draws_and_leave_one_out(sample.n_participants, n_draws=self.n_draws, seed=self.seed)
            per_draw = [event_scores(events, times[person] * is_judged) for times in counts]
            for name, values in zip(names, np.array(per_draw, dtype=np.float64).T, strict=True):
                found = bounds_of(Drawn.split(values, sample.n_participants))
                ci[name] = None if points[name] is None else found
        return points | {"event_ci": ci, "event_rule": asdict(self.rule) | {"threshold": threshold}}


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
