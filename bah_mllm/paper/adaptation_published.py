"""What the paper printed about adaptation, participant by participant: its Tables 23 to 26.

The columns headed SHOT and NRC of Tables 24 to 26 are exchanged here: as printed, their means and deviations are those
of the other method in Table 22, and so are the age groups in the text of appendix E.3.3.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from bah_mllm.paper.published import published_results, read_table
from supervised.adaptation.protocol import PartSizes
from supervised.adaptation.recipe import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAPER_METRICS", "paper_people", "paper_sizes", "paper_summary", "paper_targets", "participant_of_sizes"]

PAPER_METRICS = {"f1": "table24_f1", "wf1": "table25_wf1", "ap_bah": "table26_ap"}
_PRINTED_AS = {"shot": "nrc", "nrc": "shot"}


@cache
def paper_targets() -> Mapping[str, Mapping[str, Mapping[str, float | None]]]:
    """Return participant (``P1`` ...) to method to metric; None where a cell is empty or not legible.

    References:
        BAH paper, Tables 24 (F1), 25 (weighted F1) and 26 (AP as the paper computes it).
    """
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for metric, table in PAPER_METRICS.items():
        for row in read_table(table):
            cells = {method: row[_PRINTED_AS.get(method, method)] for method in METHODS}
            target = found.setdefault(row["participant"], {method: {} for method in METHODS})
            for method, text in cells.items():
                target[method][metric] = float(text) if text else None
    return MappingProxyType(found)


def paper_sizes() -> dict[str, PartSizes]:
    """Return how many frames each participant's parts hold: Table 23."""
    fields = PartSizes._fields
    return {row["participant"]: PartSizes(*(int(row[name]) for name in fields)) for row in read_table("table23_counts")}


def paper_people() -> dict[str, dict[str, str]]:
    """Return ``sex`` and ``age_range`` of each participant, as Table 23 prints them; missing where not legible."""
    ages = {row["participant"]: row["age_group"] for row in read_table("age_groups")}
    people = {}
    for row in read_table("table23_counts"):
        known = {"sex": row["sex"], "age_range": ages.get(row["participant"], "")}
        people[row["participant"]] = {name: value for name, value in known.items() if value}
    return people


def participant_of_sizes(n_positive: int, n_negative: int) -> str | None:
    """Return who in Table 23 has so many frames with and without A/H; no two have the same numbers.

    >>> participant_of_sizes(601, 4573)
    'P1'
    """
    for participant, sizes in paper_sizes().items():
        with_ah = sizes.train_ah + sizes.val_ah + sizes.test_ah
        if (with_ah, sum(sizes) - with_ah) == (n_positive, n_negative):
            return participant
    return None


def paper_summary() -> dict[str, dict[str, tuple[float, float]]]:
    """Return method to metric (``f1``, ``wf1``, ``ap_bah``) to mean and standard deviation over targets: Table 22."""
    spread = {row["method"]: row for row in read_table("table22_std")}
    found: dict[str, dict[str, tuple[float, float]]] = {method: {} for method in METHODS}
    for cell in published_results():
        if cell.edition == "v1" and cell.family == "adaptation":
            found[cell.system][cell.metric] = (cell.value, float(spread[cell.system][cell.metric]))
    return found
