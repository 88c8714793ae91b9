"""Predictions of other tools brought to a data set: whose videos they are about, and which frames of them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import BahError, ConfigError, DataError
from bah_mllm.core.records import Level
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, match_names, nearest_name
from bah_mllm.evaluation import ForeignRows
from bah_mllm.media import probe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_foreign_rows"]


def read_foreign_rows(
    path: Path, dataset: Dataset, *, system: str | None = None, frames_from: int | None = None
) -> pd.DataFrame:
    """Read predictions that another tool made for a data set.

    Args:
        path: A table; see ``ForeignRows.read``. Videos may be named by any path of any machine.
        dataset: Whose videos they are about; its files tell which frames a span of seconds is.
        system: Name for rows that name none; the file's stem where None.
        frames_from: Number of a video's first frame in the file, 0 or 1; None is 0, unless the file looks like 1.

    Returns:
        A table with the columns of the prediction schema. Rows about unknown videos keep their names.

    Raises:
        DataError: The file is malformed, an id is ambiguous, no video is known, two rows contradict each other, or
            frames look counted from 1; names the line or the video.
        ConfigError: ``frames_from`` is neither 0 nor 1.
        MediaError: A video whose frames are given in seconds cannot be read.
        PrerequisiteError: It is an Excel file, and openpyxl is not there.
    """
    if frames_from not in (None, 0, 1):
        raise ConfigError(f"--frames-from is {frames_from}.", remedy="Give 0 or 1.")
    rows = ForeignRows.read(path)
    names = match_names((item.video_id for item in rows.items), dataset)
    unknown = set(names.unknown)
    if unknown:
        _tell_unknown(rows, dataset, names.unknown)
    if names.by_ending:
        theirs = names.by_ending[0]
        say(
            f"note: {path}: {len(names.by_ending):,} videos are known by the ending of their paths only, such as "
            f"{theirs!r}, taken for {names.ids[theirs]!r}."
        )
    rows = rows.renamed(names.ids).each_once()
    if rows.is_in_seconds:
        rows = rows.in_frames(_Clocks(path, dataset, unknown).span)
    elif frames_from is None:
        _check_first_frames(rows, dataset, unknown)
    else:
        rows = rows.counted_from(frames_from)
    return rows.to_frame(system=system)


def _tell_unknown(rows: ForeignRows, dataset: Dataset, unknown: tuple[str, ...]) -> None:
    n_rows = sum(item.video_id in set(unknown) for item in rows.items)
    example = f"the file has {unknown[0]!r}, the data set has {nearest_name(unknown[0], dataset)!r}"
    if n_rows == len(rows.items):
        raise DataError(
            f"{rows.path}: none of the videos named there is in {dataset.name}: {example}.",
            remedy="Name videos as the data set does, or say with --data which data set is meant.",
        )
    say(f"note: {rows.path}: {n_rows:,} rows are about videos that {dataset.name} does not have: {example}.")


class _Clocks:
    """When the frames of each video are shown, looked up once."""

    def __init__(self, file: Path, dataset: Dataset, unknown: set[str]) -> None:
        self._file = file
        self._dataset = dataset
        self._unknown = unknown
        self._known: dict[str, FrameClock] = {}

    def span(self, video_id: str, start_s: float, stop_s: float) -> tuple[int, int]:
        """Return the frames shown during a span; of an unknown video, which is never judged, the first one."""
        if video_id in self._unknown:
            return 0, 1
        if video_id not in self._known:
            self._known[video_id] = self._look(video_id)
        return self._known[video_id].span(start_s, stop_s)

    def _look(self, video_id: str) -> FrameClock:
        path = self._dataset.video(video_id).path
        clock = probe(path).clock if path is not None else None
        if clock is None:
            what = "its file is missing" if path is None else "its file has no times"
            raise DataError(
                f"{self._file} gives spans of {video_id!r} in seconds, and {what}.",
                remedy="Put the video there, or write start_frame, stop_frame.",
            )
        return clock


def _check_first_frames(rows: ForeignRows, dataset: Dataset, unknown: set[str]) -> None:
    """Refuse frames that are counted from 1: no video has its frame 0, and some have one frame too many at the end."""
    if rows.level is Level.VIDEO:
        return
    first: dict[str, float] = {}
    stop: dict[str, float] = defaultdict(float)
    for item in rows.items:
        if item.video_id not in unknown and item.start is not None and item.stop is not None:
            first[item.video_id] = min(item.start, first.get(item.video_id, item.start))
            stop[item.video_id] = max(item.stop, stop[item.video_id])
    if not first or min(first.values()) != 1:
        return
    for video_id, start in first.items():
        n_frames = _n_frames(dataset, video_id) if start == 1 else None
        if n_frames is not None and stop[video_id] == n_frames + 1:
            raise DataError(
                f"{rows.path} gives frames 1 to {n_frames:,} of {video_id!r}, whose frames are 0 to {n_frames - 1:,}, "
                "and frame 0 of no video: it looks counted from 1.",
                remedy="Add --frames-from 1 (or --frames-from 0, where frames are counted from 0 all the same).",
            )


def _n_frames(dataset: Dataset, video_id: str) -> int | None:
    """Return how many frames a video has, from its labels or else its file; None where nothing tells."""
    video = dataset.video(video_id)
    try:
        labels = dataset.frame_labels(video)
    except BahError:
        labels = None
    try:
        if labels is not None:
            return len(labels)
        return probe(video.path).n_frames if video.path is not None else None
    except BahError:
        return None
