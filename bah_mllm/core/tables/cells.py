"""One cell of a table: from what a file holds to a text, a number, a whole number or a label."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from enum import StrEnum

__all__ = ["CellError", "Kind", "NumberSigns", "as_text", "is_blank", "shown"]

_NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>", "#n/a"})  # what tools write for no value
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(?:[.,]0*)?", re.ASCII)
_POINT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:[0-9]+,[0-9]*|,[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[,.' \u00a0\u202f][0-9]{3})+(?:[.,][0-9]+)?", re.ASCII)
_LABELS = {"true": 1, "false": 0}
_LONGEST_SHOWN, _LONGEST_WORD_SHOWN = 24, 8


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole number"
    LABEL = "label"  # 0 or 1, as spreadsheets and data frames write them: 1.0, True
    RAW = "raw"  # as the file gives it


class CellError(ValueError):
    """What is wrong with a cell, in words that follow its value."""


def is_blank(value: object) -> bool:
    """Return whether this is what tools write where they have no value."""
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    return value is None or value != value  # noqa: PLR0124 - only NaN differs from itself


def as_text(value: object) -> str:
    """Return a cell as text, trimmed; empty where it holds nothing.

    Raises:
        CellError: It holds bytes that are not UTF-8, half a character, or a list.

    >>> as_text(" a "), as_text(None), as_text(7.0), as_text(True)
    ('a', '', '7', '1')
    """
    if value is None or value != value:  # noqa: PLR0124 - only NaN differs from itself
        return ""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise CellError("is no text in UTF-8") from None
    if isinstance(value, list | dict):
        raise CellError("is no text")
    # Data frames write whole numbers with gaps as 3.0.
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    try:
        text = str(value).strip()
        text.encode("utf-8")
    except (UnicodeEncodeError, ValueError):
        raise CellError("is no text in UTF-8") from None
    return text


class NumberSigns:
    """Reads the numbers of one table, in which a comma is the decimal sign throughout or nowhere.

    Args:
        separates_by_comma: The table's cells are separated by commas, so that a comma inside of one is rare and may
            as well part thousands.
    """

    def __init__(self, *, separates_by_comma: bool) -> None:
        self._is_comma_rare = separates_by_comma
        self._seen = ""

    def number(self, value: object) -> float:
        """Return a number.

        Raises:
            CellError: It is none, not finite, or written so that it may mean two things.
        """
        if isinstance(value, str):
            return self._parsed(value.strip())
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise CellError("is no number")
        return _finite(value)

    def whole(self, value: object) -> int:
        """Return a whole number.

        Raises:
            CellError: It is none.
        """
        if isinstance(value, str):
            text = value.strip()
            if not _WHOLE.fullmatch(text):
                raise CellError("is no whole number" + _about_thousands(text))
            return int(re.split("[.,]", text)[0])
        number = self.number(value)
        if not number.is_integer() or abs(number) >= 1e15:
            raise CellError("is no whole number")
        return int(number)

    def label(self, value: object) -> int:
        """Return a label, 0 or 1.

        Raises:
            CellError: It is neither.
        """
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, str) and value.strip().lower() in _LABELS:
            return _LABELS[value.strip().lower()]
        try:
            number = self.whole(value)
        except CellError:
            number = -1
        if number not in (0, 1):
            raise CellError("is no label: 1 (present) or 0")
        return number

    def _parsed(self, text: str) -> float:
        if _COMMA.fullmatch(text):
            if self._is_comma_rare and _THOUSANDS.fullmatch(text):
                raise CellError("may be thousands or a fraction")
            self._note("comma")
            return _finite(text.replace(",", "."))
        if _POINT.fullmatch(text):
            if "." in text:
                self._note("point")
            return _finite(text)
        raise CellError("is no number" + _about_thousands(text))

    def _note(self, sign: str) -> None:
        if self._seen not in ("", sign):
            raise CellError(f"has a decimal {sign}, but numbers before it have a decimal {self._seen}")
        self._seen = sign


def _finite(value: str | float | Decimal) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CellError("is no finite number")
    return number


def _about_thousands(text: str) -> str:
    return " (write thousands without a separator)" if _THOUSANDS.fullmatch(text) else ""


def shown(value: object) -> str:
    """Return a value for a message; a longer text may be somebody's words, and only its length is told.

    >>> shown("0.5x"), shown("well, yes")
    ("'0.5x'", 'a text of 9 characters')
    """
    if isinstance(value, str):
        has_words = any(character.isalpha() for character in value)
        if len(value) > (_LONGEST_WORD_SHOWN if has_words else _LONGEST_SHOWN) or " " in value.strip():
            return f"a text of {len(value)} characters"
        return repr(value)
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 10**_LONGEST_SHOWN else "a number of very many digits"
    return f"a value of type {type(value).__name__}"
