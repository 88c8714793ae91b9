"""Which columns of a file are ours: by name, in any case and spacing; misspelt ones are refused, others left out."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from bah_mllm.core.errors import DataError
from bah_mllm.core.tables.cells import Kind

__all__ = ["Column", "Layout", "n_known", "normal_name", "placed_columns"]

_ALIKE = 0.8  # of difflib: "sytem" is .91 like "system", "lable" .8 like "label", "video" .77 like "video_id"
_ROW_NUMBERS = re.compile(r"(?:unnamed:?_?\d+|__index_level_\d+__|level_\d+|index)?")
_MANY, _LONGEST = 10, 60


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a table may have.

    Args:
        name: In lower case, with underscores.
        kind: What its cells hold.
        is_needed: A table without it is refused, and so is a row without its cell.
        may_be_blank: Whether a cell may hold nothing.
        lowest: Least value of a number.
        highest: Greatest value of a number.
    """

    name: str
    kind: Kind = Kind.TEXT
    is_needed: bool = False
    may_be_blank: bool = True
    lowest: float = -math.inf
    highest: float = math.inf


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that a table may have, in the order in which a file without header has them.

    Args:
        columns: All of them.
        expected: What to write, for messages.
        is_private: A file without header may show somebody's words in its first line: it is not quoted.
        needs_header: A file without header is refused; otherwise its columns are told by their places.
        choices: Sets of columns of which a file must have exactly one, and no others of theirs; empty for no such rule.
        section: Start of a line that is no row but opens a section; None where there are none.
    """

    columns: tuple[Column, ...]
    expected: str
    is_private: bool = False
    needs_header: bool = True
    choices: tuple[frozenset[str], ...] = ()
    section: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def normal_name(name: object) -> str:
    """Return a column's name in the one spelling.

    >>> normal_name(" Video ID"), normal_name("start-frame"), normal_name(None)
    ('video_id', 'start_frame', '')
    """
    text = "" if name is None else str(name)
    return re.sub(r"[\s\-]+", "_", text.strip().strip("\ufeff\"'").strip().casefold())


def n_known(header: Sequence[object], layout: Layout) -> int:
    """Return how many of the names are ours, however spelt."""
    ours = {normal_name(name) for name in layout.names}
    return len(ours.intersection(normal_name(name) for name in header))


def placed_columns(
    header: Sequence[object], layout: Layout, *, name: str
) -> tuple[list[Column | None], tuple[str, ...]]:
    """Return the column at each place of the header (None: not ours), and the names of those left out.

    Args:
        header: Names as the file has them.
        layout: What it may have.
        name: Of the file, for messages.

    Raises:
        DataError: A column is misspelt, twice there, or lacking.
    """
    ours = {normal_name(column.name): column for column in layout.columns}
    found = [ours.get(normal_name(cell)) for cell in header]
    is_there = {column.name for column in found if column is not None}
    others = [_quoted(cell) for cell, column in zip(header, found, strict=True) if column is None]
    others = [other for other in others if not _ROW_NUMBERS.fullmatch(normal_name(other))]
    what = f"{name}:" if layout.is_private else f"{name} has the columns {_listed(header)}:"
    twice = [name for name, n in Counter(column.name for column in found if column is not None).items() if n > 1]
    if twice:
        raise DataError(f"{what} two columns are named {twice[0]!r}.", remedy=f"Keep one of them: {layout.expected}.")
    for other in others:
        near = get_close_matches(normal_name(other), [key for key in ours if ours[key].name not in is_there], 1, _ALIKE)
        if near:
            raise DataError(
                f"{what} unknown column {other!r}.",
                remedy=f"Rename it to {ours[near[0]].name!r}, or drop it: {layout.expected}.",
            )
    lacking = [column.name for column in layout.columns if column.is_needed and column.name not in is_there]
    if lacking:
        of = f" among the {len(header)} of the header" if layout.is_private else ""
        near = [] if layout.is_private else get_close_matches(lacking[0], [normal_name(one) for one in others], 1)
        meant = f"Rename {near[0]!r} to {lacking[0]!r}" if near else "Start with a line that names the columns"
        raise DataError(f"{what} no column {', '.join(map(repr, lacking))}{of}.", remedy=f"{meant}: {layout.expected}.")
    chosen = is_there & frozenset().union(*layout.choices)
    if layout.choices and chosen not in layout.choices:
        raise DataError(
            f"{what} {', '.join(sorted(chosen)) or 'none of those'} do not go together.",
            remedy=f"Rename or drop columns: {layout.expected}.",
        )
    return found, tuple(others)


def _listed(header: Sequence[object]) -> str:
    names = [_quoted(cell) for cell in header]
    return (", ".join(names[:_MANY]) + (" ..." if len(names) > _MANY else "")) or "(none)"


def _quoted(name: object) -> str:
    text = "" if name is None else str(name).strip()[:_LONGEST]
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON may name a column by half a character
