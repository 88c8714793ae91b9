"""What the user is told where the operating system refuses to read or write: a full disk, above all.

Code that writes lets such an ``OSError`` through, so that nobody takes it for the fault of a video or a model; the
command line asks here what to say.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bah_mllm.core.errors import RunError

__all__ = ["naming", "storage_error"]


class _Refusal(NamedTuple):
    """What an error number means; ``{folder}`` and ``{name}`` are of the file."""

    problem: str
    remedy: str


_GOES_ON = "then run the same command again: it goes on"
_SPACE = f"Free some space there, {_GOES_ON}."

_REFUSALS = {
    errno.ENOSPC: _Refusal("The disk with {folder} is full: {name} could not be written.", _SPACE),
    errno.EDQUOT: _Refusal(
        "Your quota on the disk with {folder} is used up, the disk is full for you: {name} could not be written.",
        f"Free some space there or ask for a larger quota, {_GOES_ON}.",
    ),
    errno.EFBIG: _Refusal(
        "{name} in {folder} has reached the largest size that files may have here.",
        f"Raise the limit (`ulimit -f`) or write to another disk, {_GOES_ON}.",
    ),
    errno.EROFS: _Refusal(
        "The disk with {folder} is read-only: {name} could not be written.",
        f"Write elsewhere, or have the disk mounted for writing, {_GOES_ON}.",
    ),
    errno.EACCES: _Refusal(
        "{name} in {folder} may not be read or written: permission denied.",
        f"Check who owns it with `ls -la`, or name another folder, {_GOES_ON}.",
    ),
    errno.EIO: _Refusal(
        "The disk with {folder} fails: {name} could not be read or written (input/output error).",
        f"Check the disk, or the network that it is mounted over, {_GOES_ON}.",
    ),
}
_REFUSALS[errno.EPERM] = _REFUSALS[errno.EACCES]
_REFUSALS[errno.ESTALE] = _REFUSALS[errno.EIO]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the operating system inside the block the name of the file, where it has none.

    Args:
        path: What is written: of a full disk the system itself names no file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def storage_error(error: OSError) -> RunError | None:
    """Return what to tell the user about an error of the operating system; None where no user can have caused it.

    >>> storage_error(OSError(errno.ENOSPC, "No space left on device", "runs/a/run.json")).problem
    'The disk with runs/a is full: run.json could not be written. What is done is saved.'
    """
    found = _REFUSALS.get(error.errno or 0)
    if error.filename is None:
        if found is None:
            return None
        folder, name = "this output", "what a command prints"
    else:
        path = Path(str(error.filename))
        folder, name = str(path.parent), path.name
    if found is None:
        return RunError(
            f"{error.filename}: {error.strerror}.",
            remedy="Check that the path is right, that it may be read or written, and that the disk has room.",
        )
    return RunError(found.problem.format(folder=folder, name=name) + " What is done is saved.", remedy=found.remedy)
