"""Saying things to the person at the terminal; stdout is kept for data."""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["one_of", "say", "shortened"]


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


def shortened(value: object) -> str:
    """Return a value as messages quote it, cut where it is long.

    >>> shortened("a" * 99)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ..."
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:38]} ..."
