"""Files that everybody writes and asks about: replaced in one step, known by digest, locked, and not mixed up."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bah_mllm.core.errors import RunError
from bah_mllm.core.storage import naming

__all__ = [
    "LOCK_NAME",
    "SHARING",
    "digest_file",
    "first_difference",
    "hold_folder",
    "is_held",
    "is_sharing",
    "make_folder",
    "refuse_difference",
    "remove_leftovers",
    "write_atomically",
]

LOCK_NAME = ".lock"
SHARING = "BAH_SHARE"
"""Variable of the environment: set, folders are made as the umask says, not for their owner alone."""

_LEFTOVER = re.compile(r"\..+\.(?P<pid>\d+)(?:@(?P<machine>[0-9a-f]{8}))?\.tmp")
_STALE_AFTER_S = 24 * 3600.0  # of another machine, whose processes cannot be seen from here


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step: a kill leaves the old or the new content, never a part.

    Where it fails (a full disk ...) the old content stays, and nothing is left beside it.

    Args:
        path: Its folder is there.
        content: All of the new content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{_machine()}.tmp")
    try:
        with naming(path), temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _machine() -> str:
    """Return what tells this machine from others that see the same disk, 8 hexadecimal digits."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Remove the beginnings of files that killed processes left below a folder; those of living ones stay.

    Of another machine nobody here can tell who lives: what it left goes a day later.

    Args:
        folder: May be missing.
        names: Pattern of the files that were being written.
    """
    for path in folder.rglob(f".{names}.tmp"):
        if (found := _LEFTOVER.fullmatch(path.name)) is None:
            continue
        with suppress(OSError):  # what cannot be removed does no harm
            age_s = time.time() - path.stat().st_mtime
            is_ours = found["machine"] in (None, _machine())
            if not _is_alive(int(found["pid"])) if is_ours else age_s > _STALE_AFTER_S:
                path.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def is_sharing() -> bool:
    """Return whether folders are made for others, too."""
    return bool(os.environ.get(SHARING))


def make_folder(folder: Path) -> None:
    """Make a folder for what may hold replies, words or faces: for its owner alone, unless the user shares.

    A folder that is there stays as it is, and so do the folders above it; a stricter umask is respected.

    Args:
        folder: With its parents, which are made as the umask says.
    """
    folder.mkdir(mode=0o777 if is_sharing() else 0o700, parents=True, exist_ok=True)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hold_folder(folder: Path, *, doing: str) -> FileLock:
    """Lock a folder against other processes and return the lock, which a ``with`` releases.

    What killed processes left in it half written is removed.

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
    remove_leftovers(folder)
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
