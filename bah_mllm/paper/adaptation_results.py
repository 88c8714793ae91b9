"""What Tables 22 to 26 and Figure 13 are made of: our results of all methods, and what the paper printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bah_mllm.paper.adaptation_published import (
    PublishedPerson,
    PublishedSpread,
    person_of_sizes,
    published_people,
    published_spreads,
)
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.record import AdaptRecord, DataAdaptedOn
from supervised.adaptation.summary import TRIVIAL, Subgroups, Summary, subgroup_means, summarise

__all__ = ["AdaptationResults", "Printed", "Target", "join_methods"]


@dataclass(frozen=True, slots=True)
class Target:
    """One participant under every method.

    Args:
        sizes: Frames of each part, and ``left_out``.
        metrics: System to metric to value; the trivial answers are among the systems.
    """

    sizes: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Printed:
    """The paper's values.

    Args:
        spreads: Method to metric to mean and deviation over targets: Table 22.
        subgroups: Of the paper's participants: Figure 13.
        people: Our target to the participant of Tables 23 to 26 with the same frames.
    """

    spreads: Mapping[str, Mapping[str, PublishedSpread]]
    subgroups: Subgroups
    people: Mapping[str, PublishedPerson]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "source": "BAH paper, Tables 22 to 26 and Figure 13; columns SHOT and NRC of Tables 24 to 26 exchanged",
            "table22": {
                method: {metric: spread._asdict() for metric, spread in cells.items()}
                for method, cells in self.spreads.items()
            },
            "subgroups": {
                grouping: {group: asdict(means) for group, means in groups.items()}
                for grouping, groups in self.subgroups.items()
            },
            "targets": {
                one: {
                    "participant": person.participant,
                    "sizes": person.sizes._asdict(),
                    "metrics": {method: dict(cells) for method, cells in person.metrics.items()},
                }
                for one, person in self.people.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationResults:
    """The runs of all methods as one.

    Args:
        data: The data set.
        features: Modality to feature set.
        notes: What must stand above the tables.
        target_split: How a target's frames were divided.
        selection: Method to how its epochs were selected.
        excluded: Participant to the reason why nothing was adapted to them.
        failed: Method to participant to the reason; who failed in one is left out of all.
        summary: Over the targets.
        targets: By participant.
        paper: None for a synthetic data set: the paper's numbers are about people.
    """

    data: DataAdaptedOn
    features: Mapping[str, str]
    notes: Sequence[str]
    target_split: str
    selection: Mapping[str, str]
    excluded: Mapping[str, str]
    failed: Mapping[str, Mapping[str, str]]
    summary: Summary
    targets: Mapping[str, Target]
    paper: Printed | None

    @property
    def is_synthetic(self) -> bool:
        """Return whether nobody in the data set is real."""
        return self.data.is_synthetic

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "data": self.data.model_dump(),
            "features": dict(self.features),
            "notes": list(self.notes),
            "target_split": self.target_split,
            "selection": dict(self.selection),
            "excluded": dict(self.excluded),
            "failed": {method: dict(failed) for method, failed in self.failed.items()},
            "summary": asdict(self.summary),
            "targets": {
                one: {"sizes": dict(target.sizes), "metrics": {name: dict(m) for name, m in target.metrics.items()}}
                for one, target in self.targets.items()
            },
            "paper": None if self.paper is None else self.paper.to_json(),
        }


def join_methods(records: Mapping[str, AdaptRecord], people: Mapping[str, Mapping[str, str]]) -> AdaptationResults:
    """Return the runs of all methods as one, with the paper's values.

    Args:
        records: Method to what ``adapt`` returned.
        people: Participant to what is known of them (``sex``, ``age_range``).
    """
    first = records[METHODS[0]]
    kept = [one for one in first.targets if all(one not in record.failed for record in records.values())]
    metrics = {
        one: {
            **{name: first.targets[one].metrics[name] for name in TRIVIAL},
            **{method: records[method].targets[one].metrics[method] for method in METHODS},
        }
        for one in kept
    }
    targets = {one: Target(first.targets[one].sizes, metrics[one]) for one in kept}
    return AdaptationResults(
        data=first.data,
        features=first.features,
        notes=first.notes,
        target_split=first.target_split,
        selection={method: record.selection for method, record in records.items()},
        excluded=first.excluded,
        failed={method: record.failed for method, record in records.items() if record.failed},
        summary=summarise(metrics, people, [*METHODS, *TRIVIAL]),
        targets=targets,
        paper=None if first.data.is_synthetic or first.data.edition is None else _printed(targets),
    )


def _printed(targets: Mapping[str, Target]) -> Printed:
    judged = {one: person for one, person in published_people().items() if person.is_judged}
    same = {}
    for one, target in targets.items():
        counts = (sum(target.sizes[f"{part}_{kind}"] for part in ("train", "val", "test")) for kind in ("ah", "n"))
        person = person_of_sizes(*counts)
        if person is not None:
            same[one] = person
    return Printed(
        spreads=published_spreads(),
        subgroups=subgroup_means(
            {one: person.metrics for one, person in judged.items()},
            {one: person.groups for one, person in published_people().items()},
            METHODS,
        ),
        people=same,
    )
