"""The index of a feature set: a line per video, the last of which counts; a line that a kill tore is skipped."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bah_mllm.core.errors import DataError
from bah_mllm.core.files import LOCK_NAME
from bah_mllm.core.reading import Refusal, first_problem
from bah_mllm.core.storage import naming
from bah_mllm.core.timeline import MAX_FRAMES

__all__ = ["IndexEntry", "SetIndex", "damaged_set", "wait_for_set"]

_INDEX = "index.jsonl"


class IndexEntry(BaseModel):
    """A line of an index: rows under a digest, or the problem.

    Args:
        video_id: As in the data set.
        digest: 64 hexadecimal digits of all that decided about the rows; None where nothing is known.
        n_frames: Rows, 0 where there are none.
        fps: Frames a second; None where the file does not tell.
        sha256: Digest of each file by its suffix; empty in sets of older versions, which kept none.
        note: What a reader should know of the rows.
        problem: Why there are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_id: str
    digest: str | None = None
    n_frames: int = Field(default=0, ge=0, le=MAX_FRAMES)
    fps: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    sha256: dict[str, str] = Field(default_factory=dict)
    note: str = ""
    problem: str | None = None


@dataclass(slots=True)
class SetIndex:
    """The lines of a set's index as they are on disk; several processes may append.

    Args:
        folder: Of the set.
    """

    folder: Path
    _size: int = -1
    _entries: dict[str, IndexEntry] = field(default_factory=dict)

    def entries(self) -> dict[str, IndexEntry]:
        """Return the entry of every video, read anew where the file has grown.

        Raises:
            DataError: A line says something impossible.
        """
        path = self.folder / _INDEX
        size = path.stat().st_size if path.exists() else 0
        if size != self._size:
            self._entries = _parsed(path) if size else {}
            self._size = size
        return self._entries

    def append(self, entry: IndexEntry) -> None:
        """Write a line, which replaces an earlier one of the same video."""
        path = self.folder / _INDEX
        with wait_for_set(self.folder), naming(path), path.open("a+b") as file:
            if file.tell():
                file.seek(-1, io.SEEK_END)
                if file.read(1) != b"\n":  # the line that a kill tore; a reader skips it
                    file.write(b"\n")
            file.write(entry.model_dump_json().encode() + b"\n")


def wait_for_set(folder: Path) -> FileLock:
    """Return the lock of a set's folder, which is made where it is not there; whoever takes it waits for its turn."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / LOCK_NAME)


def _parsed(path: Path) -> dict[str, IndexEntry]:
    entries = {}
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entry = IndexEntry.model_validate_json(line)
        except ValidationError as error:
            is_torn = error.errors()[0]["type"] == "json_invalid"
            if is_torn:  # by a kill; the video counts as not done
                continue
            raise damaged_set(path, number).of(first_problem(error), line=1) from None
        entries[entry.video_id] = entry
    return entries


def damaged_set(path: Path, line: int = 1) -> Refusal:
    """Return how a file of a set is refused; ``line`` is counted from 1."""
    return Refusal(DataError, str(path), "Delete the set's folder and run `bah-mllm features` again.", line)
