"""Tables in text: encodings, separators, comment lines and row numbers as spreadsheets and data frames write them.

Python's ``csv`` reads the cells, since it tells the line that each row stands in, which pandas does not. Its sniffer
guesses the separator from the letters of the rows, which transcripts and paths lead astray; here the separator is the
one that shows most of the column names that the table must have.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bah_mllm.core.errors import DataError
from bah_mllm.core.tables.columns import Layout, n_known, normal_name

__all__ = ["RawRow", "RawTable", "decoded", "text_table"]

RawRow = tuple[int, Sequence[object]]

_SEPARATORS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # what Excel puts first
_MANY_BLANK_LINES = 1000


@dataclass(frozen=True, slots=True)
class RawTable:
    """What a file holds before its cells are understood.

    Args:
        header: Names of the columns; None where the file has no header.
        rows: Number and cells of each row.
        unit: What the numbers count: ``line`` or ``row``.
        separates_by_comma: See ``NumberSigns``.
        notes: What was passed over.
    """

    header: list[object] | None
    rows: list[RawRow]
    unit: str
    separates_by_comma: bool = False
    notes: tuple[str, ...] = ()


def decoded(data: bytes, *, name: str) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, with or without byte order mark.

    Raises:
        DataError: It is none of these; names the line.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None) or _unmarked_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "no valid UTF-8" if encoding == "utf-8" else f"no valid {encoding.upper()}"
        raise DataError(
            f"{name}, line {line}: {what} (byte 0x{data[error.start]:02x}).", remedy="Save the file as UTF-8."
        ) from None
    text = text.removeprefix("\ufeff")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise DataError(
            f"{name}, line {line}: a NUL byte.", remedy="Get the file again from its source: it is damaged, or no text."
        )
    return text


def _unmarked_encoding(data: bytes) -> str:
    """Tell UTF-16 without a mark by its NULs, one beside nearly every letter; all else is UTF-8."""
    head = data[:400]
    n_even, n_odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 4 and len(data) % 2 == 0 and max(n_even, n_odd) > 0.4 * len(head) / 2 and not min(n_even, n_odd):
        return "utf-16-le" if n_odd else "utf-16-be"
    return "utf-8"


def text_table(text: str, layout: Layout, *, name: str) -> RawTable:
    """Return the cells of a table in text.

    Raises:
        DataError: Quotes or numbers of cells do not fit; names the line.
    """
    separator, n_skipped, header = _beginning(text, layout)
    try:
        lines = list(_cells(text, separator, n_skipped, name=name))
    except DataError:
        if separator != "\t" or layout.needs_header:
            raise
        # A table by places, of a corpus: its quotes may be words.
        lines = list(_cells(text, separator, n_skipped, name=name, quoting=csv.QUOTE_NONE))
    if header is not None and lines:
        lines = lines[1:]
    n_columns = len(header) if header is not None else len(layout.columns)
    rows: list[RawRow] = []
    n_comments = 0
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if cells[0].lstrip().startswith("#") and len(cells) != n_columns:
            n_comments += 1
            continue
        rows.append((number, cells))
    if header is not None and _has_row_numbers([cells for _, cells in rows], n_columns):
        header = ["", *header]
    notes = (f"{n_comments:,} lines that begin with # are comments",) if n_comments else ()
    return RawTable(
        header=header,
        rows=rows,
        unit="line",
        separates_by_comma=separator == ",",
        notes=notes,
    )


def _beginning(text: str, layout: Layout) -> tuple[str, int, list[object] | None]:
    """Return the separator, how many lines precede the header or the first row, and the header, where there is one."""
    separators: Sequence[str] = _SEPARATORS
    n_skipped, first = 0, ""
    for n_skipped, line in enumerate(io.StringIO(text, newline="")):
        bare = line.strip("\r\n")
        if told := _SEPARATOR_LINE.fullmatch(bare.strip()):
            separators = (told[1],)
        elif bare.lstrip().startswith("#"):
            # numpy writes its header as a comment
            if all(
                column.name in _names(bare.lstrip("# "), separators, layout)
                for column in layout.columns
                if column.is_needed
            ):
                first = bare.lstrip("# ")
                break
        elif bare.strip():
            first = bare
            break
        if n_skipped >= _MANY_BLANK_LINES:
            break
    if not first:
        return separators[0], 0, [] if layout.needs_header else None
    separator = max(separators, key=lambda one: n_known(_split(first, one), layout))
    header: list[object] = list(_split(first, separator))
    if n_skipped and layout.needs_header and not n_known(header, layout):
        return separator, n_skipped, []
    if layout.needs_header or n_known(header, layout) > len(layout.columns) / 2:
        return separator, n_skipped, header
    lines = [line for line in text.splitlines()[:50] if layout.section is None or not line.startswith(layout.section)]
    by_places = [one for one in ("\t", ";", ",", "|") if any(line.count(one) for line in lines)]
    fitting = [one for one in by_places if any(len(_split(line, one)) == len(layout.columns) for line in lines)]
    return (fitting or by_places or ["\t"])[0], n_skipped, None


def _names(line: str, separators: Sequence[str], layout: Layout) -> set[str]:
    best = max((_split(line, one) for one in separators), key=lambda cells: n_known(cells, layout))
    return {normal_name(cell) for cell in best}


def _split(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return line.split(separator)


def _cells(
    text: str, separator: str, n_skipped: int, *, name: str, quoting: int = csv.QUOTE_MINIMAL
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not empty, with the line that it begins in."""
    lines = io.StringIO(text, newline="")
    for _ in range(n_skipped):
        lines.readline()
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True, quoting=quoting)  # type: ignore[arg-type]
    number = 1 + n_skipped
    try:
        for cells in reader:
            if cells:
                yield number, cells
            number = 1 + n_skipped + reader.line_num
    except csv.Error as error:
        raise DataError(
            f"{name}, line {number}: no valid CSV ({error}).",
            remedy="Put cells that hold separators or quotes between double quotes, and double the quotes in them.",
        ) from None


def _has_row_numbers(rows: Sequence[Sequence[object]], n_columns: int) -> bool:
    """Tell rows that begin with their number, of which the header knows nothing: R writes tables so."""
    if not rows or any(len(cells) != n_columns + 1 for cells in rows):
        return False
    numbers = [str(cells[0]).strip() for cells in rows]
    return any(numbers == [str(first + k) for k in range(len(rows))] for first in (0, 1))
