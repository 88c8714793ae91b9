"""What commands say to the person at the terminal while they work; stdout is kept for data."""

from __future__ import annotations

import sys

__all__ = ["say"]


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the command says
