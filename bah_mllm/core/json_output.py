"""Results for programs: JSON to a file or to stdout."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.saying import UNSEEN
from bah_mllm.core.storage import naming

__all__ = ["check_json_path", "write_json"]


def check_json_path(json_path: str | None) -> None:
    """Refuse a path that cannot be written, before the work whose result it is for.

    Raises:
        ConfigError: Its folder is not there or cannot be written, or it is a folder itself.
    """
    if json_path in (None, "-"):
        return
    path = Path(json_path)
    if not json_path or path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(
            f"The file {json_path!r} for --json cannot be written.", remedy="Name a file in a folder of yours, or -."
        )


def write_json(value: object, json_path: str) -> None:
    """Write a value as JSON to a file, or to stdout where the path is ``-``.

    Raises:
        ConfigError: The file cannot be written.
    """
    check_json_path(json_path)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if json_path == "-":
        # Such characters stand in strings only, where an escape is the same value.
        sys.stdout.write(UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text))
    else:
        path = Path(json_path)
        content = text.encode(errors="backslashreplace")
        if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
            with naming(path):
                path.write_bytes(content)
        else:
            write_atomically(path.resolve(), content)
