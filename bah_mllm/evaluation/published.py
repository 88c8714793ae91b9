"""The paper's numbers, to stand beside ours where the same cell exists.

``paper_results.csv`` holds the results of both editions: v1 from the paper's tables, iclr2026 from the figures in its
public repository. ``source`` says where each number is from.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["PublishedCell", "published_cells", "published_results"]

_PROMPTS = ("simple", "def1", "def2", "transcript_def1", "transcript_def2")


@dataclass(frozen=True, slots=True)
class PublishedCell:
    """One published number.

    Args:
        edition: ``v1`` or ``iclr2026``.
        level: ``frame`` or ``video``.
        family: ``supervised``, ``zero-shot`` or ``adaptation``.
        system: As named in the file.
        metric: ``f1``, ``wf1``, ``macro_f1`` or ``ap_bah``.
        value: 0 to 1, on the test split. Adaptation: mean over target participants, not over pooled frames.
        source: Table or figure.
    """

    edition: str
    level: str
    family: str
    system: str
    metric: str
    value: float
    source: str


@cache
def published_results() -> tuple[PublishedCell, ...]:
    """Return all published numbers, in the order of the file."""
    text = files("bah_mllm.evaluation").joinpath("paper_results.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedCell(**{**row, "value": float(row["value"])})  # type: ignore[arg-type]  # the header names the fields
        for row in csv.DictReader(text.splitlines())
    )


def published_cells(
    *, edition: str, level: str, system: str, window_frames: int | None, split: str | None = "test"
) -> Mapping[str, PublishedCell]:
    """Return what the paper reports for the same prompt, window and level.

    Prompts are matched by their name, whatever the engine: the paper ran Video-LLaVA-7B, so that the difference to
    another model is what the reader wants to see. Frame-level numbers of iclr2026 come without a window and are matched
    with none. Other systems are matched by the exact name in the file.

    Args:
        edition: ``v1`` or ``iclr2026``.
        level: ``frame`` or ``video``.
        system: As in the rows: ``transcript_def1@video-llava:...``, or a name in the file.
        window_frames: As in the rows.
        split: The paper reports the test split; nothing is returned for others.

    Returns:
        Metric name to the published cell; empty where the paper has none.
    """
    if split != "test":
        return {}
    prompt, is_prompt, _ = system.partition("@")
    if is_prompt and prompt in _PROMPTS:
        name = f"Video-LLaVA-7B {prompt}" if level == "video" else f"Video-LLaVA-7B {prompt} window {window_frames}"
        family = "zero-shot"
    else:
        name, family = system, "supervised"
    wanted = (edition, level, family, name)
    return {
        cell.metric: cell
        for cell in published_results()
        if (cell.edition, cell.level, cell.family, cell.system) == wanted
    }
