"""What differs between two runs: the first field of their manifests, then their rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bah_mllm.core.json_output import write_json
from bah_mllm.predictions import Manifest, PredictionRow, read_manifest, read_run

__all__ = ["diff_runs", "print_diff"]

_SECTIONS = ("data", "identity", "engine", "packages", "config")
_CHANGED_BY = 1e-4  # of p: what batches and kernels do to label scores stays below it
_SHOWN = 5


def diff_runs(a: Path, b: Path) -> dict[str, Any]:
    """Return the differing manifest fields, most telling first, and how the rows differ.

    Rows are paired by prompt, variant, video and span, so that two models on the same prompts can be compared.

    Args:
        a: Run folder.
        b: Another.

    Raises:
        RunError: One of them is no run.
    """
    fields = _differing_fields(read_manifest(a), read_manifest(b))
    rows_a, rows_b = ({_pair_key(row): row for row in read_run(folder)} for folder in (a, b))
    common = sorted(rows_a.keys() & rows_b.keys(), key=str)
    shifts = {key: _shift(rows_a[key], rows_b[key]) for key in common}
    changed = {key: shift for key, shift in shifts.items() if shift is not None and abs(shift) > _CHANGED_BY}
    flips = [
        key for key in common if None not in (hard := (_hard(rows_a[key]), _hard(rows_b[key]))) and len(set(hard)) == 2
    ]
    by_video: Counter[str] = Counter()
    for key, shift in changed.items():
        by_video[rows_a[key].video_id] += abs(shift)  # type: ignore[assignment]
    n_of_video = Counter(rows_a[key].video_id for key in common)
    most = sorted(by_video, key=lambda video: (-by_video[video] / n_of_video[video], video))[:_SHOWN]
    statuses = Counter(
        f"{rows_a[key].status} -> {rows_b[key].status}" for key in common if rows_a[key].status != rows_b[key].status
    )
    return {
        "a": str(a),
        "b": str(b),
        "first_difference": fields[0] if fields else None,
        "fields": fields,
        "n_common": len(common),
        "n_only_a": len(rows_a.keys() - rows_b.keys()),
        "n_only_b": len(rows_b.keys() - rows_a.keys()),
        "n_p_changed": len(changed),
        "n_label_flips": len(flips),
        "statuses": dict(statuses),
        "largest_shift": max((abs(shift) for shift in shifts.values() if shift is not None), default=0.0),
        "mean_shift": sum(changed.values()) / len(changed) if changed else 0.0,
        "videos": [{"video_id": video, "mean_abs_shift": by_video[video] / n_of_video[video]} for video in most],
    }


def _differing_fields(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for section in _SECTIONS:
        old, new = (run.model_dump(mode="json")[section] for run in (a, b))
        for name in dict.fromkeys([*old, *new]):
            # The configuration repeats what the identity says, and where a run was written is no difference.
            if old.get(name) != new.get(name) and name not in seen | {"out"}:
                found.append({"field": f"{section}.{name}", "a": old.get(name), "b": new.get(name)})
                seen.add(name)
    return found


def _pair_key(row: PredictionRow) -> tuple[object, ...]:
    prompt = row.system.partition("@")[0]
    return (prompt, row.variant, row.video_id, row.level, row.start_frame, row.stop_frame, row.window_frames)


def _shift(a: PredictionRow, b: PredictionRow) -> float | None:
    return None if a.p_positive is None or b.p_positive is None else b.p_positive - a.p_positive


def _hard(row: PredictionRow) -> int | None:
    return row.label if row.p_positive is None else int(row.p_positive > 0.5)


def print_diff(a: Path, b: Path, *, json_path: str | None) -> None:
    """Print how two runs differ, or write it as JSON (``-`` for stdout)."""
    found = diff_runs(a, b)
    if json_path is not None:
        write_json(found, json_path)
        return
    from bah_mllm.report.console import plain_console

    console = plain_console(has_markup=False, wraps_softly=True)
    console.print(f"a: {found['a']}\nb: {found['b']}")
    for field in found["fields"]:
        console.print(f"  {field['field']}: {field['a']!r} -> {field['b']!r}")
    if not found["fields"]:
        console.print("  the manifests agree")
    console.print(
        f"rows: {found['n_common']:,} common, {found['n_only_a']:,} only in a, {found['n_only_b']:,} only in b; "
        f"p changed by over {_CHANGED_BY:g} in {found['n_p_changed']:,} (mean shift {found['mean_shift']:+.4f}, "
        f"largest of all {found['largest_shift']:.1e}), "
        f"label flipped in {found['n_label_flips']:,}"
    )
    for change, n in found["statuses"].items():
        console.print(f"  status {change}: {n:,}")
    for video in found["videos"]:
        console.print(f"  {video['video_id']}: p moved by {video['mean_abs_shift']:.4f} in the mean")
