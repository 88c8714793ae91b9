"""The table of one run of adaptation, as lines of text."""

from __future__ import annotations

from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.markup import Table
from bah_mllm.report.numbers import figure, with_deviation
from supervised.adaptation.record import AdaptRecord
from supervised.adaptation.summary import Subgroups

__all__ = ["SHOWN", "summary_lines"]

SHOWN = ("f1", "wf1", "ap", "ap_bah")
"""Metrics in tables of adaptation, in this order."""


def summary_lines(record: AdaptRecord) -> list[str]:
    """Return a run's table: every system and the trivial answers, wins, who is left out, and what to know."""
    summary = record.summary
    lines = [f"# {record.system}: mean ± sd over {summary.n_targets} targets (split: {record.target_split})", ""]
    notes = [SYNTHETIC, *record.notes] if record.data.is_synthetic else record.notes
    lines += [line for note in notes for line in (f"**{note}**", "")]
    rows = [
        [system, *(with_deviation(metrics[name].mean, metrics[name].std) for name in SHOWN)]
        for system, metrics in summary.systems.items()
    ]
    lines += [*Table(["system", *(HEADINGS[name] for name in SHOWN)], rows).to_markdown().split("\n"), ""]
    for system, wins in summary.wins.items():
        lines.append(
            f"F1 of {system} is above source_only for {wins.over_source_only} of {wins.n} targets, above "
            f"all-positive for {wins.over_all_positive}."
        )
    lines += [f"Left out: {participant} ({reason})." for participant, reason in record.excluded.items()]
    lines += [f"Failed: {participant} ({reason})" for participant, reason in record.failed.items()]
    lines += _subgroup_lines(summary.subgroups)
    lines.append(f"Epochs were selected by: {record.selection}.")
    if record.target_split == "frame":
        lines.append("Test frames have neighbours among the training frames, as in the paper: results are optimistic.")
    return lines


def _subgroup_lines(subgroups: Subgroups) -> list[str]:
    lines = []
    for grouping, groups in subgroups.items():
        for group, found in groups.items():
            means = ", ".join(f"{system} {figure(f1)}" for system, f1 in found.f1.items() if f1 is not None)
            lines.append(f"Mean F1, {grouping} {group} (n = {found.n}): {means}.")
    return lines
