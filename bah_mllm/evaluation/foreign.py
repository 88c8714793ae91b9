"""Predictions of other tools: a CSV or Parquet file with ``video_id, p`` becomes a table of our schema."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Level, Status, Variant
from bah_mllm.core.timeline import MAX_FRAMES
from bah_mllm.predictions import COLUMNS, rows_to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_foreign"]

_NEEDED = frozenset({"video_id", "p"})
_SPANS = (frozenset[str](), frozenset({"frame"}), frozenset({"start_frame", "stop_frame"}))
_EXPECTED = "video_id, p; at frame level also frame, or start_frame, stop_frame; for several systems also system"
_NO_SCORE = frozenset({"", "nan", "na", "none", "null"})
_ABSENT = -1


_LONGEST_SHOWN = 24


class _ForeignRow(BaseModel):
    """One line of a foreign file. A column that the file does not have keeps its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_id: Annotated[str, Field(min_length=1)]
    p: Annotated[float, Field(ge=0.0, le=1.0)] | None
    system: Annotated[str, Field(min_length=1)] = ""
    frame: Annotated[int, Field(ge=0, lt=MAX_FRAMES)] = _ABSENT
    start_frame: Annotated[int, Field(ge=0, lt=MAX_FRAMES)] = _ABSENT
    stop_frame: Annotated[int, Field(ge=1, le=MAX_FRAMES)] = _ABSENT


def read_foreign(path: Path, *, system: str | None = None) -> pd.DataFrame:
    """Read predictions that another tool wrote.

    The columns decide the level: with ``frame``, or ``start_frame`` and ``stop_frame``, rows are about frames (counted
    from 0, spans half open), else about whole videos. A missing score (empty, NaN) is kept as a failed row, never taken
    for a number.

    Args:
        path: ``.csv`` (UTF-8, with a header) or ``.parquet``, with the columns ``video_id, p``; at frame level also
            ``frame``, or ``start_frame, stop_frame``; optional ``system``. p is a probability from 0 to 1.
        system: Name for rows that name none; the file's stem where None.

    Returns:
        A table with the columns of the prediction schema. Participants are left empty: the labels know them.

    Raises:
        DataError: The file is missing, unreadable or malformed; names the line and the value.
    """
    header, lines = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    rows = _validate(path, lines)
    if not rows:
        raise DataError(f"{path} holds no predictions.", remedy="Write one line per video, frame or span.")
    return _to_table(rows, header, system or path.stem)


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a header that is not one of the agreed ones: a misspelt ``system`` would otherwise merge systems."""
    columns = frozenset(header)
    span = columns - _NEEDED - {"system"}
    missing = sorted(_NEEDED - columns)
    unknown = sorted(span - frozenset().union(*_SPANS))
    if len(header) != len(columns) or missing or unknown or span not in _SPANS:
        wrong = f"; lacking: {', '.join(missing)}" if missing else ""
        wrong += f"; unknown here: {', '.join(unknown)}" if unknown else ""
        raise DataError(
            f"{path} has the columns {', '.join(header) or '(none)'}{wrong}.",
            remedy=f"Rename or drop columns: {_EXPECTED}.",
        )


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            return header, list(_csv_lines(path, reader, header))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", remedy="Give the path of a CSV or Parquet file."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}.", remedy="Save it as CSV in UTF-8.") from None


def _csv_lines(path: Path, reader: Any, header: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:  # noqa: ANN401 - csv's reader type is private
    for values in reader:
        if not values:
            continue
        if len(values) != len(header):
            raise DataError(
                f"{path}, line {reader.line_num} has {len(values)} values, but there are {len(header)} columns.",
                remedy="Write one value per column, and quote values that hold a comma.",
            )
        yield reader.line_num, dict(zip(header, values, strict=True))


def _read_parquet(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {error}.", remedy="Give the path of a CSV or Parquet file."
        ) from None
    _check_header(path, table.column_names)
    return list(table.column_names), list(enumerate(table.to_pylist(), start=1))


def _validate(path: Path, lines: list[tuple[int, dict[str, Any]]]) -> list[_ForeignRow]:
    for _, values in lines:
        if _is_no_score(values["p"]):
            values["p"] = None
    try:
        rows = TypeAdapter(list[_ForeignRow]).validate_python([values for _, values in lines])
    except ValidationError as error:
        first = error.errors()[0]
        index, *column = first["loc"]
        number, values = lines[int(index)]
        what = f"{column[0]} = {_shown(values.get(str(column[0])))}: " if column else ""
        raise DataError(
            f"{path}, line {number}: {what}{first['msg']}.",
            remedy=f"Mend that line (wrong values in all: {error.error_count()}). Expected: {_EXPECTED}; p is 0 to 1.",
        ) from None
    for (number, _), row in zip(lines, rows, strict=True):
        if row.start_frame != _ABSENT and row.start_frame >= row.stop_frame:
            raise DataError(
                f"{path}, line {number}: the span [{row.start_frame}, {row.stop_frame}) holds no frame.",
                remedy="Count frames from 0 and write stop_frame as one past the last frame.",
            )
    return rows


def _shown(value: object) -> str:
    """Return a value for a message; a longer text may be somebody's words, and only its length is told."""
    if isinstance(value, str) and (len(value) > _LONGEST_SHOWN or " " in value):
        return f"a text of {len(value)} characters"
    return repr(value)


def _is_no_score(value: object) -> bool:
    """Return whether this is what tools write where they have no score."""
    if isinstance(value, str):
        return value.strip().lower() in _NO_SCORE
    return value is None or value != value  # noqa: PLR0124 - only NaN differs from itself


def _to_table(rows: list[_ForeignRow], header: Sequence[str], default_system: str) -> pd.DataFrame:
    import pandas as pd

    is_frame_level = "frame" in header or "start_frame" in header
    starts = [row.frame if "frame" in header else row.start_frame for row in rows]
    stops = [row.frame + 1 if "frame" in header else row.stop_frame for row in rows]
    values: dict[str, Any] = dict.fromkeys(COLUMNS)
    values |= {
        "system": [row.system or default_system for row in rows],
        "variant": Variant.MAIN.value,
        "video_id": [row.video_id for row in rows],
        "participant_id": "",
        "level": (Level.FRAME if is_frame_level else Level.VIDEO).value,
        "start_frame": starts if is_frame_level else None,
        "stop_frame": stops if is_frame_level else None,
        "p_positive": [row.p for row in rows],
        "status": [(Status.ENGINE_ERROR if row.p is None else Status.OK).value for row in rows],
        "detail": ["the file gives no score" if row.p is None else None for row in rows],
        "short_clip": False,
    }
    return pd.DataFrame(values, columns=list(COLUMNS)).astype(rows_to_frame([]).dtypes)
