"""Other people's data: a manifest, or a plain folder of videos.

A manifest is a CSV file (UTF-8, with a header) or a Parquet file; one row a video:

==============  ====================================================================================================
``path``        Required. Path of the video, relative to the manifest's folder; the video's id. The file may be missing.
``participant`` Who answers; found as in BAH's paths where left out (see ``participant_of``).
``question``    Number of the question, from 1; else from ``Question_<n>`` in the name; else unknown.
``split``       ``train``, ``val``, ``test`` or another name.
``label``       1 where ambivalence or hesitancy occurs, else 0; empty where unknown (then made from the segments).
``transcript``  What is said.
``segments``    JSON list of ``[start_s, stop_s]``, seconds; ``[]`` where there are none, empty where unknown.
==============  ====================================================================================================

Other columns are ignored. In both, word times are read from ``<video>.words.json`` beside the video.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Participant, Transcript, Video
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset.annotations import Annotation
from bah_mllm.dataset.dataset import Dataset, without_duplicates
from bah_mllm.dataset.paths import MEDIA_SUFFIXES, clean_id, contained, participant_of, question_of
from bah_mllm.dataset.split_files import clean_transcript, read_lines
from bah_mllm.dataset.spoken import read_words

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int8

__all__ = ["MANIFEST_SUFFIXES", "open_folder", "open_manifest"]

MANIFEST_SUFFIXES = frozenset({".csv", ".parquet"})
COLUMNS = ("path", "participant", "question", "split", "label", "transcript", "segments")


def open_manifest(path: Path) -> Dataset:
    """Return the data set that a manifest lists.

    Raises:
        DataError: The file cannot be read, has no ``path`` column or one that looks misspelt, or a row is malformed;
            names file and row.
    """
    root = path.parent
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    videos, problems = without_duplicates(
        _video(row, root=root, where=f"{path.name}, row {number}") for number, row in enumerate(rows, start=1)
    )
    if not videos:
        raise DataError(f"{path.name} lists no video.", remedy="Write one row a video below the header.")
    return Dataset(
        name=path.stem,
        kind="manifest",
        edition=None,
        root=root,
        is_synthetic=False,
        videos=videos,
        source=_BesideVideos(videos),
        problems=problems,
    )


def open_folder(root: Path) -> Dataset:
    """Return the videos below a folder, by name, without labels or splits.

    A video in a subfolder belongs to the participant that the first subfolder names; otherwise each video counts as a
    participant of its own.

    Raises:
        DataError: There is no video.
    """
    videos = [
        Video(
            video_id=(video_id := clean_id(path.relative_to(root).as_posix(), where=root.name)),
            participant_id=participant_of(video_id),
            question=question_of(video_id),
            path=contained(path, root=root),
        )
        for path in media_files(root)
    ]
    if not videos:
        raise DataError(
            f"There is neither a data set nor a video in {root.name!r}.",
            remedy="Give the folder that holds split/, Videos/ or video files, or a manifest (.csv, .parquet).",
        )
    return Dataset(
        name=root.name,
        kind="folder",
        edition=None,
        root=root,
        is_synthetic=False,
        videos=videos,
        source=_BesideVideos(videos),
    )


def media_files(root: Path) -> list[Path]:
    """Return the video files below a folder, in order of their names; hidden ones are left out."""
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in MEDIA_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    ]


class _BesideVideos:
    """Word times in files beside the videos; nothing else is known."""

    def __init__(self, videos: list[Video]) -> None:
        self._has_segments = any(video.segments is not None for video in videos)
        self._words = {video.video_id: path for video in videos if (path := _words_file(video)) is not None}

    def parts(self) -> Mapping[str, bool]:
        return {"transcription": bool(self._words), "segments": self._has_segments}

    def file_sizes(self) -> Mapping[str, int]:
        return {f"words of {video_id}": path.stat().st_size for video_id, path in self._words.items()}

    def annotation(self, video: Video) -> Annotation | None:  # noqa: ARG002 - segments are in the record
        return None

    def listed_frames(self, video: Video) -> Int8[np.ndarray, " frames"] | None:  # noqa: ARG002
        return None

    def spoken(self, video: Video) -> Transcript | None:
        path = self._words.get(video.video_id)
        return read_words(path) if path is not None else None

    def participants(self) -> Mapping[str, Participant]:
        return {}


def _words_file(video: Video) -> Path | None:
    path = video.path.with_suffix(".words.json") if video.path is not None else None
    return path if path is not None and path.is_file() else None


def _check_columns(columns: list[str], *, name: str) -> None:
    for column in columns:
        near = get_close_matches(column.lower(), COLUMNS, n=1, cutoff=0.8) if column not in COLUMNS else []
        if near and near[0] not in columns:
            raise DataError(f"{name}: unknown column {column!r}.", remedy=f"Rename it to {near[0]!r}.")
    if "path" not in columns or len(set(columns)) < len(columns):
        problem = "two columns of one name" if "path" in columns else "no column 'path'"
        raise DataError(
            f"{name}: {problem} among the {len(columns)} of the header.",
            remedy=f"Start with a line that names the columns: {', '.join(COLUMNS)}.",
        )


def _csv_rows(path: Path) -> Iterator[Mapping[str, object]]:
    text = "\n".join(read_lines(path))
    if "\x00" in text:
        raise DataError(f"{path.name}: a NUL byte.", remedy="Get the file again from its source: it is damaged.")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_columns([str(column).strip() for column in reader.fieldnames or ()], name=path.name)
        reader.fieldnames = [str(column).strip() for column in reader.fieldnames or ()]
        for row in reader:
            if None in row:  # the key of fields beyond the header
                raise DataError(
                    f"{path.name}, line {reader.line_num}: more fields than columns.",
                    remedy="Put fields that hold commas between double quotes.",
                )
            yield row
    except csv.Error as error:
        raise DataError(
            f"{path.name}, line {reader.line_num}: no valid CSV ({error}).",
            remedy="Put fields that hold commas or quotes between double quotes, and double the quotes in them.",
        ) from None


def _parquet_rows(path: Path) -> Iterator[Mapping[str, object]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path.name} cannot be read as Parquet ({type(error).__name__}).", remedy="Write the file again."
        ) from None
    _check_columns(table.column_names, name=path.name)
    yield from table.select([column for column in table.column_names if column in COLUMNS]).to_pylist()


def _video(row: Mapping[str, object], *, root: Path, where: str) -> Video:
    video_id = clean_id(_text(row, "path"), where=where)
    segments = _segments(row.get("segments"), where=where)
    label = _label(_text(row, "label"), segments=segments, where=where)
    transcript = clean_transcript(_text(row, "transcript"))
    path = root / video_id
    return Video(
        video_id=video_id,
        participant_id=_text(row, "participant") or participant_of(video_id),
        question=_question(_text(row, "question"), video_id=video_id, where=where),
        split=_text(row, "split") or None,
        label=label,
        path=contained(path, root=root) if path.is_file() else None,
        transcript=Transcript(transcript) if transcript else None,
        segments=segments,
    )


def _text(row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    # Data frames write numbers with gaps as 3.0, and labels perhaps as True.
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value).strip()


def _shown(text: str) -> str:
    """Return a value for a message; a long one may be somebody's words in the wrong column."""
    return repr(text) if len(text) <= 8 else f"a text of {len(text)} characters"


def _question(text: str, *, video_id: str, where: str) -> int | None:
    if not text:
        return question_of(video_id)
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 4 or int(text) < 1:
        raise DataError(f"{where}: the question is {_shown(text)}.", remedy="Write its number, from 1.")
    return int(text)


def _label(text: str, *, segments: tuple[Segment, ...] | None, where: str) -> int | None:
    if text not in ("0", "1", ""):
        raise DataError(
            f"{where}: the label is {_shown(text)}.", remedy="Write 1 (present) or 0, or nothing where unknown."
        )
    if segments is None:
        return int(text) if text else None
    if text and int(text) != bool(segments):
        raise DataError(
            f"{where}: the label is {text}, but there are {len(segments)} segments.",
            remedy="Correct the label, or leave the segments empty where they are unknown.",
        )
    return int(bool(segments))


def _segments(value: object, *, where: str) -> tuple[Segment, ...] | None:
    if value is None or value == "" or (isinstance(value, str) and not value.strip()):
        return None
    try:
        spans = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        spans = None
    if not isinstance(spans, list) or not all(_is_span(span) for span in spans):
        raise DataError(
            f"{where}: the segments are no JSON list of [start_s, stop_s] with 0 <= start_s < stop_s.",
            remedy="Write them as [[2.5, 4.0], [10.0, 11.2]], or [] where there are none.",
        )
    return tuple(Segment(start_s=float(start), stop_s=float(stop)) for start, stop in spans)


def _is_span(span: object) -> bool:
    return (
        isinstance(span, list)
        and len(span) == 2
        and all(isinstance(time, int | float) and not isinstance(time, bool) and math.isfinite(time) for time in span)
        and 0 <= span[0] < span[1]
    )
