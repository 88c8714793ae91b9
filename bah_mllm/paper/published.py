"""The paper's numbers, to stand beside ours where the same cell exists.

``paper_results.csv`` holds the results of both editions: v1 from the paper's tables, iclr2026 from the figures in its
public repository. ``source`` says where each number is from.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bah_mllm.dataset import Dataset
from bah_mllm.evaluation import Result

__all__ = ["PublishedCell", "published_beside", "published_cells", "published_results", "read_table", "statement"]

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
    text = files("bah_mllm.paper").joinpath("paper_results.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedCell(**{**row, "value": float(row["value"])})  # type: ignore[arg-type]  # the header names the fields
        for row in csv.DictReader(text.splitlines())
    )


@cache
def read_table(name: str) -> tuple[Mapping[str, str], ...]:
    """Return the rows of a file in ``paper_tables``, column to cell, without its comments."""
    text = files("bah_mllm.paper").joinpath(f"paper_tables/{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def statement(name: str) -> float:
    """Return a number that the paper gives in its text: ``paper_tables/statements.csv``."""
    return next(float(row["value"]) for row in read_table("statements") if row["name"] == name)


def published_cells(
    *, edition: str, level: str, split: str | None, system: str, window_frames: int | None, aggregation: str
) -> Mapping[str, PublishedCell]:
    """Return what the paper reports for the same prompt, window and level.

    Prompts are matched by their name, whatever the engine: the paper ran Video-LLaVA-7B, and the difference to another
    model is what the reader wants to see. At video level the paper's prompts saw the whole video once (``video``), its
    supervised models were aggregated from frames (``max24``). Frame-level numbers of iclr2026 name no window and are
    never matched. Other systems are matched by their exact name in the file.

    Args:
        edition: ``v1`` or ``iclr2026``.
        level: ``frame`` or ``video``.
        split: The paper reports the test split; nothing is returned for others.
        system: As in the rows: ``transcript_def1@video-llava:...``, or a name in the file.
        window_frames: As in the rows.
        aggregation: As in the results.

    Returns:
        Metric name to the published cell; empty where the paper has none.
    """
    prompt, at, _ = system.partition("@")
    is_prompt = bool(at) and prompt in _PROMPTS
    paper_aggregation = "coverage" if level == "frame" else "video" if is_prompt else "max24"
    if split != "test" or aggregation != paper_aggregation:
        return {}
    window = f" window {window_frames}" if level == "frame" else ""
    name = f"Video-LLaVA-7B {prompt}{window}" if is_prompt else system
    wanted = (edition, level, "zero-shot" if is_prompt else "supervised", name)
    return {
        cell.metric: cell
        for cell in published_results()
        if (cell.edition, cell.level, cell.family, cell.system) == wanted
    }


def is_the_papers(dataset: Dataset, split: str | None) -> bool:
    """Return whether the paper's numbers are about such videos: BAH in its layout, its test split, real people."""
    return dataset.kind in ("bah", "split-files") and not dataset.is_synthetic and split == "test"


def published_beside(edition: str | None) -> Callable[[Result], Mapping[str, float]] | None:
    """Return what finds the published values of a line's cells, by metric; None where nothing can be compared.

    Args:
        edition: ``v1`` or ``iclr2026``; None for data of another kind.
    """
    if edition is None:
        return None

    def values(row: Result) -> Mapping[str, float]:
        cells = published_cells(
            edition=edition,
            level=row.identity.level,
            split=row.identity.split,
            system=row.identity.system,
            window_frames=row.identity.window_frames,
            aggregation=row.identity.aggregation or "",
        )
        return {metric: cell.value for metric, cell in cells.items()}

    return values
