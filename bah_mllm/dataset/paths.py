"""Paths named in data files, and what the names of BAH's videos say."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from pathlib import Path, PurePosixPath

from bah_mllm.core.errors import DataError

__all__ = ["MEDIA_SUFFIXES", "clean_id", "contained", "lookup_key", "participant_of", "question_of", "spellings"]

MEDIA_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})

_QUESTION = re.compile(r"Question[_ ](\d)(?!\d)")
_PARTICIPANT_IN_NAME = re.compile(r"^([^_\s/]+)[_ ]Question[_ ]\d")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def clean_id(text: str, *, where: str) -> str:
    """Return a video id as written in a data file: trimmed, with forward slashes.

    Args:
        text: The path as written.
        where: File and line, for the message.

    Raises:
        DataError: It is empty, absolute, holds ``..`` or a control character: it could point outside the data set.
    """
    video_id = text.strip().strip("\ufeff").replace("\\", "/")
    parts = PurePosixPath(video_id).parts
    if not parts or _CONTROL.search(video_id):
        raise DataError(
            f"{where}: {'a control character in' if parts else 'no'} path of a video.",
            remedy="Write the video's path first, relative to the root of the data set.",
        )
    if parts[0] == "/" or ".." in parts or re.match(r"^[A-Za-z]:", video_id):
        raise DataError(
            f"{where}: the path {video_id!r} leads outside the data set.",
            remedy="Write paths relative to the root of the data set, without '..'.",
        )
    return "/".join(part for part in parts if part != ".")


def contained(path: Path, *, root: Path) -> Path:
    """Return a path that exists below the root.

    Args:
        path: A path built from ``root`` and a name that ``clean_id`` returned.
        root: Folder of the data set.

    Raises:
        DataError: A symbolic link leads outside the root.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"{path.relative_to(root).as_posix()!r} is a link that leads outside the data set {root.name!r}.",
            remedy="Replace the link by the files themselves (or mount the other folder there).",
        )
    return path


def participant_of(video_id: str) -> str:
    """Return the participant that a video's path names.

    The name's part before ``_Question_``, else the folder before ``Visite_1``, else the first folder (after
    ``Videos``), else the name without extension: a video of which nothing is known counts as a person of its own.

    >>> participant_of("Videos/82711/Visite_1/82711_Question_3_2024-10-08_15-30-43_Video.mp4")
    '82711'
    >>> participant_of("anna/one.mp4"), participant_of("one.mp4")
    ('anna', 'one')
    """
    path = PurePosixPath(video_id)
    if match := _PARTICIPANT_IN_NAME.match(path.name):
        return match[1]
    folders = [part for part in path.parts[:-1] if part != "Videos"]
    for folder, following in pairwise(folders):
        if following.startswith("Visite"):
            return folder
    return folders[0] if folders else path.stem


def question_of(video_id: str) -> int | None:
    """Return the number of the question that a video's name gives, 1 to 7, or None.

    >>> question_of("Videos/82711/Visite_1/82711_Question_3_2024-10-08 15-30-43_Video.mp4")
    3
    """
    match = _QUESTION.search(PurePosixPath(video_id).name)
    number = int(match[1]) if match else 0
    return number if 1 <= number <= 7 else None


def lookup_key(video_id: str) -> str:
    """Return what is the same for all spellings of one video's path.

    The release for the 8th ABAW challenge writes ``Visite 1`` for ``Visite_1`` and leaves ``Videos/`` out.
    """
    key = unicodedata.normalize("NFC", video_id.strip().replace("\\", "/"))
    return key.removeprefix("./").removeprefix("Videos/").replace("/Visite 1/", "/Visite_1/")


def spellings(video_id: str) -> list[str]:
    """Return the paths at which a release may keep a video, likeliest first."""
    bare = video_id.removeprefix("Videos/")
    names = [video_id, f"Videos/{bare}", bare]
    names += [name.replace("/Visite_1/", "/Visite 1/") for name in names]
    names += [name.replace("/Visite 1/", "/Visite_1/") for name in names]
    return list(dict.fromkeys(names))
