"""BAH as distributed, in all its layouts, and its split files alone.

::

    Videos/<participant>/Visite_1/<video>.mp4
    transcription/Videos/<participant>/Visite_1/<video>.mp4/<video>.yml          chunks, as Whisper heard them
    transcription/Videos/<participant>/Visite_1/<video>.mp4/<video>.words.json   word times, ours; wins over the chunks
    cropped-aligned-faces/Videos/<participant>/Visite_1/<video>.mp4/frame-<k>.jpg
    split/{train,val,test}.txt              or folds/<name>-0/*.txt, or {train,val,test}.txt at the root
    split-frames/{train,val,test}.txt
    test_unlabeled/                         a challenge's test split, laid out as above
    video_annotation_transcript.yaml        or video_annotation.yaml, annotation.yml
    meta_data.yml
    bah-demo.toml                           marks the demo set: name, edition, synthetic

Any part may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from bah_mllm.core.errors import DataError
from bah_mllm.core.reading import Refusal, read_toml
from bah_mllm.core.records import Participant, Transcript, Video
from bah_mllm.dataset.annotations import Annotation, Annotations, open_annotations
from bah_mllm.dataset.broken_files import annotation_problems, metadata_problems, transcription_problems
from bah_mllm.dataset.dataset import Dataset, split_sizes
from bah_mllm.dataset.editions import recognise_edition
from bah_mllm.dataset.participants import read_participants
from bah_mllm.dataset.paths import (
    MEDIA_SUFFIXES,
    clean_id,
    contained,
    lookup_key,
    participant_of,
    question_of,
    spellings,
)
from bah_mllm.dataset.problems import Findings, Problem, shared_participants, split_order, without_duplicates
from bah_mllm.dataset.split_files import read_split, read_split_frames
from bah_mllm.dataset.spoken import read_chunks, read_words

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int8

__all__ = ["DEMO_MARKER", "has_bah_parts", "has_split_files", "open_bah"]

_T = TypeVar("_T")
_Inside = Callable[[Path], Path]  # hands a path on if it may lead where it leads

DEMO_MARKER = "bah-demo.toml"

_ANNOTATIONS = (
    "video_annotation_transcript.yaml",
    "video_annotation_transcript.yml",
    "video_annotation.yaml",
    "video_annotation.yml",
    "annotation.yaml",
    "annotation.yml",
)
_METADATA = ("meta_data.yml", "meta_data.yaml")
_FACES = ("cropped-aligned-faces", "cropped_aligned")
_UNLABELLED = "test_unlabeled"
_SPLIT_NAMES = ("train", "val", "valid", "validation", "test")


class _SplitFile(NamedTuple):
    split: str
    path: Path
    base: Path  # the folder that its paths are relative to


def has_split_files(root: Path) -> bool:
    """Return whether a folder holds split files of BAH."""
    return bool(_split_files(root))


def has_bah_parts(root: Path) -> bool:
    """Return whether a folder holds any part of BAH besides split files."""
    names = ("Videos", "transcription", "split-frames", _UNLABELLED, DEMO_MARKER, *_FACES, *_ANNOTATIONS, *_METADATA)
    return any((root / name).exists() for name in names)


def open_bah(root: Path, *, follow_links: bool = False) -> Dataset:
    """Return the data set in a folder laid out as BAH.

    Args:
        root: The folder.
        follow_links: Whether links may lead outside it.

    Raises:
        DataError: A split file or the marker is malformed, a path leads outside the folder, or there is no video.
    """
    marker = _read_marker(root)
    inside = partial(contained, root=root, follow_links=follow_links)
    source = _BahFiles(root, inside)
    files = _split_files(root)
    if files:
        listed = list(_listed_videos(files, root=root, inside=inside))
    else:
        listed = list(_unlisted_videos(root, source=source, inside=inside))
    if not listed:
        raise DataError(f"There is no video in {root.name!r}.", remedy="Put the split files or the videos there.")
    videos, problems = without_duplicates(listed)
    edition = marker.edition if marker else recognise_edition(split_sizes(videos), folder=root.name)
    return Dataset(
        name=marker.name if marker else root.name,
        kind="bah" if has_bah_parts(root) else "split-files",
        edition=edition,
        root=root,
        is_synthetic=marker.is_synthetic if marker else False,
        videos=videos,
        source=source,
        findings=Findings((*problems, *shared_participants(videos))),
        follows_links=follow_links,
    )


class _Marker(NamedTuple):
    name: str
    edition: str
    is_synthetic: bool


def _read_marker(root: Path) -> _Marker | None:
    path = root / DEMO_MARKER
    if not path.is_file():
        return None
    content = read_toml(path, Refusal(DataError, DEMO_MARKER, "Correct or remove the file."))
    synthetic = content.get("synthetic", False)
    if not isinstance(synthetic, bool):
        raise DataError(f"{DEMO_MARKER}: synthetic is {synthetic!r}.", remedy="Write synthetic = true or false.")
    return _Marker(str(content.get("name", root.name)), str(content.get("edition", "demo")), synthetic)


def _split_files(root: Path) -> list[_SplitFile]:
    found = [_SplitFile(path.stem, path, root) for path in _text_files(root)]
    unlabelled = root / _UNLABELLED
    found += [_SplitFile(_UNLABELLED, path, unlabelled) for path in _text_files(unlabelled) if path.stem == "test"]
    order = split_order(file.split for file in found)
    return sorted(found, key=lambda file: order.index(file.split))


def _text_files(root: Path) -> list[Path]:
    for folder in (root / "split", *sorted(root.glob("folds/*-0")), root):
        files = [path for path in sorted(folder.glob("*.txt")) if path.is_file()]
        # Beside the data lie notes and licences; a folder for splits may name them as it likes.
        files = [path for path in files if path.stem in _SPLIT_NAMES or (folder != root and _is_split_name(path))]
        if files:
            return files
    return []


def _is_split_name(path: Path) -> bool:
    return not path.stem.lower().startswith(("readme", "licen", "eula"))


def _listed_videos(files: list[_SplitFile], *, root: Path, inside: _Inside) -> Iterator[Video]:
    for file in files:
        inside(file.path)
        bases = list(dict.fromkeys((file.base, root)))
        for line in read_split(file.path):
            yield Video(
                video_id=line.video_id,
                participant_id=participant_of(line.video_id),
                question=question_of(line.video_id),
                split=file.split,
                label=line.label,
                path=_find(bases, line.video_id, inside=inside),
                transcript=Transcript(line.transcript) if line.transcript else None,
            )


def _unlisted_videos(root: Path, *, source: _BahFiles, inside: _Inside) -> Iterator[Video]:
    """Without split files: the annotated videos and those in the folder, in order of their names."""
    names = dict.fromkeys(source.annotations.names() if source.annotations else ())
    known = {lookup_key(name) for name in names}
    for path in sorted((root / "Videos").rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file() and lookup_key(name) not in known:
            names[name] = None
    for name in sorted(names):
        video_id = clean_id(name, where="annotations")
        annotation = source.annotations.of(name) if source.annotations else None
        yield Video(
            video_id=video_id,
            participant_id=participant_of(video_id),
            question=question_of(video_id),
            label=annotation.label if annotation else None,
            path=_find([root], video_id, inside=inside),
            transcript=annotation.transcript if annotation else None,
        )


def _find(bases: list[Path], name: str, *, inside: _Inside) -> Path | None:
    """Return where a file of this name lies, under any of the spellings of BAH's releases, or None."""
    for base in bases:
        for spelling in spellings(name):
            path = base / spelling
            if path.is_file():
                return inside(path)
    return None


class _BahFiles:
    """The files beside the split files."""

    def __init__(self, root: Path, inside: _Inside) -> None:
        self._root = root
        self._inside = inside
        self._bases = [base for base in (root, root / _UNLABELLED) if base.is_dir()]
        self._read: dict[Path, object] = {}

    def _first(self, names: tuple[str, ...]) -> Path | None:
        path = next((self._root / name for name in names if (self._root / name).is_file()), None)
        return self._inside(path) if path is not None else None

    def _once(self, path: Path, read: Callable[[Path], _T]) -> _T:
        """Return what a file holds, or raise what is wrong with it; either is found out only once."""
        if path not in self._read:
            try:
                self._read[path] = read(path)
            except DataError as error:
                self._read[path] = error
        value = self._read[path]
        if isinstance(value, DataError):
            raise DataError(value.problem, remedy=value.remedy)
        return cast("_T", value)

    @property
    def annotations(self) -> Annotations | None:
        path = self._first(_ANNOTATIONS)
        return self._once(path, open_annotations) if path is not None else None

    def _frame_files(self) -> list[Path]:
        return [self._inside(path) for path in sorted(self._root.glob("split-frames/*.txt"))]

    def parts(self) -> Mapping[str, bool]:
        return {
            "transcription": any((base / "transcription").is_dir() for base in self._bases),
            "faces": any((base / name).is_dir() for base in self._bases for name in _FACES),
            "annotations": self._first(_ANNOTATIONS) is not None,
            "split-frames": bool(self._frame_files()),
            "meta_data": self._first(_METADATA) is not None,
        }

    def file_sizes(self) -> Mapping[str, int]:
        timed = [
            path
            for base in self._bases
            for pattern in ("*.yml", "*.words.json")
            for path in (base / "transcription").rglob(pattern)
        ]
        paths = [self._first(_ANNOTATIONS), self._first(_METADATA), *self._frame_files(), *timed]
        return {path.relative_to(self._root).as_posix(): path.stat().st_size for path in paths if path is not None}

    def annotation(self, video: Video) -> Annotation | None:
        return self.annotations.of(video.video_id) if self.annotations is not None else None

    def listed_frames(self, video: Video) -> Int8[np.ndarray, " frames"] | None:
        key = lookup_key(video.video_id)
        paths = self._frame_files()
        paths.sort(key=lambda path: path.stem != video.split)  # the video's own split first: the others may be unread
        for path in paths:
            if (labels := self._once(path, read_split_frames).get(key)) is not None:
                return labels
        return None

    def file_problems(self, videos: Sequence[Video]) -> Iterator[Problem]:
        yield from transcription_problems(self._transcriptions, videos, root=self._root, has_file=self._has_words)
        if (annotations := self._first(_ANNOTATIONS)) is not None:
            try:
                yield from annotation_problems(self._once(annotations, open_annotations), videos)
            except DataError as error:
                yield Problem(annotations.name, error.problem)
        if (metadata := self._first(_METADATA)) is not None:
            yield from metadata_problems(metadata, (video.participant_id for video in videos))

    @property
    def _transcriptions(self) -> list[Path]:
        return [base / "transcription" for base in self._bases]

    def _has_words(self, video: Video) -> bool:
        stem = PurePosixPath(video.video_id).stem
        names = (f"{video.video_id}/{stem}{suffix}" for suffix in (".words.json", ".yml"))
        return any(_find(self._transcriptions, name, inside=self._inside) is not None for name in names)

    def spoken(self, video: Video) -> Transcript | None:
        folders = self._transcriptions
        stem = PurePosixPath(video.video_id).stem
        words = _find(folders, f"{video.video_id}/{stem}.words.json", inside=self._inside)
        if words is not None:
            return read_words(words)
        chunks = _find(folders, f"{video.video_id}/{stem}.yml", inside=self._inside)
        if chunks is not None:
            return read_chunks(chunks)
        if video.transcript is None and (annotation := self.annotation(video)) is not None:
            return annotation.transcript
        return None

    def participants(self) -> Mapping[str, Participant]:
        path = self._first(_METADATA)
        return self._once(path, read_participants) if path is not None else {}
