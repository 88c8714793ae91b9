"""Tables that are no plain text: Parquet, JSON lines and Excel's files."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from bah_mllm.core.errors import DataError, PrerequisiteError
from bah_mllm.core.tables.columns import Layout, n_known
from bah_mllm.core.tables.text import RawRow, RawTable

__all__ = ["excel_table", "json_table", "parquet_table"]


def parquet_table(data: bytes, layout: Layout, *, name: str) -> RawTable:
    """Return the cells of the columns of a Parquet file that are ours, the others as None.

    Raises:
        DataError: The file is damaged, or holds text that is not UTF-8; names column and row.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        header = list(file.schema_arrow.names)
        wanted = [column for column in dict.fromkeys(header) if n_known([column], layout)]
        table = file.read(columns=wanted)
        n_rows = file.metadata.num_rows
        columns = {
            column: _values(table.column(column), column, name=name) for column in wanted if header.count(column) == 1
        }
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        raise DataError(
            f"{name} cannot be read as Parquet ({type(error).__name__}).",
            remedy="Write the file again: it is damaged, or no Parquet.",
        ) from None
    nothing: list[object] = [None] * n_rows
    cells = zip(*(columns.get(column, nothing) for column in header), strict=True) if header else ()
    return RawTable(list(header), [(number, list(row)) for number, row in enumerate(cells, start=1)], unit="row")


def _values(column: Any, title: str, *, name: str) -> list[object]:  # noqa: ANN401 - pyarrow has no types
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        for number, cell in enumerate(column, start=1):
            try:
                cell.as_py()
            except UnicodeDecodeError:
                raise DataError(
                    f"{name}, row {number}: the text in the column {title!r} is not UTF-8.",
                    remedy="Write the column again as text in UTF-8.",
                ) from None
        raise


def json_table(text: str, *, name: str) -> RawTable:
    """Return the cells of JSON lines, or of a JSON list of objects; keys are columns.

    Raises:
        DataError: A line is no JSON object; names it.
    """
    is_list = text.lstrip().startswith("[")
    if is_list:
        values = _parsed(text, where=name)
        pairs = list(enumerate(values if isinstance(values, list) else [values], start=1))
    else:
        lines = enumerate(text.split("\n"), start=1)
        pairs = [(number, _parsed(line, where=f"{name}, line {number}")) for number, line in lines if line.strip()]
    unit = "row" if is_list else "line"
    header: dict[str, None] = {}
    for number, value in pairs:
        if not isinstance(value, dict):
            raise DataError(f"{name}, {unit} {number}: no JSON object.", remedy="Write one JSON object a row.")
        header |= dict.fromkeys(value)
    return RawTable(list(header), [(number, [value.get(key) for key in header]) for number, value in pairs], unit=unit)


def _parsed(text: str, *, where: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        what = "a key given twice" if isinstance(error, _RepeatedKeyError) else "no valid JSON"
        raise DataError(f"{where}: {what}.", remedy="Write one JSON object a line.") from None


class _RepeatedKeyError(ValueError):
    """An object names a key twice."""


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKeyError
    return found


def excel_table(data: bytes, *, name: str) -> RawTable:
    """Return the cells of the first sheet of an Excel file.

    Raises:
        PrerequisiteError: openpyxl is not there.
        DataError: The file is damaged.
    """
    try:
        import openpyxl
    except ImportError:
        raise PrerequisiteError(
            f"{name} is an Excel file, and openpyxl, which reads these, is not installed.",
            remedy="pip install openpyxl, or save the table as CSV.",
        ) from None
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write a size that is too small
        rows: list[RawRow] = [
            (number, list(cells)) for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1)
        ]
        book.close()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - of damaged files it raises whatever comes up in zip, XML or itself
        what = "damaged" if isinstance(error, zipfile.BadZipFile) else f"no Excel file ({type(error).__name__})"
        raise DataError(f"{name} cannot be read: it is {what}.", remedy="Save the table again, or as CSV.") from None
    rows = [(number, cells) for number, cells in rows if any(cell not in (None, "") for cell in cells)]
    if not rows:
        return RawTable([], [], unit="row")
    return RawTable(list(rows[0][1]), rows[1:], unit="row")
