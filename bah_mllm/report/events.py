"""How well segments are found, in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bah_mllm.evaluation import Evaluation
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.numbers import above_interval, figure

__all__ = ["print_events"]

_COLUMNS = ("segment_f1_30", "segment_f1_50", "onset_error_s", "offset_error_s", "false_alarms_per_minute")


def print_events(evaluation: Evaluation, *, console: Console) -> None:
    """Print segment metrics of systems and anchors, and the rule by which scores became segments.

    Args:
        evaluation: What ``evaluate_rows`` returned, at frame level.
        console: Where to print.
    """
    found = [(row.identity, row.events) for row in (*evaluation.rows, *evaluation.anchors) if row.events is not None]
    if not found:
        console.print("Segments are rated at frame level only.")
        return
    table = Table(pad_edge=False, collapse_padding=True)
    table.add_column("system", overflow="fold", min_width=16)
    for metric in _COLUMNS:
        table.add_column(HEADINGS[metric], justify="right")
    for identity, events in found:
        window = f"\nwindow {identity.window_frames}" if identity.window_frames is not None else ""
        metrics = [events.metrics[name] for name in _COLUMNS]
        cells = (above_interval(metric.value, metric.bounds, write=figure) for metric in metrics)
        table.add_row(escape(identity.system + window), *cells)
    console.print(table)
    rule = found[0][1].rule
    console.print(
        f"segments: score > {rule.threshold:g}, gaps of up to {rule.max_gap_frames} frames closed, at least "
        f"{rule.min_frames} frames long"
    )
    if rule.assumed_fps is not None:
        console.print(f"videos of unknown frame rate count as {rule.assumed_fps:g} frames a second")
    elif any(events.metrics["false_alarms_per_minute"].value is None for _, events in found):
        console.print("no frame rate is known: no errors in seconds and no false alarms a minute")
