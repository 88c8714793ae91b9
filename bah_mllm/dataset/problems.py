"""What may be wrong in a data set without keeping the rest of it from being used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Video
from bah_mllm.dataset.paths import lookup_key

__all__ = [
    "NOTHING_FOUND",
    "Findings",
    "Problem",
    "alike_participants",
    "shared_participants",
    "split_order",
    "without_duplicates",
]

_SPLIT_ORDER = ("train", "val", "test", "test_unlabeled")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a data set that does not keep the rest from being used.

    Args:
        where: File, or video, and line.
        what: What is wrong, and what was done about it.
    """

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What was noticed while a data set was read.

    Args:
        problems: What is wrong.
        notes: What was left out, and harms nothing.
        left_out: Files that look like media and are no videos: suffix -> how many.
    """

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


NOTHING_FOUND = Findings()


def split_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of splits in reading order: train, val, test, then the others."""
    return tuple(sorted(set(names), key=lambda name: ((*_SPLIT_ORDER, name).index(name), name)))


def without_duplicates(videos: Iterable[Video]) -> tuple[list[Video], list[Problem]]:
    """Return the videos, each once, and a problem for every repetition that was left out.

    Raises:
        DataError: A video is repeated with another label.
    """
    kept: dict[str, Video] = {}
    problems = []
    for video in videos:
        first = kept.setdefault(lookup_key(video.video_id), video)
        if first is video:
            continue
        if None not in (first.label, video.label) and first.label != video.label:
            raise DataError(
                f"{video.video_id} is listed with label {first.label} (split {first.split}) and "
                f"{video.label} (split {video.split}).",
                remedy="Keep the line with the right label.",
            )
        problems.append(
            Problem(video.video_id, f"listed twice (splits {first.split} and {video.split}); the first one counts")
        )
    return list(kept.values()), problems


def shared_participants(videos: Iterable[Video]) -> list[Problem]:
    """Return a problem for everybody who answers in more than one split: what is learnt there is known elsewhere."""
    splits: dict[str, set[str]] = {}
    for video in videos:
        if video.split is not None:
            splits.setdefault(video.participant_id, set()).add(video.split)
    return [
        Problem(f"participant {participant}", f"is in more than one split: {', '.join(split_order(names))}")
        for participant, names in splits.items()
        if len(names) > 1
    ]


def alike_participants(videos: Iterable[Video]) -> list[Problem]:
    """Return a problem for participants whose ids differ only as one id does in two programs: 7, 007 and 7.0."""
    ids: dict[str, dict[str, None]] = {}
    for video in videos:
        key = video.participant_id.strip().casefold()
        key = re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"\.0+$", "", key))
        ids.setdefault(key, {})[video.participant_id] = None
    return [
        Problem(f"participants {' and '.join(alike)}", "may be one person, whose id is written in several ways")
        for alike in ids.values()
        if len(alike) > 1
    ]
