"""The command line: thin commands over the pipeline. ``main`` is the entry point ``bah-mllm``."""

from __future__ import annotations

import io
import os
import sys

from bah_mllm.cli.interruption import catch_signals, tell_interrupted

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process."""
    catch_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another encoding gets what it lacks as \\u....
            stream.reconfigure(errors="backslashreplace")
    try:
        from bah_mllm.cli.app import invoke  # takes long enough for a Ctrl-C to fall into it

        code = invoke(sys.argv[1:])
    except KeyboardInterrupt:
        code = tell_interrupted()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a full disk, a reader that went away: Python would try again, and end with a code of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
