"""Which video another tool means: its names beside those of a data set."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import NamedTuple

from bah_mllm.core.errors import DataError
from bah_mllm.dataset.dataset import Dataset
from bah_mllm.dataset.paths import MEDIA_SUFFIXES, lookup_key

__all__ = ["MatchedNames", "match_names", "nearest_name"]


@dataclass(frozen=True, slots=True)
class MatchedNames:
    """What the names of another tool turned out to mean.

    Args:
        ids: Name -> id of the video; an unknown name stands for itself.
        unknown: Names that the data set does not have.
        by_ending: Names of which only the ending agrees with a path of the data set.
    """

    ids: Mapping[str, str]
    unknown: tuple[str, ...]
    by_ending: tuple[str, ...]


def match_names(names: Iterable[str], dataset: Dataset) -> MatchedNames:
    """Return which videos are meant by names, paths of other machines included.

    A name means the video whose id, file name or stem it is, or whose whole id it ends in. Where no name does, absolute
    paths mean the video whose path has the longest ending in common with theirs; and where several of them end like
    one video, only those with the longest ending mean it: ``/b/1.mp4`` is not ``a/1.mp4`` beside ``/x/a/1.mp4``.

    Args:
        names: As the tool writes them.
        dataset: Whose videos may be meant.

    Raises:
        DataError: A name may be any of several videos.
    """
    endings = _Endings(dataset)
    names = list(dict.fromkeys(names))
    ids = {name: video_id for name in names if (video_id := endings.whole(name)) is not None}
    by_ending: list[str] = []
    if not ids:
        found = {name: match for name in names if (match := endings.longest(name)) is not None}
        best: dict[str, int] = defaultdict(int)
        for match in found.values():
            best[match.video_id] = max(best[match.video_id], match.n_parts)
        by_ending = [name for name, match in found.items() if match.n_parts == best[match.video_id]]
        ids = {name: found[name].video_id for name in by_ending}
    return MatchedNames(
        ids={name: ids.get(name, name) for name in names},
        unknown=tuple(name for name in names if name not in ids),
        by_ending=tuple(by_ending),
    )


def nearest_name(name: str, dataset: Dataset) -> str:
    """Return the id in a data set that comes nearest to an unknown name, to show how its own are written."""
    ids = {PurePosixPath(video.video_id).name: video.video_id for video in dataset.videos()}
    near = get_close_matches(_parts(name)[-1] if _parts(name) else name, list(ids), n=1, cutoff=0.0)
    return ids[near[0]]


class _Match(NamedTuple):
    video_id: str
    n_parts: int


class _Endings:
    """The paths of a data set by their last parts."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._by_file: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for video in dataset.videos():
            parts = _parts(video.video_id)
            for last in {parts[-1], _stem(parts[-1])}:
                self._by_file[last].append((video.video_id, parts))

    def whole(self, name: str) -> str | None:
        """Return the id of the video whose id, file name or stem a name is, or whose whole id it ends in, or None."""
        exact = self._dataset.named(name)
        if len(exact) == 1:
            return exact[0].video_id
        parts = _parts(name)
        fitting = {video_id for video_id, own in self._candidates(parts) if _n_common(parts, own) == len(own)}
        candidates = [video.video_id for video in exact] or sorted(fitting)
        return self._only(candidates, name) if candidates else None

    def longest(self, name: str) -> _Match | None:
        """Return the video whose path ends most like an absolute path, or None."""
        parts = _parts(name)
        lengths = {video_id: _n_common(parts, own) for video_id, own in self._candidates(parts)}
        if not lengths or not _ABSOLUTE.match(name.strip()):
            return None
        longest = max(lengths.values())
        return _Match(self._only([one for one, length in lengths.items() if length == longest], name), longest)

    def _candidates(self, parts: tuple[str, ...]) -> Sequence[tuple[str, tuple[str, ...]]]:
        if not parts:
            return ()
        return self._by_file.get(parts[-1]) or self._by_file.get(_stem(parts[-1])) or ()

    def _only(self, candidates: Sequence[str], name: str) -> str:
        if len(candidates) > 1:
            raise DataError(
                f"{name!r} may be any of {len(candidates)} videos of {self._dataset.name!r}.",
                remedy=f"Write one of: {', '.join(map(repr, candidates[:5]))}.",
            )
        return candidates[0]


_ABSOLUTE = re.compile(r"[/\\~]|[A-Za-z][A-Za-z0-9+.\-]*:")  # a root, a home, a drive, or file:


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path in the spelling of ``lookup_key``, whatever machine it is from."""
    text = re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*:", "", name.strip().replace("\\", "/"))  # a drive, or file:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    key = lookup_key("/".join(part for part in parts))
    return tuple(part for part in key.split("/") if part)


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in MEDIA_SUFFIXES else name


def _n_common(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Return how many parts two paths have in common at their ends; the file's counts, whatever its suffix."""
    n = 1
    for ours, theirs in zip(a[-2::-1], b[-2::-1], strict=False):
        if ours != theirs:
            break
        n += 1
    return n
