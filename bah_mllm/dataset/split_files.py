"""BAH's split files: which video is in which split, its label and its transcript.

A line of ``split/train.txt`` reads ``path,label,transcript``, without header or quoting: the transcript keeps its
commas. A line of ``split-frames/train.txt`` reads ``path/frame-<k>.jpg,label``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bah_mllm.core.errors import DataError
from bah_mllm.dataset.paths import clean_id, lookup_key
from bah_mllm.dataset.yaml_files import read_bytes

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int8

__all__ = ["SplitLine", "clean_transcript", "frames_to_labels", "parse_split_line", "read_split", "read_split_frames"]

_LABELS = {"0": 0, "1": 1, "-1": None, "": None}
_EDGES = re.compile(r"^[\s\u200b\ufeff]+|[\s\u200b\ufeff]+$")  # str.strip leaves zero-width spaces
_FRAME = re.compile(r"^(?:(?P<video>.+)/)?frame-(?P<number>[0-9]+)\.\w+$")


class SplitLine(NamedTuple):
    """One line of a split file; label and transcript are None where the line leaves them out."""

    video_id: str
    label: int | None
    transcript: str | None


def clean_transcript(text: str) -> str | None:
    """Return a transcript without white space around it, or None where nothing is left."""
    return _EDGES.sub("", text) or None


def parse_split_line(line: str, *, where: str) -> SplitLine:
    """Return what one line of a split file says.

    Args:
        line: ``path,label,transcript``; label 0 or 1, empty or -1 where it is withheld, as in a challenge's test split.
        where: File and line number, for messages.

    Raises:
        DataError: The path leads outside the data set or is no path of a video, or the label is something else.

    >>> parse_split_line("Videos/1/Visite_1/1_Question_2_Video.mp4,1,Well, yes", where="train.txt, line 1")
    SplitLine(video_id='Videos/1/Visite_1/1_Question_2_Video.mp4', label=1, transcript='Well, yes')
    """
    if "\x00" in line:
        raise DataError(f"{where}: a NUL byte.", remedy="Get the file again from its source: it is damaged.")
    path, _, rest = line.partition(",")
    label, _, transcript = rest.partition(",")
    if label.strip() not in _LABELS:
        # The field may be a participant's words where a comma is missing: its length is all that may be told.
        raise DataError(
            f"{where}: the second field ({len(label)} characters) is no label.",
            remedy="Write path,label,transcript with the label 0 or 1 (nothing or -1 where it is unknown).",
        )
    return SplitLine(clean_id(path, where=where), _LABELS[label.strip()], clean_transcript(transcript))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, without line ends; with or without byte order mark, LF or CRLF.

    Lines end at LF only: ``str.splitlines`` would also end them at the U+2028 and U+0085 of a transcript.

    Raises:
        DataError: It cannot be read, or is not UTF-8; names the line.
    """
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name}, line {line}: no valid UTF-8.", remedy="Save the file as UTF-8.") from None
    return [line.removesuffix("\r") for line in text.split("\n")]


def read_split(path: Path) -> list[SplitLine]:
    """Return the lines of a video-level split file, in order, without empty ones.

    Raises:
        DataError: A line is malformed; names file and line, never the words.
    """
    return [
        parse_split_line(line, where=f"{path.name}, line {number}")
        for number, line in enumerate(read_lines(path), start=1)
        if line.strip()
    ]


def frames_to_labels(pairs: list[tuple[str, object]], *, where: str) -> Int8[np.ndarray, " frames"]:
    """Return the labels of a video's frames, in order of their numbers.

    Args:
        pairs: Name of a frame's image (``.../frame-<k>.jpg``) and its label, 0 or 1; numbered from 0 (or, as some
            extraction tools do, from 1) without gaps.
        where: Whose frames they are, for messages.

    Raises:
        DataError: A name has no number, a label is neither 0 nor 1, or a number is missing or repeated.
    """
    import numpy as np

    numbers = np.empty(len(pairs), dtype=np.int64)
    labels = np.empty(len(pairs), dtype=np.int8)
    for row, (name, label) in enumerate(pairs):
        match = _FRAME.match(name)
        if match is None or label not in (0, 1) or isinstance(label, float) or len(match["number"]) > 9:
            raise DataError(
                f"{where}: entry {row} of the frame labels is no pair of frame-<k>.jpg and 0 or 1.",
                remedy="Get the annotations again from their source, or correct the entry.",
            )
        numbers[row], labels[row] = int(match["number"]), label
    order = np.argsort(numbers, kind="stable")
    first = int(numbers[order[0]]) if len(pairs) else 0
    if first > 1 or not np.array_equal(numbers[order], np.arange(first, first + len(pairs))):
        raise DataError(
            f"{where}: the frame labels skip or repeat a frame ({len(pairs)} labels, numbers from {first}).",
            remedy="Get the annotations again from their source: every frame needs one label.",
        )
    return labels[order]


def read_split_frames(path: Path) -> dict[str, Int8[np.ndarray, " _"]]:
    """Return the frame labels of a frame-level split file: lookup key of the video -> labels.

    Raises:
        DataError: A line is malformed, or a video's frames are incomplete; names file and line or video.
    """
    frames: dict[str, list[tuple[str, object]]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        frame, _, label = line.rpartition(",")
        video, _, name = frame.strip().rpartition("/")
        if label.strip() not in ("0", "1") or not video:
            raise DataError(
                f"{path.name}, line {number}: no frame path and label 0 or 1.",
                remedy="Write lines as Videos/.../<video>.mp4/frame-<k>.jpg,label.",
            )
        frames.setdefault(video, []).append((name, int(label)))
    return {
        lookup_key(video): frames_to_labels(pairs, where=f"{path.name}, {video}") for video, pairs in frames.items()
    }
