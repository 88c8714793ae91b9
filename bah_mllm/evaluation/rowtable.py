"""Prediction rows as arrays: read, checked, one per key, and grouped by what a line of a result table is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Level, Status, Variant
from bah_mllm.core.timeline import MAX_FRAMES
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int, Int8

__all__ = ["NONE", "Outcome", "RowGroup", "RowTable", "number_names"]

NONE = -1  # stands for a missing whole number: frames, windows and labels are never negative


class Outcome(IntEnum):
    """What a row gives: a score, a reply with neither label, or nothing."""

    SCORED = 0
    UNPARSED = 1
    FAILED = 2


@dataclass(frozen=True, slots=True, eq=False)
class RowTable:
    """Prediction rows, one entry per row in each array.

    Args:
        systems: Names, sorted; ``system`` holds places in it.
        video_ids: Ids, sorted; ``video`` holds places in it.
        system: Which system.
        video: Which video.
        variant: Place in ``Variant``.
        is_video_level: The row is about a whole video.
        start: First frame, or ``NONE``.
        stop: One past the last frame, or ``NONE``.
        window: The window asked for, or ``NONE``.
        score: 0 to 1; a label of the system's own where it gives no probability; NaN where there is neither.
        has_p: The row has a probability.
        outcome: See ``Outcome``.
    """

    systems: tuple[str, ...]
    video_ids: tuple[str, ...]
    system: Int[np.ndarray, " rows"]
    video: Int[np.ndarray, " rows"]
    variant: Int[np.ndarray, " rows"]
    is_video_level: Bool[np.ndarray, " rows"]
    start: Int[np.ndarray, " rows"]
    stop: Int[np.ndarray, " rows"]
    window: Int[np.ndarray, " rows"]
    score: Float[np.ndarray, " rows"]
    has_p: Bool[np.ndarray, " rows"]
    outcome: Int8[np.ndarray, " rows"]

    @classmethod
    def read(cls, rows: pd.DataFrame | Iterable[PredictionRow]) -> RowTable:
        """Turn rows, or a table with the columns of the schema, into arrays.

        Raises:
            DataError: A column is missing, or holds what the schema does not allow.
        """
        column = _columns_of_frame(rows) if hasattr(rows, "columns") else _columns_of_rows(rows)
        systems, system = number_names(_texts(column, "system"))
        video_ids, video = number_names(_texts(column, "video_id"))
        start, stop = _spans(column)
        score, has_p, outcome = _scores(column)
        return cls(
            systems=systems,
            video_ids=video_ids,
            system=system,
            video=video,
            variant=_choices(column, "variant", Variant),
            is_video_level=_choices(column, "level", Level) == list(Level).index(Level.VIDEO),
            start=start,
            stop=stop,
            window=_windows(column),
            score=score,
            has_p=has_p,
            outcome=outcome,
        )

    def __len__(self) -> int:
        return len(self.system)

    def take(self, chosen: Bool[np.ndarray, " rows"] | Int[np.ndarray, " chosen"]) -> RowTable:
        """Return the chosen rows, names unchanged."""
        names = [field.name for field in fields(self)][2:]
        return RowTable(self.systems, self.video_ids, **{name: getattr(self, name)[chosen] for name in names})

    def last_of_each_key(self) -> RowTable:
        """Keep the row written last of each key, sorted by key, so that no sum depends on the order of the rows."""
        key = (self.window, self.stop, self.start, self.is_video_level, self.video, self.variant, self.system)
        order = np.lexsort(key)  # stable: of equal keys, the row written last comes last
        is_last = np.ones(len(self), dtype=bool)
        is_last[:-1] = np.any([np.diff(part[order].astype(np.int64)) != 0 for part in key], axis=0)
        return self.take(order[is_last])

    def groups(self) -> list[RowGroup]:
        """Return the rows of each system and window, rows about whole videos apart; sorted."""
        kinds = np.unique(np.stack([self.system, self.is_video_level, self.window]), axis=1)
        found = []
        for system, is_video_level, window in kinds.T.tolist():
            chosen = (self.system == system) & (self.is_video_level == is_video_level) & (self.window == window)
            found.append(
                RowGroup(
                    system=self.systems[system],
                    window_frames=None if window == NONE else window,
                    is_video_level=bool(is_video_level),
                    rows=self.take(chosen),
                )
            )
        return found


class RowGroup(NamedTuple):
    """The rows behind one line of a result table (or two: frame rows can be aggregated in two ways)."""

    system: str
    window_frames: int | None
    is_video_level: bool
    rows: RowTable

    @property
    def has_labels_only(self) -> bool:
        """True where rows are scored, but none by a probability."""
        scored = self.rows.outcome == Outcome.SCORED
        return bool(scored.any() and not self.rows.has_p[scored].any())


def number_names(names: Sequence[str]) -> tuple[tuple[str, ...], Int[np.ndarray, " names"]]:
    """Return the distinct names, sorted, and for each name its place among them."""
    distinct = tuple(sorted(set(names)))
    place = {name: index for index, name in enumerate(distinct)}
    return distinct, np.array([place[name] for name in names], dtype=np.int64)


_NEEDED = (
    "system",
    "variant",
    "video_id",
    "level",
    "start_frame",
    "stop_frame",
    "window_frames",
    "p_positive",
    "label",
    "status",
)

_OPTIONAL = ("window_s",)

_Columns = Mapping[str, Sequence[Any]]


def _columns_of_frame(table: pd.DataFrame) -> _Columns:
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise DataError(
            f"The prediction table lacks the columns {', '.join(missing)}.",
            remedy="Import it with `bah-mllm import FILE`, or write the columns of the prediction schema.",
        )
    names = [*_NEEDED, *(name for name in _OPTIONAL if name in table.columns)]
    return {name: table[name].to_numpy(dtype=object, na_value=None).tolist() for name in names}


def _columns_of_rows(rows: Iterable[PredictionRow]) -> _Columns:
    rows = list(rows)
    return {name: [getattr(row, name) for row in rows] for name in (*_NEEDED, *_OPTIONAL)}


def _windows(columns: _Columns) -> Int[np.ndarray, " rows"]:
    """Return the window of each row in frames.

    A window asked for in seconds has as many frames as the video's rate gives it: all such rows belong to one system,
    and get the commonest of their lengths.
    """
    window = _whole_numbers(columns, "window_frames")
    if "window_s" in columns:
        window_s = _numbers(columns, "window_s")
        for length_s in np.unique(window_s[~np.isnan(window_s)]):
            lengths, n_rows = np.unique(window[window_s == length_s], return_counts=True)
            window[window_s == length_s] = lengths[n_rows.argmax()]
    return window


def _texts(columns: _Columns, name: str) -> Sequence[str]:
    for number, value in enumerate(columns[name]):
        if not isinstance(value, str):
            raise DataError(
                f"The prediction row {number} has the {name} {value!r}, which is not text.",
                remedy=f"Write {name} as text in every row.",
            )
    return columns[name]


def _choices(columns: _Columns, name: str, kind: type[StrEnum]) -> Int[np.ndarray, " rows"]:
    """Return the place of each value in an enumeration."""
    place = {str(member): index for index, member in enumerate(kind)}
    for number, value in enumerate(columns[name]):
        if value not in place:
            raise DataError(
                f"The prediction row {number} has the {name} {value!r}.", remedy=f"Use one of: {', '.join(place)}."
            )
    return np.array([place[value] for value in columns[name]], dtype=np.int64)


def _numbers(columns: _Columns, name: str) -> Float[np.ndarray, " rows"]:
    """Return numbers, NaN for None."""
    try:
        return np.asarray(columns[name], dtype=np.float64)
    except (TypeError, ValueError):
        odd = (n for n, value in enumerate(columns[name]) if not isinstance(value, int | float | None))
        wrong = next(odd, 0)
        raise DataError(
            f"The prediction row {wrong} has the {name} {columns[name][wrong]!r}, which is not a number.",
            remedy="Write a number, or leave it empty.",
        ) from None


def _whole_numbers(columns: _Columns, name: str) -> Int[np.ndarray, " rows"]:
    numbers = _numbers(columns, name)
    known = ~np.isnan(numbers)
    wrong = np.flatnonzero(known & ~((numbers >= 0) & (numbers < 2**31) & (np.floor(numbers) == numbers)))
    if len(wrong):
        raise DataError(
            f"The prediction row {wrong[0]} has the {name} {numbers[wrong[0]]:g}.",
            remedy="Write a whole number from 0, or leave it empty.",
        )
    return np.where(known, numbers, NONE).astype(np.int64)


def _spans(columns: _Columns) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    start, stop = _whole_numbers(columns, "start_frame"), _whole_numbers(columns, "stop_frame")
    wrong = np.flatnonzero(((start == NONE) != (stop == NONE)) | ((start >= stop) & (start != NONE)))
    if len(wrong):
        raise DataError(
            f"The prediction row {wrong[0]} has the span [{start[wrong[0]]}, {stop[wrong[0]]}), which holds no frame.",
            remedy="Count frames from 0, write the stop as one past the last frame, and give both or neither.",
        )
    if (stop > MAX_FRAMES).any():
        first = int(np.flatnonzero(stop > MAX_FRAMES)[0])
        raise DataError(
            f"The prediction row {first} has the stop_frame {stop[first]}, over {MAX_FRAMES:,}.",
            remedy="Count frames from the start of each video; milliseconds or running numbers do not fit.",
        )
    return start, stop


def _scores(
    columns: _Columns,
) -> tuple[Float[np.ndarray, " rows"], Bool[np.ndarray, " rows"], Int8[np.ndarray, " rows"]]:
    """Return the score of each row, whether it is a probability, and the outcome."""
    p, label = _numbers(columns, "p_positive"), _whole_numbers(columns, "label")
    wrong = np.flatnonzero((p < 0) | (p > 1) | (label > 1))
    if len(wrong):
        first = wrong[0]
        raise DataError(
            f"The prediction row {first} (video {columns['video_id'][first]}) has p_positive {p[first]:g} and label "
            f"{label[first]}.",
            remedy="Give p_positive as a probability from 0 to 1, and label as 0 or 1.",
        )
    status = _choices(columns, "status", Status)
    is_ok, is_unparsed = (status == list(Status).index(wanted) for wanted in (Status.OK, Status.UNPARSED))
    score = np.where(np.isnan(p) & (label != NONE), label, p)
    # A score that is not a number is a failure, not a negative.
    outcome = np.where(is_ok & ~np.isnan(score), Outcome.SCORED, Outcome.FAILED)
    return score, ~np.isnan(p), np.where(is_unparsed, Outcome.UNPARSED, outcome).astype(np.int8)
