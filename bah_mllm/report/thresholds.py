"""Thresholds chosen on other participants, in the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bah_mllm.evaluation import NestedThreshold
from bah_mllm.report.numbers import above_interval, decimal

__all__ = ["print_thresholds"]


def print_thresholds(found: Iterable[NestedThreshold], *, console: Console) -> None:
    """Print what a tuned threshold brings on other participants, and what it pretends to on the same ones.

    Args:
        found: What ``nested_thresholds`` returned.
        console: Where to print.
    """
    found = list(found)
    table = Table(title=escape(", ".join(dict.fromkeys(one.metric for one in found))), title_justify="left")
    table.add_column("system", overflow="fold", min_width=16)
    for heading in ("at 0.5", "nested", "in sample", "optimism", "thresholds"):
        table.add_column(heading, justify="right")
    for one in found:
        window = f"window {one.window_frames}, " if one.window_frames is not None else ""
        name = escape(f"{one.system}\n{window}{one.aggregation}")
        if one.nested is None or one.fixed is None or one.in_sample is None or one.optimism is None:
            table.add_row(f"{name}\n{one.left_out}", *["-"] * 5)
            continue
        nested = above_interval(one.nested[one.metric], None if one.ci is None else one.ci[one.metric])
        spread = f"{decimal(min(one.thresholds), 2)}-{decimal(max(one.thresholds), 2)}"
        cells = (decimal(one.fixed, 3), nested, decimal(one.in_sample, 3), f"{one.optimism:+.3f}", spread)
        table.add_row(name, *cells)
    console.print(table)
    console.print(
        "nested: each participant under a threshold chosen on others; in sample: chosen and judged on the same"
    )
