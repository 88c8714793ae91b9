"""What the evaluator says: lines of a result table, with their counts, metrics and segments, as records and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from bah_mllm.core.records import Unanswered
from bah_mllm.evaluation.align import RowCounts
from bah_mllm.evaluation.events import EventRule, EventScores
from bah_mllm.evaluation.metrics import Confusion

__all__ = ["COLLAPSE_SHARE", "Estimate", "Evaluation", "EventResult", "ItemCounts", "LineIdentity", "Result"]

COLLAPSE_SHARE = 0.95  # more equal answers than this, and the system has probably stopped looking


@dataclass(frozen=True, slots=True)
class LineIdentity:
    """What a line of a result table is about.

    Args:
        system: What made the predictions, or the name of an anchor.
        variant: How the prompt was asked; None for anchors.
        window_frames: The window asked for; None where rows name none, and for anchors.
        aggregation: ``coverage``, ``video``, ``max24`` or ``mean`` (see ``align``); None for anchors.
        level: What was judged.
        split: Whose items; None for all of them.
        item_set: Number of the set of items judged; anchors with the same number were judged on the same items.
    """

    system: str
    variant: str | None
    window_frames: int | None
    aggregation: str | None
    level: str
    split: str | None
    item_set: int


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """What became of the labelled items, and how the judged ones were answered.

    Args:
        n: Labelled items that were judged: those that were scored, and ``n_filled`` others.
        n_missing: Labelled items without a row.
        n_unparsed: Labelled items for which the model's reply held neither label.
        n_failed: Labelled items whose rows failed, or whose score is not a number.
        n_participants: Whose items were judged.
        coverage: Share of the labelled items that were scored.
        prevalence: Share of positives among the judged items; None without any.
        positive_rate: Share of them predicted positive; None without any.
        confusion: How many of them were answered rightly and wrongly, by class.
        n_filled: Judged items without an answer, which count as negative or as wrong.
    """

    n: int
    n_missing: int
    n_unparsed: int
    n_failed: int
    n_participants: int
    coverage: float | None
    prevalence: float | None
    positive_rate: float | None
    confusion: Confusion
    n_filled: int = 0

    @property
    def n_unanswered(self) -> int:
        """How many labelled items have no answer."""
        return self.n_missing + self.n_unparsed + self.n_failed

    @property
    def is_collapsed(self) -> bool:
        """Whether more than 95 % of the answers agree."""
        rate = self.positive_rate
        return rate is not None and max(rate, 1 - rate) > COLLAPSE_SHARE


class Estimate(NamedTuple):
    """One metric.

    Args:
        value: On the judged items; None where it is undefined or says nothing.
        bounds: Its 95 % interval (participant-cluster bootstrap); None where the value is, without draws, and where no
            draw defines it.
        n_draws_undefined: Draws that left it undefined, and are left out of the interval.
    """

    value: float | None
    bounds: tuple[float, float] | None
    n_draws_undefined: int


@dataclass(frozen=True, slots=True)
class EventResult:
    """How well segments were found.

    Args:
        metrics: For each field of ``EventScores``; F1 of segments, errors in seconds, false alarms a minute.
        rule: How frame scores became segments, threshold filled in.
    """

    metrics: Mapping[str, Estimate]
    rule: EventRule


@dataclass(frozen=True, slots=True)
class Result:
    """One line of a result table.

    Args:
        identity: What it is about.
        counts: What became of the items.
        threshold: Positive where score > threshold.
        metrics: For each of ``METRICS``.
        events: How well segments were found; None at video level.
        notes: What a reader must know to judge the line.
        unanswered: How items without an answer were judged; None for anchors, which answer always.
    """

    identity: LineIdentity
    counts: ItemCounts
    threshold: float
    metrics: Mapping[str, Estimate]
    events: EventResult | None
    notes: tuple[str, ...]
    unanswered: Unanswered | None = None

    def metric(self, name: str) -> float | None:
        """Return a metric by its name in ``METRICS``; None where it is undefined."""
        return self.metrics[name].value

    def to_json(self) -> dict[str, Any]:
        """Return one flat dictionary; None where a metric is undefined, never NaN."""
        return {
            **asdict(self.identity),
            **asdict(self.counts),
            "confusion": self.counts.confusion._asdict(),
            "unanswered": None if self.unanswered is None else self.unanswered.value,
            "threshold": self.threshold,
            **_values(self.metrics),
            "ci": _bounds(self.metrics),
            "n_draws_undefined": {name: metric.n_draws_undefined for name, metric in self.metrics.items()},
            **(dict.fromkeys(EventScores._fields) if self.events is None else _values(self.events.metrics)),
            "event_ci": {} if self.events is None else _bounds(self.events.metrics),
            "event_rule": {} if self.events is None else asdict(self.events.rule),
            "collapse": self.counts.is_collapsed,
            "notes": list(self.notes),
        }


def _values(metrics: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {name: metric.value for name, metric in metrics.items()}


def _bounds(metrics: Mapping[str, Estimate]) -> dict[str, list[float] | None]:
    return {name: None if metric.bounds is None else list(metric.bounds) for name, metric in metrics.items()}


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
        unanswered: How items without an answer were judged.
    """

    rows: tuple[Result, ...]
    anchors: tuple[Result, ...]
    anchors_left_out: Mapping[str, str]
    counts: RowCounts
    notes: tuple[str, ...]
    n_draws: int
    seed: int
    unanswered: Unanswered = Unanswered.LEAVE_OUT

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dictionaries and numbers; None where a metric is undefined, never NaN."""
        return {
            "rows": [row.to_json() for row in self.rows],
            "anchors": [row.to_json() for row in self.anchors],
            "anchors_left_out": dict(self.anchors_left_out),
            "counts": {**asdict(self.counts), "unknown_videos": list(self.counts.unknown_videos)},
            "notes": list(self.notes),
            "unanswered": self.unanswered.value,
            "n_draws": self.n_draws,
            "seed": self.seed,
        }
