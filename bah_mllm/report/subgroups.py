"""Groups of participants side by side, in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bah_mllm.evaluation.subgroups import Gap, Group, Subgroups, SystemSubgroups
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.numbers import above_interval, decimal

__all__ = ["print_subgroups"]


def print_subgroups(subgroups: Subgroups, *, console: Console) -> None:
    """Print a table per system: groups with value and 95 % interval, beneath each grouping the gaps.

    Args:
        subgroups: What ``subgroup_rows`` returned.
        console: Where to print.
    """
    for row in subgroups.rows:
        window = f", window {row.window_frames}" if row.window_frames is not None else ""
        console.print(escape(f"{row.system}{window}, {row.aggregation}"), style="bold", soft_wrap=True)
        console.print(_table(row))
        for group in row.groups:
            if group.left_out is not None:
                console.print(escape(f"{group.grouping} {group.value} is left out: {group.left_out}"))
        for grouping, n in row.n_without_value.items():
            if n:
                console.print(escape(f"{grouping}: unknown for {n:,} judged items, which are in no group"))
    for grouping, reason in subgroups.left_out.items():
        console.print(escape(f"{grouping} is left out: {reason}"))
    if any(row.gaps for row in subgroups.rows):
        console.print(
            "gap: highest minus lowest group, its 95 % interval on the same draws of participants, and how often\n"
            "groups that do not differ would lie as far apart (p; it allows for having picked the extremes)"
        )


def _table(row: SystemSubgroups) -> Table:
    metrics = list(dict.fromkeys(name for group in row.groups for name in group.metrics))
    table = Table(pad_edge=False, collapse_padding=True)
    table.add_column("group", overflow="fold", min_width=12)
    table.add_column("n\npeople", justify="right")
    for heading in ("positive\nlabels", "positive\nanswers"):
        table.add_column(heading, justify="right")
    for name in metrics:
        table.add_column(HEADINGS[name], justify="right", min_width=7)
    for grouping in dict.fromkeys(group.grouping for group in row.groups if group.left_out is None):
        table.add_section()
        table.add_row(escape(grouping), style="bold")
        for group in row.groups:
            if group.grouping == grouping and group.left_out is None:
                table.add_row(*_group_cells(group, metrics))
        gaps = {gap.metric: gap for gap in row.gaps if gap.grouping == grouping}
        if gaps:
            table.add_row("gap", "", "", "", *(_gap_cell(gaps[name]) for name in metrics))
    return table


def _group_cells(group: Group, metrics: list[str]) -> list[str]:
    assert group.prevalence is not None
    assert group.positive_rate is not None
    cells = [escape(group.value), f"{group.n:,}\n{group.n_participants}"]
    cells += [decimal(group.prevalence, 2), decimal(group.positive_rate, 2)]
    return cells + [above_interval(group.metrics[name], group.ci[name]) for name in metrics]


def _gap_cell(gap: Gap) -> str:
    lines = [decimal(gap.value, 3)]
    if gap.ci is not None:
        lines.append(" ".join(f"{bound:+.2f}".replace("0.", ".", 1) for bound in gap.ci))
    if gap.p_value is not None:
        lines.append(f"p {decimal(gap.p_value, 3)}")
    return "\n".join(lines)
