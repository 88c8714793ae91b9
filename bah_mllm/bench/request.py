"""What every benchmark is asked."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BenchRequest"]


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What a benchmark may vary.

    Args:
        seed: Of made-up input.
        toy_seeds: Of the draws of toy problems, one draw each.
    """

    seed: int = 0
    toy_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
