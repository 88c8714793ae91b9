"""What is wrong with the files beside BAH's videos, whether anything reads them yet or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Video
from bah_mllm.dataset.annotations import Annotations
from bah_mllm.dataset.participants import CONSENTS, FIELDS, is_answered, read_entries
from bah_mllm.dataset.paths import lookup_key
from bah_mllm.dataset.problems import Problem
from bah_mllm.dataset.spoken import read_chunks, read_words

__all__ = ["annotation_problems", "metadata_problems", "transcription_problems"]

_READERS: Mapping[str, Callable[[Path], object]] = {"*.yml": read_chunks, "*.words.json": read_words}


def transcription_problems(
    folders: Iterable[Path], videos: Iterable[Video], *, root: Path, has_file: Callable[[Video], bool]
) -> Iterator[Problem]:
    """Yield the files of timed words that cannot be read, and the videos that have none where their split has some.

    Args:
        folders: Those called ``transcription``, there or not.
        videos: Of the data set.
        root: Folder of the data set; files are named from there.
        has_file: Whether a video has a file of timed words.
    """
    for folder in folders:
        for pattern, read in _READERS.items():
            for path in sorted(folder.rglob(pattern)):
                try:
                    read(path)
                except DataError as error:
                    yield Problem(path.relative_to(root).as_posix(), error.problem)
    lacking: dict[str | None, list[Video]] = {}
    splits_with_some = set()
    for video in videos:
        if has_file(video):
            splits_with_some.add(video.split)
        else:
            lacking.setdefault(video.split, []).append(video)
    for split in lacking.keys() & splits_with_some:
        for video in lacking[split]:
            yield Problem(video.video_id, "its file of timed words is missing")


def annotation_problems(annotations: Annotations, videos: Iterable[Video]) -> Iterator[Problem]:
    """Yield the entries that cannot be read of videos that no split names; the others are read with their videos."""
    known = {lookup_key(video.video_id) for video in videos}
    for name in annotations.names():
        if lookup_key(name) not in known:
            try:
                annotations.of(name)
            except DataError as error:
                yield Problem(name, error.problem)


def metadata_problems(path: Path, participant_ids: Iterable[str]) -> Iterator[Problem]:
    """Yield what a file of metadata lacks or says in a way that cannot be read; values are not told.

    Args:
        path: ``meta_data.yml``.
        participant_ids: Everybody who answers in a video.
    """
    try:
        entries = read_entries(path)
    except DataError as error:
        yield Problem(path.name, error.problem)
        return
    for participant, fields in entries.items():
        where = f"{path.name}, participant {participant}"
        for name in FIELDS:
            if not isinstance(fields.get(name), str | int | float | None):
                yield Problem(where, f"{name!r} is no plain value, and left out")
        for name in CONSENTS:
            if not is_answered(fields.get(name)):
                yield Problem(where, f"{name!r} says neither yes nor no, which counts as a refusal")
    for participant in dict.fromkeys(participant_ids):
        if participant not in entries:
            yield Problem(f"{path.name}, participant {participant}", "has no entry, which counts as a refusal")
