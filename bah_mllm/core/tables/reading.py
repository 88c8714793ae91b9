"""From a file to typed rows."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bah_mllm.core.errors import DataError
from bah_mllm.core.tables.binary import excel_table, json_table, parquet_table
from bah_mllm.core.tables.cells import CellError, Kind, NumberSigns, as_text, is_blank, shown
from bah_mllm.core.tables.columns import Column, Layout, placed_columns
from bah_mllm.core.tables.text import RawTable, decoded, text_table

__all__ = ["TABLE_SUFFIXES", "Row", "Table", "is_table", "read_table"]

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".xlsx", ".xlsm")
_MAX_BYTES = 2 << 30  # unpacked: a small .gz must not claim the memory of the machine
_MANY = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Args:
        number: Line of the file that it begins in, or count of the row where a file has no lines.
        values: By column; only those that the file has. None where a cell holds nothing (texts: empty).
        section: The line that opens a section, in place of values; None for a row.
    """

    number: int
    values: dict[str, Any]
    section: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose cells are what their columns must hold.

    Args:
        name: Of the file, for messages.
        unit: What the numbers of rows count: ``line`` or ``row``.
        columns: Ours that the file has.
        rows: In the order of the file.
        notes: What was left out, for the person who gave the file.
    """

    name: str
    unit: str
    columns: frozenset[str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def where(self, number: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.name}, {self.unit} {number}"


def is_table(path: Path) -> bool:
    """Return whether the name is one of a table, packed by gzip or not; a ``.txt`` is taken for something else."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in TABLE_SUFFIXES and suffixes[-1] != ".txt"


def read_table(path: Path, layout: Layout, *, name: str | None = None) -> Table:
    """Read a table as people have them.

    CSV with commas, semicolons, tabs or bars, decimal commas, UTF-8 or UTF-16, comment lines and row numbers; JSON
    lines or a JSON list of objects; Parquet; Excel where openpyxl is there; all of them packed by gzip or not.

    Args:
        path: The file.
        layout: The columns that it may have.
        name: The file's name in messages; the path where None.

    Raises:
        DataError: The file is missing, unreadable or malformed; names the line and the value.
        PrerequisiteError: It is an Excel file, and openpyxl is not there.
    """
    name = name or str(path)
    raw = _raw_table(path, layout, name=name)
    if raw.header is None:
        placed: list[Column | None] = list(layout.columns)
        notes = list(raw.notes)
    else:
        placed, left_out = placed_columns(raw.header, layout, name=name)
        notes = [*raw.notes, *_about_columns(left_out)]
    return Table(
        name=name,
        unit=raw.unit,
        columns=frozenset(column.name for column in placed if column is not None),
        rows=tuple(_rows(raw, placed, layout, name=name)),
        notes=tuple(f"{name}: {note}" for note in notes),
    )


def _about_columns(left_out: Sequence[str]) -> Iterator[str]:
    if left_out:
        more = f" and {len(left_out) - _MANY:,} more" if len(left_out) > _MANY else ""
        yield f"columns that mean nothing here are left out: {', '.join(left_out[:_MANY])}{more}"


def _raw_table(path: Path, layout: Layout, *, name: str) -> RawTable:
    data = _bytes(path, name=name)
    suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if data.startswith(b"PAR1") or suffix in (".parquet", ".pq"):
        return parquet_table(data, layout, name=name)
    if data.startswith(b"PK\x03\x04") or suffix in (".xlsx", ".xlsm"):
        return excel_table(data, name=name)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError(f"{name} is a file of an old Excel.", remedy="Save it as .xlsx or CSV.")
    text = decoded(data, name=name)
    if suffix in (".json", ".jsonl", ".ndjson") or text.lstrip()[:1] == "{":
        return json_table(text, name=name)
    return text_table(text, layout, name=name)


def _bytes(path: Path, *, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            data = gzip.GzipFile(fileobj=file).read(_MAX_BYTES + 1) if is_packed else file.read(_MAX_BYTES + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise DataError(f"{name} cannot be read: it is no whole gzip file.", remedy="Pack the file again.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name holds a NUL"
        raise DataError(
            f"{name} cannot be read: {reason}.", remedy="Give the path of a CSV, Parquet, JSON lines or Excel file."
        ) from None
    if len(data) > _MAX_BYTES:
        raise DataError(f"{name} is larger than 2 GB.", remedy="Split the table into several files.")
    return data


def _rows(raw: RawTable, placed: Sequence[Column | None], layout: Layout, *, name: str) -> Iterator[Row]:
    signs = NumberSigns(separates_by_comma=raw.separates_by_comma)
    n_columns = len(placed)
    columns = [(place, column) for place, column in enumerate(placed) if column is not None]
    for number, cells in raw.rows:
        if layout.section is not None and isinstance(cells[0], str) and cells[0].startswith(layout.section):
            yield Row(number, {}, section=cells[0])
            continue
        where = f"{name}, {raw.unit} {number}"
        _check_length(cells, n_columns, placed, where=where, layout=layout)
        values = {}
        for place, column in columns:
            cell = cells[place] if place < len(cells) else None
            try:
                values[column.name] = _value(cell, column, signs)
            except CellError as error:
                raise DataError(
                    f"{where}: {column.name} = {shown(cell)}: {error}.",
                    remedy=f"Mend that {raw.unit}: {layout.expected}.",
                ) from None
        if any(not is_blank(cell) for cell in cells):
            yield Row(number, values)


def _check_length(
    cells: Sequence[object], n_columns: int, placed: Sequence[Column | None], *, where: str, layout: Layout
) -> None:
    n_cells = len(cells)
    is_short = any(column is not None and column.is_needed for column in placed[n_cells:])
    if is_short or any(not is_blank(cell) for cell in cells[n_columns:]):
        raise DataError(
            f"{where} has {n_cells} values, but there are {n_columns} columns.",
            remedy=f"Write one value per column, and quote values that hold a separator: {layout.expected}.",
        )


def _value(cell: object, column: Column, signs: NumberSigns) -> object:
    if column.kind is Kind.RAW:
        return cell
    if column.kind is Kind.TEXT:
        text = as_text(cell)
        if not text and not column.may_be_blank:
            raise CellError("is empty")
        return text
    if isinstance(cell, bytes):
        cell = as_text(cell)
    if is_blank(cell):
        if not column.may_be_blank:
            raise CellError("is empty")
        return None
    if column.kind is Kind.LABEL:
        return signs.label(cell)
    number = signs.whole(cell) if column.kind is Kind.WHOLE else signs.number(cell)
    if (column.lowest is not None and number < column.lowest) or (
        column.highest is not None and number > column.highest
    ):
        raise CellError(f"is not from {column.lowest:,} to {column.highest:,}")
    return number
