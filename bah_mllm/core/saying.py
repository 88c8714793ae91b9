"""Saying things to the person at the terminal; stdout is kept for data."""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["one_of", "say"]


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the command says


def one_of(names: Iterable[str]) -> str:
    """Return names as a list of choices.

    >>> one_of(["a", "b", "c"])
    'a, b or c'
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
