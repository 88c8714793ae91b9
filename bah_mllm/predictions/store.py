"""The run folder: a journal of rows that survives anything, a manifest, and Parquet on completion.

``predictions.jsonl`` is appended and flushed batch by batch. A kill loses at most the batch in flight: a torn last line
is cut off when the run is resumed, and a row written again replaces the earlier one when the journal is read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from filelock import FileLock

from bah_mllm.core.errors import RunError
from bah_mllm.core.files import (
    LOCK_NAME,
    hold_folder,
    is_held,
    is_sharing,
    make_folder,
    refuse_difference,
    write_atomically,
)
from bah_mllm.core.reading import Refusal, parse_json_as
from bah_mllm.core.records import Status
from bah_mllm.core.storage import naming
from bah_mllm.predictions.manifest import MANIFEST_NAME, Manifest, package_versions, read_manifest, write_manifest
from bah_mllm.predictions.schema import COLUMNS, PredictionKey, PredictionRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "JOURNAL_NAME",
    "PARQUET_NAME",
    "RunStore",
    "check_resumable",
    "is_being_written",
    "read_journal",
    "read_run",
    "rows_to_frame",
]

JOURNAL_NAME = "predictions.jsonl"
PARQUET_NAME = "predictions.parquet"


class RunStore:
    """A run folder, open for appending by this process alone.

    Use it as a context manager; leaving it writes the manifest and frees the folder, whatever happened inside. Where
    an error ends the block, that is the one raised, also where the manifest cannot be written any more.

    Args:
        folder: Where the run lives; made, for its owner alone, if it is not there.
        config: The resolved configuration, for the manifest.
        identity: What decides about results; a resumed run must have the same.
        notes: For the manifest.
        videos: Ids of all that the run may be about; None where that is not known.

    Raises:
        RunError: Another process writes this run, its identity differs, the folder holds something else, or a row there
            is damaged or of a system or video that is not the run's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: dict[str, Any],
        identity: dict[str, Any],
        notes: Sequence[str] = (),
        videos: Iterable[str] | None = None,
    ) -> None:
        self.folder = folder
        self._config = config
        self._identity = identity
        self._notes = list(notes)
        self._videos = None if videos is None else frozenset(videos)
        self._journal: BinaryIO | None = None
        self._lock: FileLock | None = None
        self._statuses: dict[PredictionKey, Status] = {}

    def __enter__(self) -> Self:
        make_folder(self.folder)
        self._lock = hold_folder(self.folder, doing="writing the run")
        try:
            self.manifest = self._open_manifest()
            _mend_tail(self.folder / JOURNAL_NAME)
            rows = read_journal(self.folder / JOURNAL_NAME, systems=self.manifest.systems, videos=self._videos)
            self._statuses = {row.key: row.status for row in rows}
            self._journal = (self.folder / JOURNAL_NAME).open("ab")
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(OSError) if error is not None else naming(self.folder / JOURNAL_NAME):
                self._close_journal()
            with suppress(OSError) if error is not None else naming(self.folder / MANIFEST_NAME):
                self.save_manifest()
        finally:
            if self._lock is not None:
                self._lock.release()

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()  # writes what a full disk kept it from writing: fails again, or ends a torn line

    @property
    def done(self) -> set[PredictionKey]:
        """Keys of the rows that need not be made again: every row but those that failed."""
        return {key for key, status in self._statuses.items() if not status.is_failure}

    def append(self, rows: Iterable[PredictionRow]) -> None:
        """Write rows to the journal and flush them to the disk."""
        if self._journal is None:
            raise RuntimeError("the run is not open")
        rows = list(rows)
        named = self.manifest.systems
        if named is not None and (new := {row.system for row in rows}.difference(named)):
            # Before the rows: a reader refuses rows of systems that the manifest does not name.
            self.manifest.systems = sorted(new.union(named))
            self.save_manifest()
        with naming(self.folder / JOURNAL_NAME):
            self._journal.write(b"".join(row.model_dump_json(exclude_defaults=True).encode() + b"\n" for row in rows))
            self._journal.flush()
            os.fsync(self._journal.fileno())
        self._statuses.update((row.key, row.status) for row in rows)

    def complete(self) -> None:
        """Write ``predictions.parquet`` from the journal and mark the run complete."""
        rows = read_run(self.folder)
        write_atomically(self.folder / PARQUET_NAME, rows_to_frame(rows).to_parquet(index=False))
        self.manifest.state = "complete"
        self.manifest.n_rows = dict(Counter(row.status.value for row in rows))

    def save_manifest(self) -> None:
        """Write the manifest as it is now."""
        self.manifest.updated = _now()
        write_manifest(self.folder, self.manifest)

    def _open_manifest(self) -> Manifest:
        if not (self.folder / MANIFEST_NAME).exists():
            strangers = {path.name for path in self.folder.iterdir()} - {LOCK_NAME, JOURNAL_NAME}
            strangers = {name for name in strangers if not name.startswith(f".{MANIFEST_NAME}.")}
            if strangers or (self.folder / JOURNAL_NAME).exists():
                found = ", ".join(sorted(strangers or {JOURNAL_NAME})[:3])
                raise RunError(
                    f"The folder {self.folder} holds files but no {MANIFEST_NAME} ({found}).",
                    remedy="Name a new or empty folder with --out.",
                )
            now = _now()
            manifest = Manifest(
                run_id=self.folder.name,
                created=now,
                updated=now,
                config=self._config,
                identity=self._identity,
                packages=package_versions(),
                is_shared=is_sharing(),
                notes=self._notes,
                systems=[],
            )
        else:
            manifest = read_manifest(self.folder)
            _check_identity(self.folder, manifest.identity, self._identity)
            manifest.state = "running"
            manifest.n_starts += 1
            manifest.packages = package_versions()
            manifest.config = self._config
        write_manifest(self.folder, manifest)
        return manifest


def _check_identity(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    refuse_difference(
        f"The run {folder}",
        old,
        new,
        remedy="Write this run elsewhere with --out, or give the same settings to resume.",
    )


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def _mend_tail(journal: Path) -> None:
    """Cut off a last line that a kill left without its end."""
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            step = min(65536, end)
            file.seek(end - step)
            newline = file.read(step).rfind(b"\n")
            if newline >= 0:
                end = end - step + newline + 1
                break
            end -= step
        if end != size:
            file.truncate(end)


def is_being_written(folder: Path) -> bool:
    """Return whether a process is writing this run now."""
    return is_held(folder)


def check_resumable(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse a folder whose run was made with other settings; a folder without a run is fine.

    Raises:
        RunError: Names the first setting that differs.
    """
    if (folder / MANIFEST_NAME).exists():
        _check_identity(folder, read_manifest(folder).identity, identity)


def read_journal(
    journal: Path, *, systems: Collection[str] | None = None, videos: Collection[str] | None = None
) -> list[PredictionRow]:
    """Return the rows of a journal, one per key: the one written last, in the order in which keys first appeared.

    A torn last line is left out. A failure row of a video whose span was unknown is dropped once the same system has
    rows with spans for that video.

    Args:
        journal: The file, there or not.
        systems: Whose rows it may hold; None where that is not known.
        videos: Ids of the videos that it may be about; None where that is not known.

    Raises:
        RunError: A line before the last is damaged, or of another system or video; says which.
    """
    rows: dict[PredictionKey, PredictionRow] = {}
    remedy = "Delete that line and run the same command again: the row will be made anew."
    refusal = Refusal(RunError, str(journal), remedy)
    if not journal.exists():
        return []
    with journal.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            row = parse_json_as(line, PredictionRow, refusal._replace(first_line=number))
            if systems is not None and row.system not in systems:
                raise refusal.of(f"the system {row.system!r} is none of this run", line=number)
            if videos is not None and row.video_id not in videos:
                raise refusal.of(f"the data set has no video {row.video_id!r}", line=number)
            rows[row.key] = row
    spans_known = {_asked(row) for row in rows.values() if row.start_frame is not None}
    return [
        row
        for row in rows.values()
        if row.start_frame is not None or not row.status.is_failure or _asked(row) not in spans_known
    ]


def _asked(row: PredictionRow) -> tuple[object, ...]:
    """Return what was asked of a video, whatever its spans: a window in seconds has its frames from the file's rate."""
    window = (row.window_s, None) if row.window_s is not None else (None, row.window_frames)
    return (row.system, row.variant, row.video_id, row.level, *window)


def read_run(folder: Path, *, videos: Collection[str] | None = None) -> list[PredictionRow]:
    """Return the rows of a run, sorted by their keys; of a run in progress, those it has so far.

    Args:
        folder: Of the run.
        videos: Ids of the videos that it may be about; None where that is not known.

    Raises:
        RunError: The folder is not a run, or ``read_journal`` refuses its rows.
    """
    rows = read_journal(folder / JOURNAL_NAME, systems=read_manifest(folder).systems, videos=videos)
    return sorted(rows, key=lambda row: tuple(-1 if part is None else part for part in row.key))


def rows_to_frame(rows: Iterable[PredictionRow]) -> pd.DataFrame:
    """Return rows as a table with the schema's columns; ``logp`` as JSON text, since its keys are the user's."""
    import json

    import pandas as pd

    records = [row.model_dump(mode="json") for row in rows]
    for record in records:
        record["logp"] = None if record["logp"] is None else json.dumps(record["logp"], ensure_ascii=False)
    frame = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    for column in ("start_frame", "stop_frame", "window_frames", "hop_frames", "label"):
        frame[column] = frame[column].astype("Int64")
    for column in ("p_positive", "seconds", "window_s"):
        frame[column] = frame[column].astype("float64")
    return frame
