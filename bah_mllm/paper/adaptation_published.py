"""What the paper printed about adaptation, participant by participant: its Tables 23 to 26.

The columns headed SHOT and NRC of Tables 24 to 26 are exchanged here: as printed, their means and deviations are those
of the other method in Table 22, and so are the age groups in the text of appendix E.3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from bah_mllm.paper.published import published_results, read_table
from supervised.adaptation.protocol import PartSizes
from supervised.adaptation.recipe import METHODS

__all__ = ["PublishedPerson", "PublishedSpread", "person_of_sizes", "published_people", "published_spreads"]

_TABLES = {"f1": "table24_f1", "wf1": "table25_wf1", "ap_bah": "table26_ap"}
_PRINTED_AS = {"shot": "nrc", "nrc": "shot"}


class PublishedSpread(NamedTuple):
    """Mean and standard deviation over targets."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class PublishedPerson:
    """A participant of the test split, as Tables 23 to 26 print them.

    Args:
        participant: ``P1`` ...
        groups: ``sex`` and ``age_range``; missing where not legible.
        sizes: Frames of each part.
        metrics: Method to metric (``f1``, ``wf1``, ``ap_bah``); None where a cell is empty or not legible.

    References:
        BAH paper, Tables 23 (frames), 24 (F1), 25 (weighted F1) and 26 (AP as the paper computes it).
    """

    participant: str
    groups: Mapping[str, str]
    sizes: PartSizes
    metrics: Mapping[str, Mapping[str, float | None]]

    @property
    def is_judged(self) -> bool:
        """Return whether the tables of results have the participant."""
        return self.metrics["source_only"]["f1"] is not None


@cache
def published_people() -> Mapping[str, PublishedPerson]:
    """Return the participants by name, in the order of Table 23."""
    ages = {row["participant"]: row["age_group"] for row in read_table("age_groups")}
    metrics = _published_metrics()
    people = {}
    for row in read_table("table23_counts"):
        one = row["participant"]
        groups = {"sex": row["sex"], "age_range": ages.get(one, "")}
        sizes = PartSizes(*(int(row[name]) for name in PartSizes._fields))
        known = {grouping: group for grouping, group in groups.items() if group}
        people[one] = PublishedPerson(one, known, sizes, metrics[one])
    return MappingProxyType(people)


def _published_metrics() -> dict[str, dict[str, dict[str, float | None]]]:
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for metric, table in _TABLES.items():
        for row in read_table(table):
            target = found.setdefault(row["participant"], {method: {} for method in METHODS})
            for method in METHODS:
                text = row[_PRINTED_AS.get(method, method)]
                target[method][metric] = float(text) if text else None
    return found


def person_of_sizes(n_positive: int, n_negative: int) -> PublishedPerson | None:
    """Return who in Table 23 has so many frames with and without A/H; no two have the same numbers.

    >>> person_of_sizes(601, 4573).participant
    'P1'
    """
    for person in published_people().values():
        with_ah = person.sizes.train_ah + person.sizes.val_ah + person.sizes.test_ah
        if (with_ah, sum(person.sizes) - with_ah) == (n_positive, n_negative):
            return person
    return None


def published_spreads() -> dict[str, dict[str, PublishedSpread]]:
    """Return method to metric (``f1``, ``wf1``, ``ap_bah``) to mean and deviation over targets: Table 22."""
    deviations = {row["method"]: row for row in read_table("table22_std")}
    found: dict[str, dict[str, PublishedSpread]] = {method: {} for method in METHODS}
    for cell in published_results():
        if cell.edition == "v1" and cell.family == "adaptation":
            found[cell.system][cell.metric] = PublishedSpread(cell.value, float(deviations[cell.system][cell.metric]))
    return found
