"""The whole page. No result is typed: all are computed from the published tables and the sizes of the splits."""

from __future__ import annotations

from pathlib import Path

from bah_mllm.paper.published_page.average_precision import average_precision
from bah_mllm.paper.published_page.constant_cells import constant_cells
from bah_mllm.paper.published_page.introduction import introduction
from bah_mllm.paper.published_page.label_sets import label_sets
from bah_mllm.paper.published_page.noise import noise
from bah_mllm.paper.published_page.padded_frames import padded_frames
from bah_mllm.paper.published_page.question_prior import question_prior
from bah_mllm.paper.published_page.swapped_columns import swapped_columns
from bah_mllm.paper.published_page.zero_shot_answers import zero_shot_answers

__all__ = ["PAGE", "published_page"]

PAGE = Path(__file__).resolve().parent.parent / "PUBLISHED.md"


def published_page() -> str:
    """Return the page as Markdown."""
    sections = (
        introduction,
        average_precision,
        constant_cells,
        zero_shot_answers,
        question_prior,
        padded_frames,
        label_sets,
        swapped_columns,
        noise,
    )
    return "\n\n".join(section() for section in sections) + "\n"
