"""Files that everybody writes and asks about: replaced in one step, known by digest, locked, and not mixed up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from bah_mllm.core.errors import RunError

__all__ = [
    "LOCK_NAME",
    "digest_file",
    "first_difference",
    "hold_folder",
    "is_held",
    "refuse_difference",
    "write_atomically",
]

LOCK_NAME = ".lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step: a kill leaves the old or the new content, never a part.

    Args:
        path: Its folder is there.
        content: All of the new content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hold_folder(folder: Path, *, doing: str) -> FileLock:
    """Lock a folder against other processes and return the lock, which a ``with`` releases.

    Args:
        folder: It is there.
        doing: What another process would be doing, as in "Another process is training into ...".

    Raises:
        RunError: Another process holds it.
    """
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=1.0)  # a look at the status holds the lock for a moment
    except Timeout:
        raise RunError(
            f"Another process is {doing} {folder}.", remedy="Wait for it, or write elsewhere with --out."
        ) from None
    return lock


def is_held(folder: Path) -> bool:
    """Return whether a process holds the folder now; False where that cannot be told."""
    try:
        with FileLock(folder / LOCK_NAME, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that we cannot write tells nothing
        return False


def first_difference(there: object, now: object, name: str = "") -> tuple[str, object, object] | None:
    """Return the name of the first value that differs, and both values; None where nothing does.

    Args:
        there: A plain value, or a mapping of such, nested as deep as it likes.
        now: The same.
        name: Of what is compared; the names of inner values are put behind it.

    >>> first_difference({"loop": {"lr": 1, "epochs": 2}}, {"loop": {"lr": 3, "epochs": 2}})
    ('loop.lr', 1, 3)
    """
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*there, *now]):
            inner = f"{name}.{key}" if name else str(key)
            if (found := first_difference(there.get(key), now.get(key), inner)) is not None:
                return found
        return None
    return None if there == now else (name, there, now)


def refuse_difference(what: str, there: object, now: object, *, remedy: str) -> None:
    """Refuse to go on with what was made with other settings.

    Args:
        what: What was made, as the start of a sentence: "The run runs/a".
        there: Its settings.
        now: The settings asked for.
        remedy: What to do about it.

    Raises:
        RunError: They differ; names the first value that does.
    """
    if (found := first_difference(there, now)) is not None:
        name, before, after = found
        raise RunError(f"{what} was made with {name} = {before!r}, but now {name} = {after!r}.", remedy=remedy)
