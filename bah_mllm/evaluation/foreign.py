"""Predictions of other tools: a table with ``video_id, p`` becomes a table of our schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Level, Status, Variant
from bah_mllm.core.saying import say
from bah_mllm.core.tables import Column, Kind, Layout, Table, read_table
from bah_mllm.core.timeline import MAX_FRAMES
from bah_mllm.predictions import COLUMNS, rows_to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ForeignItem", "ForeignRows", "FrameSpan", "read_foreign"]

FrameSpan = Callable[[str, float, float], tuple[int, int]]  # video id, start_s, stop_s -> [start, stop) in frames

_SPANS = (
    frozenset[str](),
    frozenset({"frame"}),
    frozenset({"start_frame", "stop_frame"}),
    frozenset({"start_s", "stop_s"}),
)
_LAYOUT = Layout(
    (
        Column("video_id", is_needed=True, may_be_blank=False),
        Column("p", Kind.NUMBER, is_needed=True, lowest=0, highest=1),
        Column("system", may_be_blank=False),
        Column("frame", Kind.WHOLE, may_be_blank=False, lowest=0, highest=MAX_FRAMES - 1),
        Column("start_frame", Kind.WHOLE, may_be_blank=False, lowest=0, highest=MAX_FRAMES - 1),
        Column("stop_frame", Kind.WHOLE, may_be_blank=False, lowest=1, highest=MAX_FRAMES),
        Column("start_s", Kind.NUMBER, may_be_blank=False, lowest=0, highest=MAX_FRAMES),
        Column("stop_s", Kind.NUMBER, may_be_blank=False, lowest=0, highest=MAX_FRAMES),
    ),
    expected=(
        "video_id, p (0 to 1); at frame level also frame, or start_frame, stop_frame, or start_s, stop_s; for several "
        "systems also system"
    ),
    choices=_SPANS,
)
_FRAME_NAME = re.compile(r"(?P<video>.+)[/\\]frame-(?P<number>[0-9]{1,7})\.(?:jpe?g|png)", re.IGNORECASE)


class ForeignItem(NamedTuple):
    """One row of another tool: a video, frames of it, or seconds of it, and the score.

    Args:
        line: Where it stands in the file.
        video_id: As the file names the video.
        system: Who predicts; None where the file does not say.
        p: Probability of A/H, 0 to 1; None where the file gives none.
        start: First frame, or second; None for a whole video.
        stop: One past the last frame, or end in seconds.
    """

    line: int
    video_id: str
    system: str | None
    p: float | None
    start: float | None
    stop: float | None


@dataclass(frozen=True, slots=True)
class ForeignRows:
    """The predictions of a file.

    Args:
        path: The file.
        table: What it was read as; names lines.
        items: Its rows.
        level: About frames or about whole videos.
        is_in_seconds: Spans are seconds, not frames.
    """

    path: Path
    table: Table
    items: tuple[ForeignItem, ...]
    level: Level
    is_in_seconds: bool

    @classmethod
    def read(cls, path: Path) -> ForeignRows:
        """Read predictions that another tool wrote.

        The columns decide the level: with ``frame``, ``start_frame, stop_frame`` or ``start_s, stop_s``, or videos
        named as BAH names frames (``VIDEO/frame-12.jpg``), rows are about frames (counted from 0, spans half open),
        else about whole videos.

        Args:
            path: Any table that ``read_table`` takes, with the columns ``video_id, p`` (a probability from 0 to 1);
                optional ``system``. Other columns are left out, and said so.

        Raises:
            DataError: The file is missing, unreadable or malformed; names the line and the value.
            PrerequisiteError: It is an Excel file, and openpyxl is not there.
        """
        table = read_table(path, _LAYOUT)
        if not table.rows:
            raise DataError(f"{path} holds no predictions.", remedy="Write one line per video, frame or span.")
        for note in table.notes:
            say(f"note: {note}")
        items = tuple(_item(row.number, row.values, table) for row in table.rows)
        if not table.columns & frozenset().union(*_SPANS):
            items = _with_frames_of_names(items, table)
        level = Level.VIDEO if items[0].start is None else Level.FRAME
        return cls(path, table, items, level, is_in_seconds="start_s" in table.columns)

    def renamed(self, ids: Mapping[str, str]) -> ForeignRows:
        """Return the rows with videos named as in the mapping."""
        return replace(self, items=tuple(item._replace(video_id=ids[item.video_id]) for item in self.items))

    def each_once(self) -> ForeignRows:
        """Return the rows without those that repeat another.

        Raises:
            DataError: Two rows give one item different values; names both lines.
        """
        kept: dict[tuple[object, ...], ForeignItem] = {}
        repeated: list[tuple[ForeignItem, ForeignItem]] = []
        unit = self.table.unit
        for item in self.items:
            first = kept.setdefault((item.system, item.video_id, item.start, item.stop), item)
            if first is item:
                continue
            if first.p != item.p:
                raise DataError(
                    f"{self.path}, {unit}s {first.line} and {item.line}: two values for {self._named(item)}: p = "
                    f"{_score(first)} and p = {_score(item)}.",
                    remedy="Keep the right one of the two; name systems in a column `system` where there are several.",
                )
            repeated.append((first, item))
        if repeated:
            first, item = repeated[0]
            say(
                f"note: {self.path}: {len(repeated):,} rows repeat another with the same value, such as {unit} "
                f"{item.line} that of {first.line}; each item counts once."
            )
        return replace(self, items=tuple(kept.values()))

    def in_frames(self, span_of: FrameSpan) -> ForeignRows:
        """Return rows about seconds as rows about frames; those within one and the same frame as their mean.

        Args:
            span_of: Tells the frames shown during a span of a video.

        Raises:
            DataError: A span ends beyond all that a video can be.
        """
        found: dict[tuple[object, ...], list[ForeignItem]] = {}
        for item in self.items:
            assert item.start is not None
            assert item.stop is not None
            start, stop = span_of(item.video_id, item.start, item.stop)
            if stop > MAX_FRAMES:
                raise DataError(
                    f"{self.table.where(item.line)}: the span ends at frame {stop:,}.", remedy="Write times in seconds."
                )
            key = (item.system, item.video_id, start, stop)
            found.setdefault(key, []).append(item._replace(start=start, stop=stop))
        n_merged = sum(len(items) - 1 for items in found.values())
        if n_merged:
            say(f"note: {self.path}: {n_merged:,} spans share their frames with another: such frames have the mean.")
        items = tuple(_mean_item(items) for items in found.values())
        return replace(self, items=items, is_in_seconds=False)

    def counted_from(self, first: int) -> ForeignRows:
        """Return rows about frames that the file counts from ``first`` with frames counted from 0.

        Raises:
            DataError: A row names a frame before the first one; names the line.
        """
        if not first or self.level is Level.VIDEO:
            return self
        items = []
        for item in self.items:
            assert item.start is not None
            assert item.stop is not None
            if item.start < first:
                raise DataError(
                    f"{self.table.where(item.line)}: frame {item.start:.0f}, but frames are counted from {first}.",
                    remedy="Leave --frames-from out where frames are counted from 0.",
                )
            items.append(item._replace(start=item.start - first, stop=item.stop - first))
        return replace(self, items=tuple(items))

    def to_frame(self, *, system: str | None = None) -> pd.DataFrame:
        """Return the rows as a table with the columns of the prediction schema.

        A missing score is kept as a failed row, never taken for a number. Participants are left empty: the labels know
        them.

        Args:
            system: Name for rows that name none; the file's stem where None.
        """
        import pandas as pd

        name = system or self.path.name.removesuffix(".gz").rpartition(".")[0] or self.path.name
        items = self.items
        is_frame_level = self.level is Level.FRAME
        values: dict[str, Any] = dict.fromkeys(COLUMNS)
        values |= {
            "system": [item.system or name for item in items],
            "variant": Variant.MAIN.value,
            "video_id": [item.video_id for item in items],
            "participant_id": "",
            "level": self.level.value,
            "start_frame": [item.start for item in items] if is_frame_level else None,
            "stop_frame": [item.stop for item in items] if is_frame_level else None,
            "p_positive": [item.p for item in items],
            "status": [(Status.ENGINE_ERROR if item.p is None else Status.OK).value for item in items],
            "detail": ["the file gives no score" if item.p is None else None for item in items],
            "short_clip": False,
        }
        return pd.DataFrame(values, columns=list(COLUMNS)).astype(rows_to_frame([]).dtypes)

    def _named(self, item: ForeignItem) -> str:
        if item.start is None or item.stop is None:
            return f"the video {item.video_id!r}"
        if self.is_in_seconds:
            return f"seconds {item.start:g} to {item.stop:g} of {item.video_id!r}"
        is_one = item.stop == item.start + 1
        span = f"frame {item.start:.0f}" if is_one else f"frames {item.start:.0f} to {item.stop:.0f}"
        return f"{span} of {item.video_id!r}"


def read_foreign(path: Path, *, system: str | None = None) -> pd.DataFrame:
    """Read predictions that another tool wrote, with videos named as in the data set and spans in frames.

    Args:
        path: See ``ForeignRows.read``.
        system: Name for rows that name none; the file's stem where None.

    Returns:
        A table with the columns of the prediction schema; see ``ForeignRows.to_frame``.

    Raises:
        DataError: The file is missing, unreadable or malformed, or its spans are in seconds; names the line.
        PrerequisiteError: It is an Excel file, and openpyxl is not there.
    """
    rows = ForeignRows.read(path)
    if rows.is_in_seconds:
        raise DataError(
            f"{path} gives spans in seconds, and which frames these are only the videos tell.",
            remedy="Judge the file with `bah-mllm evaluate --data`, or write start_frame, stop_frame.",
        )
    return rows.each_once().to_frame(system=system)


def _item(line: int, values: Mapping[str, Any], table: Table) -> ForeignItem:
    if "frame" in values:
        start, stop = values["frame"], values["frame"] + 1
    else:
        start, stop = (values.get(f"{end}_s", values.get(f"{end}_frame")) for end in ("start", "stop"))
    if start is not None and start >= stop:
        is_seconds = "start_s" in values
        raise DataError(
            f"{table.where(line)}: the span [{start:g}, {stop:g}) holds no {'time' if is_seconds else 'frame'}.",
            remedy="Write stop_s after start_s."
            if is_seconds
            else "Count frames from 0 and write stop_frame as one past the last frame.",
        )
    return ForeignItem(line, values["video_id"], values.get("system"), values["p"], start, stop)


def _with_frames_of_names(items: tuple[ForeignItem, ...], table: Table) -> tuple[ForeignItem, ...]:
    """Return rows about frames where videos are named as BAH names frames, the same rows where none is."""
    matches = [_FRAME_NAME.fullmatch(item.video_id) for item in items]
    if not any(matches):
        return items
    found = []
    for item, match in zip(items, matches, strict=True):
        if match is None:
            raise DataError(
                f"{table.where(item.line)}: a whole video among frames (VIDEO/frame-12.jpg).",
                remedy="Write frames and whole videos into two files.",
            )
        frame = int(match["number"])
        found.append(item._replace(video_id=match["video"], start=frame, stop=frame + 1))
    return tuple(found)


def _mean_item(items: Sequence[ForeignItem]) -> ForeignItem:
    known = [item.p for item in items if item.p is not None]
    return items[0]._replace(p=fmean(known) if known else None)


def _score(item: ForeignItem) -> str:
    return "nothing" if item.p is None else f"{item.p:g}"
