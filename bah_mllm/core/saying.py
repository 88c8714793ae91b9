"""Saying things to the person at the terminal: results on stdout, all else on stderr.

Names, notes and replies come from files of strangers. What in them would command a terminal, or cannot be seen, is
replaced here and nowhere else: whatever is printed goes through ``visible``, tables by ``bah_mllm.report.console``.
JSON and files keep every character.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import suppress

__all__ = ["UNSEEN", "hand_out", "one_of", "say", "shortened", "tell", "visible"]

# Control characters but tab and line feed, soft hyphens, marks of direction, spaces without width, halves of surrogate
# pairs, invisible tags.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return a text with a mark of one column for each character that commands a terminal or cannot be seen.

    >>> visible("a\x1b[31mb\u202ec")
    'a�[31mb�c'
    """
    return UNSEEN.sub("\ufffd", text)


def say(text: str) -> None:
    """Print a line on stderr; where that cannot be written (a log on a full disk), no work is lost for it."""
    with suppress(OSError):
        print(visible(text), file=sys.stderr, flush=True)  # noqa: T201 - the one place


def tell(text: str) -> None:
    """Print a line of a result on stdout."""
    print(visible(text))  # noqa: T201 - the one place


def hand_out(text: str) -> None:
    """Print a text on stdout that others go on with: as it is into a file or pipe, visible on a terminal."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


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
