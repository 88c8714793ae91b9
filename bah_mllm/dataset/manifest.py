"""Other people's data: a manifest, or a plain folder of videos.

A manifest is any table that ``read_table`` takes (CSV, JSON lines, Parquet, Excel ...); one row a video:

==============  ====================================================================================================
``path``        Required. Path of the video, relative to the manifest's folder; the video's id. The file may be missing.
``participant`` Who answers; found as in BAH's paths where left out (see ``participant_of``).
``question``    Number of the question, from 1; else from ``Question_<n>`` in the name; else unknown.
``split``       ``train``, ``val``, ``test`` or another name.
``label``       1 where ambivalence or hesitancy occurs, else 0; empty where unknown (then made from the segments).
``transcript``  What is said.
``segments``    JSON list of ``[start_s, stop_s]``, seconds; ``[]`` where there are none; empty where unknown, unless
                the label is 0: then no frame shows ambivalence or hesitancy.
==============  ====================================================================================================

Other columns are left out, with a note. In both, word times are read from ``<video>.words.json`` beside the video.
"""

from __future__ import annotations

import json
import math
import mimetypes
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Participant, Transcript, Video
from bah_mllm.core.tables import Column, Kind, Layout, Table, is_blank, read_table
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset.annotations import Annotation
from bah_mllm.dataset.dataset import Dataset
from bah_mllm.dataset.paths import (
    MEDIA_SUFFIXES,
    clean_id,
    contained,
    lookup_key,
    outside_id,
    participant_of,
    question_of,
)
from bah_mllm.dataset.problems import Findings, Problem, shared_participants
from bah_mllm.dataset.split_files import clean_transcript
from bah_mllm.dataset.spoken import read_words

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int8

__all__ = ["open_folder", "open_manifest"]

_LAYOUT = Layout(
    (
        Column("path", is_needed=True, may_be_blank=False),
        Column("participant"),
        Column("question", Kind.WHOLE, lowest=1, highest=9999),
        Column("split"),
        Column("label", Kind.LABEL),
        Column("transcript"),
        Column("segments", Kind.RAW),
    ),
    expected="path, and where known participant, question, split, label, transcript, segments",
    is_private=True,
)


def open_manifest(path: Path, *, follow_links: bool = False) -> Dataset:
    """Return the data set that a manifest lists.

    Args:
        path: The table.
        follow_links: Whether paths and links may lead outside of its folder.

    Raises:
        DataError: The file cannot be read, has no ``path`` column or one that looks misspelt, a row is malformed, or
            two rows contradict each other; names file and row.
        PrerequisiteError: It is an Excel file, and openpyxl is not there.
    """
    table = read_table(path, _LAYOUT, name=path.name)
    videos, problems = _each_once(table, root=path.parent, follow_links=follow_links)
    if not videos:
        raise DataError(f"{path.name} lists no video.", remedy="Write one row a video below the header.")
    return Dataset(
        name=path.stem,
        kind="manifest",
        edition=None,
        root=path.parent,
        is_synthetic=False,
        videos=videos,
        source=_BesideVideos(videos),
        findings=Findings((*problems, *shared_participants(videos)), table.notes),
        follows_links=follow_links,
    )


def _each_once(table: Table, *, root: Path, follow_links: bool) -> tuple[list[Video], list[Problem]]:
    """Return the videos, each once, and a problem for every row that repeats another.

    Raises:
        DataError: Two rows about one video differ.
    """
    kept: dict[str, tuple[int, Video]] = {}
    problems = []
    for row in table.rows:
        video = _video(row.values, root=root, where=table.where(row.number), follow_links=follow_links)
        number, first = kept.setdefault(lookup_key(video.video_id), (row.number, video))
        if first is video:
            continue
        lines = f"{table.unit}s {number} and {row.number}"
        for field in ("label", "segments", "split", "participant_id", "question", "transcript", "path"):
            if getattr(first, field) != getattr(video, field):
                values = f" (label {first.label} and label {video.label})" if field == "label" else ""
                raise DataError(
                    f"{table.name}, {lines}: two values of {field.removesuffix('_id')} for one video{values}: "
                    f"{video.video_id!r}.",
                    remedy="Keep the right one of the two rows.",
                )
        problems.append(Problem(video.video_id, f"listed twice, in {lines}; it counts once"))
    return [video for _, video in kept.values()], problems


def open_folder(root: Path, *, follow_links: bool = False) -> Dataset:
    """Return the videos below a folder, by name, without labels or splits.

    A video in a subfolder belongs to the participant that the first subfolder names; otherwise each video counts as a
    participant of its own. A file whose name no data set could hold is a problem, and left out.

    Args:
        root: The folder.
        follow_links: Whether links may lead outside it.

    Raises:
        DataError: There is no video, or a link leads outside.
    """
    videos, problems, left_out = [], [], Counter[str]()
    for path in _files(root, follow_links=follow_links):
        suffix = path.suffix.lower()
        if suffix not in MEDIA_SUFFIXES:
            left_out.update([suffix] if _looks_like_media(suffix) else [])
            continue
        name = path.relative_to(root).as_posix()
        try:
            name.encode("utf-8")
            video_id = clean_id(name, where=root.name)
        except (DataError, UnicodeEncodeError):
            shown = name.encode("unicode_escape", "surrogateescape").decode("ascii", "backslashreplace")
            problems.append(Problem(shown, "its name holds a control character or is no UTF-8: left out; rename it"))
            continue
        videos.append(
            Video(
                video_id=video_id,
                participant_id=participant_of(video_id),
                question=question_of(video_id),
                path=contained(path, root=root, follow_links=follow_links),
            )
        )
    if not videos:
        linked = "" if follow_links else "; add --follow-links where folders there are links"
        raise DataError(
            f"There is neither a data set nor a video in {root.name!r}{_counted(left_out)}.",
            remedy="Give the folder that holds split/, Videos/ or video files, or a manifest (.csv, .parquet)"
            f"{linked}.",
        )
    return Dataset(
        name=root.name,
        kind="folder",
        edition=None,
        root=root,
        is_synthetic=False,
        videos=videos,
        source=_BesideVideos(videos),
        findings=Findings(tuple(problems), left_out=dict(sorted(left_out.items()))),
        follows_links=follow_links,
    )


def _files(root: Path, *, follow_links: bool) -> list[Path]:
    """Return the files below a folder, in order of their names; hidden ones are left out."""
    found = []
    seen = set()
    for folder, names, files in os.walk(root, followlinks=follow_links):
        names[:] = [name for name in names if not name.startswith(".")]
        real = os.path.realpath(folder)
        if real in seen:  # links in a circle
            names.clear()
            continue
        seen.add(real)
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _looks_like_media(suffix: str) -> bool:
    kind = mimetypes.types_map.get(suffix, "")  # Python's own list, the same on every machine
    return kind.startswith(("video/", "audio/")) or suffix in _OTHER_MEDIA


_OTHER_MEDIA = frozenset(
    {
        *(".3g2", ".amv", ".divx", ".dv", ".f4v", ".h264", ".h265", ".hevc", ".insv", ".ismv", ".ivf", ".m1v", ".m2p"),
        *(".m2v", ".mjpeg", ".mjpg", ".mod", ".mpe", ".mpv", ".mxf", ".nut", ".ogm", ".ogx", ".qt", ".rm", ".rmvb"),
        *(".tod", ".trp", ".wtv", ".xvid", ".y4m", ".aac", ".ac3", ".amr", ".flac", ".m4a", ".mka", ".mp3", ".oga"),
        *(".ogg", ".opus", ".wav", ".wma"),
    }
)


def _counted(left_out: Mapping[str, int]) -> str:
    kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in sorted(left_out.items()))
    return f" (left out: {kinds})" if kinds else ""


class _BesideVideos:
    """Word times in files beside the videos; nothing else is known."""

    def __init__(self, videos: list[Video]) -> None:
        self._has_segments = any(video.segments is not None for video in videos)
        self._negative = {video.video_id for video in videos if video.label == 0 and video.segments is None}
        self._words = {video.video_id: path for video in videos if (path := _words_file(video)) is not None}

    def parts(self) -> Mapping[str, bool]:
        return {"transcription": bool(self._words), "segments": self._has_segments}

    def file_sizes(self) -> Mapping[str, int]:
        return {f"words of {video_id}": path.stat().st_size for video_id, path in self._words.items()}

    def annotation(self, video: Video) -> Annotation | None:
        if video.video_id in self._negative:  # no frame of it is positive; other segments are in the record
            return Annotation(label=0, frame_labels=None, segments=(), transcript=None)
        return None

    def listed_frames(self, video: Video) -> Int8[np.ndarray, " frames"] | None:  # noqa: ARG002
        return None

    def file_problems(self, videos: Sequence[Video]) -> Iterable[Problem]:  # noqa: ARG002
        return ()  # every file belongs to a video, and is read with it

    def spoken(self, video: Video) -> Transcript | None:
        path = self._words.get(video.video_id)
        return read_words(path) if path is not None else None

    def participants(self) -> Mapping[str, Participant]:
        return {}


def _words_file(video: Video) -> Path | None:
    path = video.path.with_suffix(".words.json") if video.path is not None else None
    return path if path is not None and path.is_file() else None


def _video(values: Mapping[str, Any], *, root: Path, where: str, follow_links: bool) -> Video:
    text = values["path"]
    video_id = outside_id(text, where=where) if follow_links else clean_id(text, where=where)
    path = Path(os.path.normpath(root / text.replace("\\", "/"))) if follow_links else root / video_id
    segments = _segments(values.get("segments"), where=where)
    transcript = clean_transcript(values.get("transcript", ""))
    return Video(
        video_id=video_id,
        participant_id=values.get("participant") or participant_of(video_id),
        question=values.get("question") or question_of(video_id),
        split=values.get("split") or None,
        label=_label(values.get("label"), segments=segments, where=where),
        path=contained(path, root=root, follow_links=follow_links) if path.is_file() else None,
        transcript=Transcript(transcript) if transcript else None,
        segments=segments,
    )


def _label(label: int | None, *, segments: tuple[Segment, ...] | None, where: str) -> int | None:
    if segments is None:
        return label
    if label is not None and label != bool(segments):
        raise DataError(
            f"{where}: the label is {label}, but there are {len(segments)} segments.",
            remedy="Correct the label, or leave the segments empty where they are unknown.",
        )
    return int(bool(segments))


def _segments(value: object, *, where: str) -> tuple[Segment, ...] | None:
    if is_blank(value):
        return None
    try:
        spans = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        spans = None
    segments = [_segment(span) for span in spans] if isinstance(spans, list) else [None]
    if None in segments:
        raise DataError(
            f"{where}: the segments are no JSON list of [start_s, stop_s] with 0 <= start_s < stop_s.",
            remedy="Write them as [[2.5, 4.0], [10.0, 11.2]], or [] where there are none.",
        )
    return tuple(segment for segment in segments if segment is not None)


def _segment(span: object) -> Segment | None:
    if not isinstance(span, list) or len(span) != 2:
        return None
    if not all(isinstance(time, int | float) and not isinstance(time, bool) for time in span):
        return None
    try:
        start_s, stop_s = map(float, span)
    except OverflowError:
        return None
    is_span = 0 <= start_s < stop_s < math.inf
    return Segment(start_s=start_s, stop_s=stop_s) if is_span else None
