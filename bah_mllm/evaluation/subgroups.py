"""Does a system work as well for everybody? Metrics per group of participants or videos, and the gaps between groups.

Every group is judged on the same draws of participants, so that differences between groups can be taken draw by draw.
A group too small to say anything about gets a reason in place of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.evaluation.align import Aligned, align
from bah_mllm.evaluation.bootstrap import DEFAULT_DRAWS, Drawn, bounds_of, draw_metrics
from bah_mllm.evaluation.evaluate import check_settings
from bah_mllm.evaluation.labels import Labels
from bah_mllm.evaluation.metrics import METRICS, point_metrics
from bah_mllm.evaluation.per_draw import Sample
from bah_mllm.evaluation.population import Population
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Int

__all__ = [
    "GROUPINGS",
    "MIN_PARTICIPANTS",
    "Gap",
    "Group",
    "Groupings",
    "Subgroups",
    "SystemSubgroups",
    "subgroup_rows",
]

GROUPINGS = ("sex", "age_range", "ethnicity", "province", "is_student", "question", "language")
MIN_PARTICIPANTS = 5
_SHOWN = ("f1", "macro_f1", "wf1", "ap", "auroc")


@dataclass(frozen=True, slots=True)
class Groupings:
    """What is known of participants and videos, and what to tell apart by it.

    Args:
        participants: Participant id to metadata (``sex``, ``age_range`` ...), as in ``Participant.metadata``.
        videos: Video id to what is known of the video (``language``); it goes before what is known of the participant.
        names: What to tell apart; ``question`` is known from the labels.
        metrics: What to compute for each group.
        min_participants: Groups with fewer are left out.

    Raises:
        ConfigError: There is no such metric, or a group could be a single person.
    """

    participants: Mapping[str, Mapping[str, str]]
    videos: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Sequence[str] = GROUPINGS
    metrics: Sequence[str] = _SHOWN
    min_participants: int = MIN_PARTICIPANTS

    def __post_init__(self) -> None:
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown:
            raise ConfigError(f"There is no metric {unknown[0]!r}.", remedy=f"Choose from: {', '.join(METRICS)}.")
        if self.min_participants < 2:
            raise ConfigError(
                f"Groups of at least {self.min_participants} participants are asked for.",
                remedy="Give 2 or more: one person's result is no result of a group.",
            )


@dataclass(frozen=True, slots=True)
class Group:
    """What a system is worth for one group.

    Args:
        grouping: By what the participants or videos are told apart (``sex`` ...).
        value: Which of them, as the metadata writes it.
        left_out: Why nothing is said about the group; then every other field is None or empty, counts included, as a
            count of very few people can point at them.
        n: Items judged.
        n_participants: Whose items these are.
        prevalence: Share of positives among the labels.
        positive_rate: Share predicted positive.
        metrics: Metric name to value.
        ci: Metric name to its 95 % interval; None without draws, or where no draw defines the metric.
        n_draws_undefined: Draws without this group, or without one of the classes in it, left out of the interval.
    """

    grouping: str
    value: str
    left_out: str | None = None
    n: int | None = None
    n_participants: int | None = None
    prevalence: float | None = None
    positive_rate: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    ci: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    n_draws_undefined: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far the groups of one grouping lie apart in one metric.

    Args:
        grouping: As in ``Group``.
        metric: Which metric.
        highest: The group with the highest value.
        lowest: The group with the lowest value.
        value: Highest minus lowest.
        ci: 95 % interval of the difference between these two groups, on the same draws for both. It does not know that
            the two were picked for lying far apart; ``p_value`` does.
        p_value: How often groups that do not differ would lie this far apart: the share of draws in which the groups,
            each moved by its own value, spread at least as widely; one draw added, at most 1. None without draws.
        n_draws_undefined: Draws in which a group has no value, left out of both.
    """

    grouping: str
    metric: str
    highest: str
    lowest: str
    value: float
    ci: tuple[float, float] | None
    p_value: float | None
    n_draws_undefined: int


@dataclass(frozen=True, slots=True)
class SystemSubgroups:
    """The groups of one line of a result table.

    Args:
        system: As in the rows.
        window_frames: The window asked for, or None.
        aggregation: How rows became scores.
        groups: Sorted by grouping, then value; those about which nothing can be said are among them.
        gaps: One per grouping with two or more judged groups, and metric.
        n_without_value: Grouping to the number of judged items whose group is unknown.
    """

    system: str
    window_frames: int | None
    aggregation: str
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]
    n_without_value: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Subgroups:
    """Groups and gaps of every system.

    Args:
        rows: One entry per system, window and aggregation.
        left_out: Grouping to the reason why there is nothing to tell apart.
        level: What was judged.
        split: Whose items; None for all.
        threshold: Positive where score > threshold.
        min_participants: Groups of fewer are left out.
        n_draws: Draws of participants.
        seed: Of these draws.
    """

    rows: tuple[SystemSubgroups, ...]
    left_out: Mapping[str, str]
    level: str
    split: str | None
    threshold: float
    min_participants: int
    n_draws: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dictionaries and numbers; None where something is undefined, never NaN."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["left_out"] = dict(self.left_out)
        plain["rows"] = [
            {
                "system": row.system,
                "window_frames": row.window_frames,
                "aggregation": row.aggregation,
                "groups": [_plain_group(group) for group in row.groups],
                "gaps": [asdict(gap) | {"ci": _plain_bounds(gap.ci)} for gap in row.gaps],
                "n_without_value": dict(row.n_without_value),
            }
            for row in self.rows
        ]
        return plain


def subgroup_rows(  # noqa: PLR0913 - settings by name
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    groupings: Groupings,
    *,
    level: Level | str,
    split: str | None,
    threshold: float = 0.5,
    n_draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> Subgroups:
    """Judge every system group by group.

    Groups with too few participants, or with labels of one class only, are left out with the reason.

    Args:
        rows: Prediction rows, or a table with the columns of the schema.
        labels: Of the whole data set.
        groupings: What to tell apart.
        level: ``frame`` or ``video``.
        split: Whose videos are judged; all videos where None.
        threshold: Positive where score > threshold.
        n_draws: 0 for no intervals.
        seed: Of the draws.
        unanswered: How items without an answer of a system are judged.

    Raises:
        DataError: The rows are malformed, or none of them can be judged.
        ConfigError: A setting is impossible.
    """
    check_settings(threshold, n_draws)
    level = Level(level)
    aligned = align(rows, labels, level=level, split=split, unanswered=unanswered)
    values = {name: _values(name, aligned.population, groupings) for name in groupings.names}
    left_out = {name: "it is known of no video" for name, known in values.items() if not any(known)}
    rater = _GroupRater(aligned.population, groupings, threshold, n_draws, seed)
    kept = {name: known for name, known in values.items() if name not in left_out}
    return Subgroups(
        rows=tuple(_of_system(system, rater, kept) for system in aligned.systems),
        left_out=MappingProxyType(left_out),
        level=level.value,
        split=split,
        threshold=threshold,
        min_participants=groupings.min_participants,
        n_draws=n_draws,
        seed=seed,
    )


def _values(grouping: str, population: Population, groupings: Groupings) -> list[str]:
    """Return the value of each labelled video, empty where unknown."""
    found = [""] * len(population.video_ids)
    first = np.searchsorted(population.videos, np.arange(len(population.video_ids)))  # an item of each video
    for index, video_id in enumerate(population.video_ids):
        item = first[index]
        if grouping == "question":
            question = int(population.questions[item])
            found[index] = str(question) if question else ""
            continue
        person = groupings.participants.get(population.participant_ids[population.participants[item]], {})
        value = groupings.videos.get(video_id, {}).get(grouping, person.get(grouping))
        found[index] = "" if value is None else str(value).strip()
    return found


class _Judged(NamedTuple):
    """A judged group with its values draw by draw."""

    group: Group
    drawn: Mapping[str, Drawn]


@dataclass(frozen=True, slots=True)
class _GroupRater:
    """Judges groups of one population with the same settings."""

    population: Population
    groupings: Groupings
    threshold: float
    n_draws: int
    seed: int

    def group(
        self, system: Aligned, chosen: Bool[np.ndarray, " scored"], *, grouping: str, value: str
    ) -> _Judged | Group:
        people, whose = np.unique(self.population.participants[system.items], return_inverse=True)
        labels, scores = self.population.labels[system.items][chosen], system.scores[chosen]
        n_participants = len(np.unique(whose[chosen]))
        reason = _reason(labels, n_participants, self.groupings.min_participants)
        if reason is not None:
            return Group(grouping, value, left_out=reason)
        sample = Sample(labels, scores, whose[chosen], len(people))
        names = self.groupings.metrics
        points = point_metrics(sample.labels, sample.scores, threshold=self.threshold)
        drawn: dict[str, Drawn] = {}
        if self.n_draws:
            drawn = draw_metrics(sample, threshold=self.threshold, n_draws=self.n_draws, seed=self.seed, names=names)
        group = Group(
            grouping,
            value,
            n=len(labels),
            n_participants=n_participants,
            prevalence=float(labels.mean()),
            positive_rate=float((scores > self.threshold).mean()),
            metrics={name: points[name] for name in names},
            ci={name: bounds_of(drawn[name], metric=name) if drawn else None for name in names},
            n_draws_undefined={name: drawn[name].n_undefined if drawn else 0 for name in names},
        )
        return _Judged(group, drawn)


def _reason(labels: Int[np.ndarray, " items"], n_participants: int, min_participants: int) -> str | None:
    if not n_participants:
        return "none of its items was scored"
    if n_participants < min_participants:
        return f"fewer than {min_participants} participants"
    if labels.min() == labels.max():
        return "all its labels are the same"
    return None


def _of_system(system: Aligned, rater: _GroupRater, values: Mapping[str, Sequence[str]]) -> SystemSubgroups:
    groups: list[Group] = []
    gaps: list[Gap] = []
    n_without: dict[str, int] = {}
    for grouping, of_video in values.items():
        of_item = np.array(of_video)[rater.population.videos[system.items]]
        n_without[grouping] = int((of_item == "").sum())
        judged = []
        for value in sorted(set(of_video) - {""}):
            found = rater.group(system, of_item == value, grouping=grouping, value=value)
            groups.append(found if isinstance(found, Group) else found.group)
            if not isinstance(found, Group):
                judged.append(found)
        if len(judged) > 1:
            gaps += [_gap(judged, name) for name in rater.groupings.metrics]
    return SystemSubgroups(
        system.system, system.window_frames, system.aggregation, tuple(groups), tuple(gaps), MappingProxyType(n_without)
    )


def _gap(judged: Sequence[_Judged], name: str) -> Gap:
    points = np.array([one.group.metrics[name] for one in judged], dtype=np.float64)
    highest, lowest = int(points.argmax()), int(points.argmin())
    value = float(points[highest] - points[lowest])
    ci, p_value, n_undefined = None, None, 0
    if judged[0].drawn:
        ci = bounds_of(judged[highest].drawn[name].minus(judged[lowest].drawn[name]))
        values = np.stack([one.drawn[name].values for one in judged])
        spread = np.ptp(values - points[:, None], axis=0)  # NaN where a group has no value
        known = spread[~np.isnan(spread)]
        n_undefined = len(spread) - len(known)
        if len(known):
            p_value = float(((known >= value).sum() + 1) / (len(known) + 1))
    grouping, best, worst = judged[0].group.grouping, judged[highest].group.value, judged[lowest].group.value
    return Gap(grouping, name, best, worst, value, ci, p_value, n_undefined)


def _plain_bounds(bounds: tuple[float, float] | None) -> list[float] | None:
    return None if bounds is None else list(bounds)


def _plain_group(group: Group) -> dict[str, Any]:
    plain: dict[str, Any] = {name: getattr(group, name) for name in group.__slots__}
    plain["metrics"] = dict(group.metrics)
    plain["ci"] = {name: _plain_bounds(bounds) for name, bounds in group.ci.items()}
    plain["n_draws_undefined"] = dict(group.n_draws_undefined)
    return plain
