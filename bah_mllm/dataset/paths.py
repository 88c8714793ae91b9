"""Paths named in data files, and what the names of BAH's videos say."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from pathlib import Path, PurePosixPath

from bah_mllm.core.errors import DataError

__all__ = [
    "MEDIA_SUFFIXES",
    "clean_id",
    "contained",
    "lookup_key",
    "other_spelling",
    "outside_id",
    "participant_of",
    "question_of",
    "spellings",
]

MEDIA_SUFFIXES = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv"),
        *(".ts", ".vob", ".webm", ".wmv"),
    }
)

_QUESTION = re.compile(r"Question[_ ](\d)(?!\d)")
_PARTICIPANT_IN_NAME = re.compile(r"^([^_\s/]+)[_ ]Question[_ ]\d")
_TRUSTED = "where the data set is your own or you trust who made it"
_LONGEST_NAME, _LONGEST_PATH = 255, 2000  # bytes of a part, characters of all; systems know names only up to there
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def clean_id(text: str, *, where: str) -> str:
    """Return a video id as written in a data file: trimmed, with forward slashes.

    Args:
        text: The path as written.
        where: File and line, for the message.

    Raises:
        DataError: It is empty, absolute, holds ``..`` or a control character: it could point outside the data set; or
            it is longer than the name of any file.
    """
    video_id = text.strip().strip("\ufeff").replace("\\", "/")
    parts = PurePosixPath(video_id).parts
    if not parts or _CONTROL.search(video_id):
        raise DataError(
            f"{where}: {'a control character in' if parts else 'no'} path of a video.",
            remedy="Write the video's path first, relative to the root of the data set.",
        )
    longest_part = max(len(part.encode("utf-8", "surrogatepass")) for part in parts)
    if len(video_id) > _LONGEST_PATH or longest_part > _LONGEST_NAME:
        raise DataError(
            f"{where}: a path of {len(video_id):,} characters, which no file can have.",
            remedy="Write the video's path first, relative to the root of the data set.",
        )
    if parts[0].startswith("/") or ".." in parts or re.match(r"^[A-Za-z]:", video_id):
        raise DataError(
            f"{where}: the path {video_id!r} leads outside the data set.",
            remedy=f"Write paths relative to the root of the data set, or add --follow-links {_TRUSTED}.",
        )
    return "/".join(part for part in parts if part != ".")


def outside_id(text: str, *, where: str) -> str:
    """Return an id for a video whose path may lead anywhere: the path without its root and without leading ``..``.

    Raises:
        DataError: It is empty, holds a control character, or ``..`` in the middle.

    >>> outside_id("/data/anna/a.mp4", where=""), outside_id("../clips/a.mp4", where="")
    ('data/anna/a.mp4', 'clips/a.mp4')
    """
    bare = re.sub(r"^(?:[A-Za-z]:)?/*", "", text.strip().replace("\\", "/"))
    while bare.startswith("../"):
        bare = bare[3:].lstrip("/")
    return clean_id(bare, where=where)


def contained(path: Path, *, root: Path, follow_links: bool = False) -> Path:
    """Return a path that exists below the root.

    Args:
        path: A path built from ``root`` and a name that ``clean_id`` returned.
        root: Folder of the data set.
        follow_links: Whether links may lead outside, as in the user's own data set.

    Raises:
        DataError: A symbolic link leads outside the root.
    """
    if not follow_links and not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"{path.relative_to(root).as_posix()!r} is a link that leads outside the data set {root.name!r}.",
            remedy=f"Add --follow-links {_TRUSTED}, or replace the link by the files themselves.",
        )
    return path


def other_spelling(root: Path, name: str) -> str | None:
    """Return the path of a file whose name differs from a missing one only in case or in how accents are encoded.

    Args:
        root: Folder of the data set.
        name: Path of a file that is not there, below the root.

    Returns:
        The path as it is spelt there, below the root; None where there is no such file, or more than one.
    """
    folders = [root]
    for part in PurePosixPath(name).parts:
        wanted = _alike(part)
        folders = [
            entry for folder in folders if folder.is_dir() for entry in folder.iterdir() if _alike(entry.name) == wanted
        ]
    found = [path for path in folders if path.is_file()]
    return found[0].relative_to(root).as_posix() if len(found) == 1 else None


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


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
