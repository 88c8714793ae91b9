"""How far a run is, what failed, and where the time went."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bah_mllm.core.json_output import write_json
from bah_mllm.predictions import is_being_written, read_manifest, read_run

__all__ = ["print_status", "run_status"]


def run_status(folder: Path) -> dict[str, Any]:
    """Return the state of a run as plain values, also while it is running or after a kill.

    Raises:
        RunError: The folder is not a run.
    """
    manifest = read_manifest(folder)
    rows = read_run(folder)
    reasons = Counter(
        (row.status.value, (row.detail or "").split(":")[0]) for row in rows if row.status.is_failure
    ).most_common(5)
    return {
        "run": str(folder),
        "state": _state(folder, manifest.state),
        "n_starts": manifest.n_starts,
        "created": manifest.created,
        "updated": manifest.updated,
        "n_rows": dict(Counter(row.status.value for row in rows)),
        "n_planned": manifest.counters.get("rows_planned"),
        "systems": dict(Counter(row.system for row in rows)),
        "failures": [{"status": status, "reason": reason, "n": n} for (status, reason), n in reasons],
        "counters": manifest.counters,
        "seconds": manifest.seconds,
        "notes": manifest.notes,
    }


def _state(folder: Path, state: str) -> str:
    """Tell a run at work from one that was killed or interrupted: only the former is locked."""
    return "interrupted" if state == "running" and not is_being_written(folder) else state


def print_status(folder: Path, *, json_path: str | None) -> None:
    """Print the state of a run for a person, or write it as JSON (``-`` for stdout)."""
    state = run_status(folder)
    if json_path is not None:
        write_json(state, json_path)
        return
    from rich.table import Table

    from bah_mllm.report.console import plain_console

    table = Table(title=f"{state['run']}: {state['state']}", show_header=False, title_justify="left", box=None)
    done = sum(state["n_rows"].values())
    planned = f" of {state['n_planned']:,}" if state["n_planned"] else ""
    table.add_row("rows", f"{done:,}{planned} ({_listing(state['n_rows']) or 'none'})")
    table.add_row("started", f"{state['created']}, {state['n_starts']} start(s), last written {state['updated']}")
    for system, n in state["systems"].items():
        table.add_row("system", f"{system} ({n:,} rows)")
    for failure in state["failures"]:
        table.add_row("failed", f"{failure['n']:,} x {failure['status']}: {failure['reason']}")
    # A kill loses what was counted since the manifest was last written, some seconds at most.
    at_least = "at least " if state["n_starts"] > 1 and state["counters"] else ""
    table.add_row("work", at_least + (_listing(state["counters"]) or "-"))
    table.add_row("seconds", _listing({key: f"{value:.1f}" for key, value in state["seconds"].items()}) or "-")
    for note in state["notes"]:
        table.add_row("note", note)
    plain_console(has_markup=False).print(table)


def _listing(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in values.items()
    )
