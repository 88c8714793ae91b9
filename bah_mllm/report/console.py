"""Where tables are printed: as wide as the terminal, or 120 columns into a file or pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["plain_console"]

_WIDTH_WITHOUT_TERMINAL = 120  # rich takes 80, which cuts the tables


def plain_console() -> Console:
    """Return a console on stdout that colours nothing by itself."""
    from rich.console import Console

    return Console(width=None if Console().is_terminal else _WIDTH_WITHOUT_TERMINAL, highlight=False)
