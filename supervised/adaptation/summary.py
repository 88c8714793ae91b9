"""From the metrics of each target to a table: means over targets, wins, subgroups, and trivial answers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.evaluation.metrics import point_metrics
from supervised.training.predicting import VALIDATION_METRICS

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

__all__ = [
    "METRICS",
    "SMALLEST_GROUP",
    "TRIVIAL",
    "Aggregate",
    "aggregate",
    "judge_target",
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
class Aggregate:
    """Mean over targets, each counting the same.

    Args:
        mean: None where no target has a value.
        std: With n - 1; None for fewer than two.
        n: Targets that have a value.
    """

    mean: float | None
    std: float | None
    n: int


def aggregate(values: Sequence[float | None]) -> Aggregate:
    """Return mean and standard deviation (n - 1) over the values that are there.

    References:
        BAH paper, Table 22: its means and deviations are these, over the 54 targets of Tables 24 to 26.

    >>> aggregate([0.0, None, 1.0])
    Aggregate(mean=0.5, std=0.7071067811865476, n=2)
    """
    known = [value for value in values if value is not None]
    if not known:
        return Aggregate(None, None, 0)
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Aggregate(float(np.mean(known)), std, len(known))


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


class _Wins(NamedTuple):
    over_source_only: int | None
    over_all_positive: int
    n: int


def summarise(
    targets: Mapping[str, TargetMetrics], people: Mapping[str, Mapping[str, str]], systems: Sequence[str]
) -> dict[str, Any]:
    """Return the table over all targets, as plain values.

    Args:
        targets: Participant to system to metric to value.
        people: Participant to what is known of them (``sex``, ``age_range``).
        systems: In the order of the table; the trivial ones are among them.

    Returns:
        ``systems``: name to metric to ``mean``, ``std`` (n - 1) and ``n``; ``wins``: name to the number of targets
        whose F1 is above that of ``source_only`` and of ``all-positive``; ``subgroups``: grouping to group to ``n`` and
        the mean F1 of each system, with groups of a single person left out.
    """
    return {
        "n_targets": len(targets),
        "systems": {
            system: {
                metric: asdict(aggregate([target[system][metric] for target in targets.values()])) for metric in METRICS
            }
            for system in systems
        },
        "wins": {
            system: _wins(targets, system)._asdict() for system in systems if system not in (*TRIVIAL, "source_only")
        },
        "subgroups": subgroup_means(targets, people, systems),
    }


def subgroup_means(
    targets: Mapping[str, TargetMetrics], people: Mapping[str, Mapping[str, str]], systems: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return, by ``sex`` and by ``age_range``, group to ``n`` and the mean F1 of each system over the group's targets.

    Groups of a single person are left out; who is in none is in the group ``unknown``.

    References:
        BAH paper, Figure 13: its bars are these means over Table 24.
    """
    return {grouping: _groups(targets, people, systems, grouping) for grouping in _GROUPINGS}


def _wins(targets: Mapping[str, TargetMetrics], system: str) -> _Wins:
    def above(other: str) -> int:
        return sum((target[system]["f1"] or 0.0) > (target[other]["f1"] or 0.0) for target in targets.values())

    return _Wins(above("source_only"), above("all-positive"), len(targets))


def _groups(
    targets: Mapping[str, TargetMetrics],
    people: Mapping[str, Mapping[str, str]],
    systems: Sequence[str],
    grouping: str,
) -> dict[str, Any]:
    members: dict[str, list[str]] = {}
    for participant in targets:
        members.setdefault(people.get(participant, {}).get(grouping) or "unknown", []).append(participant)
    return {
        group: {
            "n": len(ids),
            "f1": {system: aggregate([targets[one][system]["f1"] for one in ids]).mean for system in systems},
        }
        for group, ids in sorted(members.items())
        if len(ids) >= SMALLEST_GROUP
    }
