"""BAH's annotations: label, segments and frame labels of each video.

An entry of ``video_annotation_transcript.yaml`` is keyed by the video's path and holds ``global_ah`` (0 or 1),
``frame_annotation`` (a pair of frame path and label for every frame), ``fr_detailed_ah`` (first and last frame of each
segment, both included), ``time_detailed_ah`` (``HH:MM:SS.mmm``), ``certainty_ah``, ``all_cues``, ``annotator_id`` and
``transcript``. Certainty and cues stay inside ``Segment``: they tell the label and are evaluation material only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Transcript
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset.paths import lookup_key
from bah_mllm.dataset.split_files import frames_to_labels
from bah_mllm.dataset.spoken import chunked_transcript
from bah_mllm.dataset.yaml_files import YamlEntries

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int8

__all__ = ["Annotation", "Annotations", "labels_of_segments", "open_annotations", "parse_clock"]

_CLOCK = re.compile(r"^(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,5}(?:\.\d{1,9})?)$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What the annotators said about one video.

    Args:
        label: 1 where the video holds ambivalence or hesitancy, else 0; None where it is not given.
        frame_labels: A label for every frame; None where they are not given.
        segments: None where they are not given, empty where there are none.
        transcript: The transcript kept with the annotation, or None.
    """

    label: int | None
    frame_labels: Int8[np.ndarray, " frames"] | None
    segments: tuple[Segment, ...] | None
    transcript: Transcript | None


class Annotations:
    """The annotation file, read video by video and remembered."""

    def __init__(self, path: Path) -> None:
        """Index the file; see ``YamlEntries``."""
        self._name = path.name
        self._entries = YamlEntries(path)
        self._keys = {lookup_key(name): name for name in self._entries}
        self._known: dict[str, Annotation] = {}

    def __contains__(self, video_id: str) -> bool:
        return lookup_key(video_id) in self._keys

    def names(self) -> list[str]:
        """Return the paths of the annotated videos, as the file spells them."""
        return list(self._keys.values())

    def of(self, video_id: str) -> Annotation | None:
        """Return a video's annotation, or None where it has none.

        Raises:
            DataError: The entry is malformed; names the video.
        """
        key = lookup_key(video_id)
        if key not in self._keys:
            return None
        if key not in self._known:
            name = self._keys[key]
            self._known[key] = _annotation(self._entries[name], where=f"{self._name}, {name[:200]}")
        return self._known[key]


def open_annotations(path: Path) -> Annotations:
    """Return the annotations in a file: the same object as long as the file does not change."""
    status = path.stat()
    return _opened(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(path: Path, _size: int, _mtime_ns: int) -> Annotations:
    return Annotations(path)


def parse_clock(value: object, *, where: str) -> float:
    """Return the seconds of a time written ``HH:MM:SS.mmm``, ``MM:SS`` or as a number of seconds.

    Raises:
        DataError: It is something else.

    >>> parse_clock("00:01:02.250", where="")
    62.25
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)  # YAML reads a clock without quotes as a number of base 60, which is its seconds
    match = _CLOCK.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise DataError(f"{where}: {str(value)[:16]!r} is no time HH:MM:SS.mmm.", remedy="Write times as 00:00:02.250.")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def labels_of_segments(
    segments: Sequence[Segment], *, n_frames: int, clock: FrameClock | None, where: str
) -> Int8[np.ndarray, " frames"]:
    """Return frame labels made from segments.

    Segments known in seconds cover the frames shown during ``[start_s, stop_s)``, at least one.

    Args:
        segments: Annotated segments; what lies past the video's end is cut off.
        n_frames: Length of the video in frames.
        clock: When each frame is shown; needed only where a segment is known in seconds alone.
        where: Whose segments they are, for messages.

    Raises:
        DataError: ``clock`` is needed and not given.
    """
    import numpy as np

    labels = np.zeros(n_frames, dtype=np.int8)
    for segment in segments:
        start, stop = segment.start_frame, segment.stop_frame
        if start is None or stop is None:
            if segment.start_s is None or segment.stop_s is None:
                continue
            if clock is None:
                raise DataError(
                    f"{where}: the segments are given in seconds, and the frame rate is unknown.",
                    remedy="Give the frame rate: keep the video file with the data set.",
                )
            start, stop = clock.span(segment.start_s, segment.stop_s)
        labels[start:stop] = 1
    return labels


def _annotation(entry: object, *, where: str) -> Annotation:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: the entry is no mapping.", remedy="Get the annotations again from their source.")
    label = entry.get("global_ah")
    if label is not None and (label not in (0, 1) or isinstance(label, float)):
        raise DataError(f"{where}: global_ah is neither 0 nor 1.", remedy="Correct the entry.")
    frames = entry.get("frame_annotation")
    transcript = entry.get("transcript")
    return Annotation(
        label=None if label is None else int(label),
        frame_labels=None if not frames else _frame_labels(frames, where=where),
        segments=_segments(entry, where=where),
        transcript=None if transcript is None else chunked_transcript(transcript, where=where),
    )


def _frame_labels(frames: object, *, where: str) -> Int8[np.ndarray, " frames"]:
    if not isinstance(frames, list | tuple):
        raise DataError(f"{where}: frame_annotation is no list.", remedy="Get the annotations again from their source.")
    pairs = [(str(pair[0]), pair[1]) for pair in frames if isinstance(pair, list | tuple) and len(pair) == 2]
    if len(pairs) != len(frames):
        raise DataError(
            f"{where}: {len(frames) - len(pairs)} entries of frame_annotation are no pairs.",
            remedy="Get the annotations again from their source.",
        )
    return frames_to_labels(pairs, where=where)


def _segments(entry: dict[object, object], *, where: str) -> tuple[Segment, ...] | None:
    frames = _spans(entry.get("fr_detailed_ah"), where=f"{where}, fr_detailed_ah")
    times = _spans(entry.get("time_detailed_ah"), where=f"{where}, time_detailed_ah")
    if frames is None and times is None:
        return () if entry.get("global_ah") == 0 else None
    # Frames win where the two lists disagree: they are what was annotated.
    n_segments = len(frames) if frames else len(times or ())
    in_frames = [_frame_span(span, where=where) for span in frames] if frames else [(None, None)] * n_segments
    in_seconds: list[tuple[float | None, float | None]] = [(None, None)] * n_segments
    if times and len(times) == n_segments:
        in_seconds = [_time_span(span, where=where) for span in times]
    certainty = _per_segment(entry.get("certainty_ah"), n_segments)
    named = entry.get("all_cues")
    cues = _per_segment([named] if isinstance(named, dict | str) else named, n_segments)
    return tuple(
        Segment(
            start_frame=in_frames[index][0],
            stop_frame=in_frames[index][1],
            start_s=in_seconds[index][0],
            stop_s=in_seconds[index][1],
            certainty=None if certainty[index] is None else str(certainty[index]),
            cues=_cues(cues[index]),
        )
        for index in range(n_segments)
    )


def _spans(value: object, *, where: str) -> list[tuple[object, object]] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or any(
        not isinstance(span, list | tuple) or len(span) != 2 for span in value
    ):
        raise DataError(f"{where}: no list of pairs.", remedy="Write segments as a list of [first, last].")
    return [(span[0], span[1]) for span in value]


def _frame_span(span: tuple[object, object], *, where: str) -> tuple[int, int]:
    first, last = span
    if (
        not isinstance(first, int)
        or not isinstance(last, int)
        or isinstance(first, bool)
        or isinstance(last, bool)
        or not 0 <= first <= last
    ):
        raise DataError(
            f"{where}: a segment is no pair of frames, first and last, with 0 <= first <= last.",
            remedy="Write the first and the last frame, counted from 0.",
        )
    return first, last + 1  # BAH counts the last frame in; spans here are half open


def _time_span(span: tuple[object, object], *, where: str) -> tuple[float, float]:
    start_s, stop_s = (parse_clock(value, where=where) for value in span)
    if stop_s < start_s:
        raise DataError(
            f"{where}: a segment from {start_s:g} s to {stop_s:g} s ends before it starts.",
            remedy="Correct the segment's times.",
        )
    return start_s, stop_s


def _per_segment(value: object, n_segments: int) -> Sequence[object]:
    """Return one value a segment; none where the list has another length, so that none is given to the wrong one."""
    if isinstance(value, list | tuple) and len(value) == n_segments:
        return value
    return [None] * n_segments


def _cues(value: object) -> dict[str, object]:
    """Return what annotators named, by sheet; what comes without sheets under ``cues``."""
    if isinstance(value, dict):
        return {str(key): codes for key, codes in value.items() if codes}
    return {"cues": value} if value else {}
