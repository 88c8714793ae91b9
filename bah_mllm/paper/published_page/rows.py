"""The published rows, and the test splits that they are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from bah_mllm.dataset.editions import published_sizes
from bah_mllm.paper.published import published_results

__all__ = ["Row", "items_of", "prevalence", "published_rows", "rows_of"]


class Row(NamedTuple):
    """One row of a published table: where it stands, and its metrics by name."""

    edition: str
    level: str
    family: str
    source: str
    system: str
    metrics: Mapping[str, float]

    @property
    def name(self) -> str:
        """Return the system without what every zero-shot row shares."""
        return self.system.removeprefix("Video-LLaVA-7B ")


@cache
def published_rows() -> tuple[Row, ...]:
    """Return the published rows, zero-shot first, otherwise in the order of the file."""
    metrics: dict[tuple[str, str, str, str, str], dict[str, float]] = defaultdict(dict)
    for cell in published_results():
        metrics[cell.edition, cell.level, cell.family, cell.source, cell.system][cell.metric] = cell.value
    rows = [Row(*key, metrics=values) for key, values in metrics.items()]
    return tuple(sorted(rows, key=lambda row: row.family != "zero-shot"))


def rows_of(*tables: int) -> list[Row]:
    """Return the rows of these tables of the paper."""
    return [row for row in published_rows() if row.source in {f"Table {number}" for number in tables}]


def items_of(edition: str, level: str) -> tuple[int, int]:
    """Return how many items the test split has, and how many of them are positive."""
    size = published_sizes()[edition]["test"]
    if level == "video":
        return size.videos, size.videos_ah
    assert size.frames is not None
    assert size.frames_ah is not None
    return size.frames, size.frames_ah


def prevalence(edition: str, level: str) -> float:
    """Return the share of positives in the test split."""
    n, n_positive = items_of(edition, level)
    return n_positive / n
