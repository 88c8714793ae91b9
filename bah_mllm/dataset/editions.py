"""The released editions of BAH: their published sizes, and telling them apart."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

__all__ = ["SplitSize", "nearest_edition", "published_sizes", "recognise_edition"]

_NAMES = {"iclr2026": re.compile(r"iclr[-_ ]?(?:20)?26", re.IGNORECASE), "v1": re.compile(r"(?:^|[-_ ])v1(?:$|[-_ .])")}


@dataclass(frozen=True, slots=True)
class SplitSize:
    """Size of a split: participants and videos, all of them and those with ambivalence or hesitancy.

    Frames and hours are None where they are unknown.
    """

    participants: int
    participants_ah: int
    videos: int
    videos_ah: int
    frames: int | None = None
    frames_ah: int | None = None
    hours: float | None = None
    hours_ah: float | None = None


@lru_cache(maxsize=1)
def published_sizes() -> Mapping[str, Mapping[str, SplitSize]]:
    """Return the published sizes: edition -> split -> size. Source: ``split_counts.csv`` beside this module."""
    text = (files("bah_mllm.dataset") / "split_counts.csv").read_text(encoding="utf-8")
    sizes: dict[str, dict[str, SplitSize]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        edition, split = row.pop("edition"), row.pop("split")
        sizes.setdefault(edition, {})[split] = SplitSize(
            participants=int(row["participants"]),
            participants_ah=int(row["participants_ah"]),
            videos=int(row["videos"]),
            videos_ah=int(row["videos_ah"]),
            frames=int(row["frames"]),
            frames_ah=int(row["frames_ah"]),
            hours=float(row["hours"]),
            hours_ah=float(row["hours_ah"]),
        )
    return sizes


def recognise_edition(sizes: Mapping[str, SplitSize], *, folder: str) -> str | None:
    """Return the edition whose published counts of videos every split has, else the one that the folder names.

    Args:
        sizes: Size of each split that is there.
        folder: Name of the data set's folder.

    Returns:
        ``v1``, ``iclr2026``, or None.
    """
    for edition, published in published_sizes().items():
        shared = [split for split in sizes if split in published]
        if shared and all(
            (sizes[split].videos, sizes[split].videos_ah) == (published[split].videos, published[split].videos_ah)
            for split in shared
        ):
            return edition
    return next((edition for edition, name in _NAMES.items() if name.search(folder)), None)


def nearest_edition(sizes: Mapping[str, SplitSize]) -> str | None:
    """Return the edition whose counts of videos are nearest, for comparison; None where no split has a known name."""
    distances = {
        edition: sum(abs(sizes[split].videos - published[split].videos) for split in sizes if split in published)
        for edition, published in published_sizes().items()
        if any(split in published for split in sizes)
    }
    return min(distances, key=distances.__getitem__) if distances else None
