"""Lines of text about adaptation: the table of one run, and the paper's Tables 22 to 26 beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["markdown_table", "summary_lines"]

_SHOWN = {"f1": "F1", "wf1": "WF1", "ap": "AP", "ap_bah": "AP_bah"}


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [_line(header), "|" + "---|" * len(header), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def mean_and_std(cell: Mapping[str, float | None]) -> str:
    """Return ``0.1547 ± 0.1608``; a dash where there is no value."""
    if cell["mean"] is None:
        return "-"
    return f"{cell['mean']:.4f}" + ("" if cell["std"] is None else f" ± {cell['std']:.4f}")


def summary_lines(record: Mapping[str, Any]) -> list[str]:
    """Return a run's table: every system and the trivial answers, wins, who is left out, and what to know."""
    summary = record["summary"]
    lines = [
        f"# {record['system']}: mean ± sd over {summary['n_targets']} targets (split: {record['target_split']})",
        "",
    ]
    if record["data"]["is_synthetic"]:
        lines += ["**demo set (synthetic): it shows that everything works, not how well A/H is recognised**", ""]
    lines += markdown_table(
        ["system", *_SHOWN.values()],
        [[system, *(mean_and_std(metrics[name]) for name in _SHOWN)] for system, metrics in summary["systems"].items()],
    )
    lines.append("")
    for system, wins in summary["wins"].items():
        lines.append(
            f"F1 of {system} is above source_only for {wins['over_source_only']} of {wins['n']} targets, above "
            f"all-positive for {wins['over_all_positive']}."
        )
    lines += [f"Left out: {participant} ({reason})." for participant, reason in record["excluded"].items()]
    lines += [f"Failed: {participant} ({reason})" for participant, reason in record["failed"].items()]
    lines += _subgroup_lines(summary["subgroups"])
    lines.append(f"Epochs were selected by: {record['selection']}.")
    if record["target_split"] == "frame":
        lines.append("Test frames have neighbours among the training frames, as in the paper: results are optimistic.")
    return lines


def _subgroup_lines(subgroups: Mapping[str, Any]) -> list[str]:
    lines = []
    for grouping, groups in subgroups.items():
        for group, found in groups.items():
            figures = ", ".join(f"{system} {f1:.4f}" for system, f1 in found["f1"].items() if f1 is not None)
            lines.append(f"Mean F1, {grouping} {group} (n = {found['n']}): {figures}.")
    return lines
