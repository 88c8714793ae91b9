"""What every benchmark is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BenchRequest", "Figures"]

Figures = Mapping[str, "float | str | list[str] | Figures"]
"""Figures, and groups of figures, by name."""


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What a benchmark may vary.

    Args:
        seed: Of made-up input.
        toy_seeds: Of the draws of toy problems, one draw each.
    """

    seed: int = 0
    toy_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
