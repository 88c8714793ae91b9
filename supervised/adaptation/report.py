"""Lines of text about adaptation: the table of one run, and the paper's Tables 22 to 26 beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bah_mllm.core.notes import SYNTHETIC
from supervised.adaptation.protocol import PartSizes
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.summary import TRIVIAL

__all__ = ["experiment_lines", "summary_lines"]

_SHOWN = {"f1": "F1", "wf1": "WF1", "ap": "AP", "ap_bah": "AP_bah"}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [_line(header), "|" + "---|" * len(header), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _mean_and_std(cell: Mapping[str, float | None]) -> str:
    """Return ``0.1547 ± 0.1608``; a dash where there is no value."""
    if cell["mean"] is None:
        return "-"
    return f"{cell['mean']:.4f}" + ("" if cell["std"] is None else f" ± {cell['std']:.4f}")


def _notes(record: Mapping[str, Any]) -> list[str]:
    """Return the lines of what must stand above every table."""
    return [line for note in record["notes"] for line in (f"**{note}**", "")]


def summary_lines(record: Mapping[str, Any]) -> list[str]:
    """Return a run's table: every system and the trivial answers, wins, who is left out, and what to know."""
    summary = record["summary"]
    lines = [
        f"# {record['system']}: mean ± sd over {summary['n_targets']} targets (split: {record['target_split']})",
        "",
    ]
    if record["data"]["is_synthetic"]:
        lines += [f"**{SYNTHETIC}**", ""]
    lines += _notes(record)
    lines += _table(
        ["system", *_SHOWN.values()],
        [
            [system, *(_mean_and_std(metrics[name]) for name in _SHOWN)]
            for system, metrics in summary["systems"].items()
        ],
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


def experiment_lines(found: Mapping[str, Any]) -> list[str]:
    """Return Tables 22 to 26 and the numbers of Figure 13 as Markdown, the paper's values beside ours."""
    lines = ["# Tables 22 to 26: adaptation to each participant", ""]
    if found["data"]["is_synthetic"]:
        lines += [f"**{SYNTHETIC}**", ""]
    lines += _notes(found)
    selection = ", ".join(f"{method} {how}" for method, how in found["selection"].items())
    lines += [
        f"Target split: {found['target_split']}. Features: {', '.join(found['features'].values())}.",
        f"Epochs selected by: {selection}.",
    ]
    if found["paper"] is not None:
        lines.append(
            "Paper: columns SHOT and NRC of its Tables 24 to 26 are exchanged, as Table 22 shows that they must be."
        )
    if found["target_split"] == "frame":
        lines.append("Test frames have neighbours among the training frames, as in the paper: results are optimistic.")
    lines += [f"Left out: {participant} ({reason})." for participant, reason in found["excluded"].items()]
    lines += [
        f"Failed: {method}, {participant} ({reason}); left out of every row."
        for method, failed in found["failed"].items()
        for participant, reason in failed.items()
    ]
    lines += ["", f"## Table 22: mean ± sd over {found['summary']['n_targets']} targets", "", *_table22(found)]
    lines += ["", "## Table 23: frames of each target", "", *_table23(found)]
    for number, metric in ((24, "f1"), (25, "wf1"), (26, "ap_bah")):
        lines += ["", f"## Table {number}: {_SHOWN[metric]} of each target", "", *_by_target(found, metric)]
    for part, grouping in (("a", "age_range"), ("b", "sex")):
        lines += ["", f"## Figure 13{part}: mean F1 by {grouping}", "", *_by_group(found, grouping)]
    return lines


def _table22(found: Mapping[str, Any]) -> list[str]:
    summary, paper = found["summary"], found["paper"]
    header = ["system", *_SHOWN.values(), "F1 > source", "F1 > all-positive"]
    rows = []
    for system in (*METHODS, *TRIVIAL):
        ours = [_mean_and_std(summary["systems"][system][metric]) for metric in _SHOWN]
        wins = summary["wins"].get(system)
        above = [str(wins[name]) if wins else "-" for name in ("over_source_only", "over_all_positive")]
        rows.append([system, *ours, *above])
    if paper is not None:
        shown = {metric: name for metric, name in _SHOWN.items() if metric != "ap"}  # its AP is ap_bah
        header += [f"paper {name}" for name in shown.values()]
        for row in rows:
            cells = paper["table22"].get(row[0])
            row += [_mean_and_std(cells[metric]) if cells else "-" for metric in shown]
    return _table(header, rows)


def _table23(found: Mapping[str, Any]) -> list[str]:
    classes = {"ah": "A/H", "n": "not A/H"}
    parts = (name.split("_") for name in PartSizes._fields)
    header = ["target", *(f"{part} {classes[of]}" for part, of in parts), "left out"]
    printed = _printed(found)
    rows = []
    for participant, target in found["targets"].items():
        row = [participant, *(str(target["sizes"][name]) for name in (*PartSizes._fields, "left_out"))]
        if found["paper"] is not None:
            sizes = printed[participant]["sizes"].values() if participant in printed else "-"
            row.append(" / ".join(map(str, sizes)))
        rows.append(row)
    return _table([*header, "paper"] if found["paper"] is not None else header, rows)


def _printed(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the paper prints of our targets; nothing of those that it does not have."""
    return {} if found["paper"] is None else dict(found["paper"]["targets"])


def _by_target(found: Mapping[str, Any], metric: str) -> list[str]:
    printed = _printed(found)
    rows = []
    for participant, target in found["targets"].items():
        theirs = printed[participant]["metrics"] if participant in printed else {}
        cells = []
        for system in (*METHODS, *TRIVIAL):
            value = theirs.get(system, {}).get(metric)
            cells.append(
                _figure(target["metrics"][system][metric]) + ("" if value is None else f" (paper {value:.4f})")
            )
        rows.append([participant, *cells])
    return _table(["target", *METHODS, *TRIVIAL], rows)


def _by_group(found: Mapping[str, Any], grouping: str) -> list[str]:
    sides = {"ours": found["summary"]["subgroups"][grouping]}
    if found["paper"] is not None:
        sides["paper"] = found["paper"]["subgroups"][grouping]
    rows = []
    for whose, groups in sides.items():
        for group, cells in groups.items():
            figures = [_figure(cells["f1"].get(system)) for system in (*METHODS, *TRIVIAL)]
            rows.append([f"{group} ({whose}, n = {cells['n']})", *figures])
    return _table(["group", *METHODS, *TRIVIAL], rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
