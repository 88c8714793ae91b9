"""From the metrics of each target to a table: means over targets, wins, subgroups, and trivial answers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.evaluation.metrics import point_metrics
from supervised.training.predicting import VALIDATION_METRICS

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

__all__ = [
    "METRICS",
    "SMALLEST_GROUP",
    "TRIVIAL",
    "GroupMeans",
    "OverTargets",
    "Subgroups",
    "Summary",
    "Wins",
    "judge_target",
    "over_targets",
    "subgroup_means",
    "summarise",
    "trivial_answers",
]

_JUDGED_BY = (*VALIDATION_METRICS, "accuracy")
METRICS = (*_JUDGED_BY, "positive_rate")
TRIVIAL = ("all-positive", "all-negative")
_GROUPINGS = ("sex", "age_range")
SMALLEST_GROUP = 2  # one person's result is no result of a group

TargetMetrics = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class OverTargets:
    """Mean over targets, each counting the same.

    Args:
        mean: None where no target has a value.
        std: With n - 1; None for fewer than two.
        n: Targets that have a value.
    """

    mean: float | None
    std: float | None
    n: int


def over_targets(values: Sequence[float | None]) -> OverTargets:
    """Return mean and standard deviation (n - 1) over the values that are there.

    References:
        BAH paper, Table 22: its means and deviations are these, over the 54 targets of Tables 24 to 26.

    >>> over_targets([0.0, None, 1.0])
    OverTargets(mean=0.5, std=0.7071067811865476, n=2)
    """
    known = [value for value in values if value is not None]
    if not known:
        return OverTargets(None, None, 0)
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return OverTargets(float(np.mean(known)), std, len(known))


def judge_target(labels: Int64[np.ndarray, " n"], p: Float[np.ndarray, " n"]) -> dict[str, float | None]:
    """Return the metrics of one system on the test frames of one target; None where undefined.

    Args:
        labels: 0 or 1.
        p: Probability of A/H; positive above 0.5.
    """
    return {**point_metrics(labels, p, names=_JUDGED_BY), "positive_rate": float((p > 0.5).mean()) if len(p) else None}


def trivial_answers(n: int) -> dict[str, Float[np.ndarray, " n"]]:
    """Return the answers of the systems that look at nothing, by name."""
    return {"all-positive": np.ones(n), "all-negative": np.zeros(n)}


@dataclass(frozen=True, slots=True)
class Wins:
    """For how many targets a system's F1 is above another's.

    Args:
        over_source_only: That of the source model.
        over_all_positive: That of always saying A/H.
        n: Targets in all.
    """

    over_source_only: int
    over_all_positive: int
    n: int


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """Mean F1 over the targets of a group.

    Args:
        n: Targets of the group, at least ``SMALLEST_GROUP``.
        f1: System to its mean; None where no target has one.
    """

    n: int
    f1: dict[str, float | None]


Subgroups = dict[str, dict[str, GroupMeans]]
"""Grouping (``sex``, ``age_range``) to group to its means."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The table over all targets.

    Args:
        n_targets: Targets that are judged.
        systems: System to metric to its mean over targets, in the order of the table.
        wins: System to what it gains; without ``source_only`` and the trivial ones.
        subgroups: Without groups of a single person.
    """

    n_targets: int
    systems: dict[str, dict[str, OverTargets]]
    wins: dict[str, Wins]
    subgroups: Subgroups


def summarise(
    targets: Mapping[str, TargetMetrics], people: Mapping[str, Mapping[str, str]], systems: Sequence[str]
) -> Summary:
    """Return the table over all targets.

    Args:
        targets: Participant to system to metric to value.
        people: Participant to what is known of them (``sex``, ``age_range``).
        systems: In the order of the table; the trivial ones are among them.
    """
    return Summary(
        n_targets=len(targets),
        systems={
            system: {
                metric: over_targets([target[system][metric] for target in targets.values()]) for metric in METRICS
            }
            for system in systems
        },
        wins={system: _wins(targets, system) for system in systems if system not in (*TRIVIAL, "source_only")},
        subgroups=subgroup_means(targets, people, systems),
    )


def subgroup_means(
    targets: Mapping[str, TargetMetrics], people: Mapping[str, Mapping[str, str]], systems: Sequence[str]
) -> Subgroups:
    """Return, by ``sex`` and by ``age_range``, the mean F1 of each system over a group's targets.

    Groups of a single person are left out; who is in none is in the group ``unknown``.

    References:
        BAH paper, Figure 13: its bars are these means over Table 24.
    """
    return {grouping: _groups(targets, people, systems, grouping) for grouping in _GROUPINGS}


def _wins(targets: Mapping[str, TargetMetrics], system: str) -> Wins:
    def above(other: str) -> int:
        return sum((target[system]["f1"] or 0.0) > (target[other]["f1"] or 0.0) for target in targets.values())

    return Wins(above("source_only"), above("all-positive"), len(targets))


def _groups(
    targets: Mapping[str, TargetMetrics],
    people: Mapping[str, Mapping[str, str]],
    systems: Sequence[str],
    grouping: str,
) -> dict[str, GroupMeans]:
    members: dict[str, list[str]] = {}
    for participant in targets:
        members.setdefault(people.get(participant, {}).get(grouping) or "unknown", []).append(participant)
    return {
        group: GroupMeans(
            n=len(ids),
            f1={system: over_targets([targets[one][system]["f1"] for one in ids]).mean for system in systems},
        )
        for group, ids in sorted(members.items())
        if len(ids) >= SMALLEST_GROUP
    }
