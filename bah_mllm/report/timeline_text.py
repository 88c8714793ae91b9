"""One video over time as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import set_cell_size

from bah_mllm.report.timeline import NAME_OF_STRENGTH, Timeline, inside, shortened, timeline_rows

__all__ = ["timeline_text"]

_COLUMNS, _MAX_LABEL_COLUMNS = 100, 26
_BLOCK_OF_STRENGTH = {1: "░", 2: "▒", 3: "█"}


def timeline_text(timeline: Timeline) -> str:
    """Return a video over time for a terminal, at most 100 columns wide: a ruler, the A/H segments, a row a cue.

    A column is filled where an event touches it, with the block of the strongest; the number behind a row counts its
    events.
    """
    duration_s = timeline.duration_s
    heading = shortened(timeline.title, _COLUMNS)
    if not duration_s > 0:
        return f"{heading}\nlength unknown: nothing to show\n"
    rows = timeline_rows(timeline)
    n_label = min(_MAX_LABEL_COLUMNS, max([len("seconds"), *(len(row.code) for row in rows)]))
    n_count = max([1, *(len(str(len(row.events))) for row in rows)])
    n_columns = _COLUMNS - n_label - n_count - 4
    numbers, ticks = _ruler(duration_s, n_columns)
    shaded = [(start_s, stop_s, "█") for start_s, stop_s in inside(timeline.segments, duration_s)]
    lines = [heading, f"{'seconds':>{n_label}} {numbers}".rstrip(), f"{'':{n_label}} {ticks}"]
    lines.append(f"{'A/H':{n_label}} |{_blocks(shaded, duration_s, n_columns)}| {len(shaded)}")
    previous = None
    for row in rows:
        if row.modality != previous:
            lines.append("-" * n_label)
            previous = row.modality
        weakest_first = sorted(row.events, key=lambda event: event.strength)
        spans = [(event.start_s, event.stop_s, _BLOCK_OF_STRENGTH[event.strength]) for event in weakest_first]
        label = set_cell_size(shortened(row.code, n_label), n_label)
        lines.append(f"{label} |{_blocks(spans, duration_s, n_columns)}| {len(row.events)}")
    if not rows:
        lines.append("no cues")
    strengths = "  ".join(f"{block} {NAME_OF_STRENGTH[n]}" for n, block in _BLOCK_OF_STRENGTH.items())
    lines.append(f"{strengths}   a column is {duration_s / n_columns:.2g} s")
    return "\n".join(lines) + "\n"


def _blocks(spans: Sequence[tuple[float, float, str]], duration_s: float, n_columns: int) -> str:
    """Return a row of columns, filled with the block of the last span that touches each."""
    columns = [" "] * n_columns
    for start_s, stop_s, block in spans:
        first = min(n_columns - 1, int(start_s / duration_s * n_columns))
        stop = max(first + 1, math.ceil(stop_s / duration_s * n_columns - 1e-6))
        columns[first:stop] = [block] * (min(stop, n_columns) - first)
    return "".join(columns)


def _ruler(duration_s: float, n_columns: int) -> tuple[str, str]:
    """Return a line of numbers and a line of ticks for a row of columns between bars."""
    room = len(f"{duration_s:g}"[:6]) + 3  # columns a number needs
    step_s = _round_step(duration_s * room / n_columns)
    numbers, ticks = [" "] * (n_columns + 2), ["-"] * n_columns
    for number in range(math.ceil(duration_s / step_s)):
        column = int(number * step_s / duration_s * n_columns + 1e-6)
        ticks[column] = "+"
        text = f"{number * step_s:g}"
        if column + len(text) < n_columns:
            numbers[column + 1 : column + 1 + len(text)] = text
    return "".join(numbers), f"|{''.join(ticks)}|"


def _round_step(at_least: float) -> float:
    """Return the smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... that is no smaller.

    >>> _round_step(0.9), _round_step(11.0)
    (1.0, 20.0)
    """
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= at_least)
