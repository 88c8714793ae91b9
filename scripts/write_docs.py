"""Write the parts of the documentation that the code knows better: python scripts/write_docs.py [--check].

The command reference in bah_mllm/cli/README.md comes from the commands' own help; with --check nothing is written, and
the exit code is 1 where the file on disk differs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "bah_mllm" / "cli" / "README.md"
COMMANDS = (
    ("run",),
    ("experiment",),
    ("status",),
    ("diff",),
    ("import",),
    ("evaluate",),
    ("compare",),
    ("prompts", "list"),
    ("prompts", "show"),
    ("prompts", "render"),
    ("prompts", "check"),
    ("prompts", "new"),
    ("models", "get"),
    ("models", "list"),
    ("data", "check"),
    ("data", "stats"),
    ("transcribe",),
    ("cues", "extract"),
    ("cues", "render"),
    ("cues", "score"),
    ("cues", "show"),
    ("features",),
    ("train",),
    ("predict",),
    ("adapt",),
    ("weights", "import"),
    ("bench",),
    ("doctor",),
)
INTRODUCTION = """\
# Commands
Written by `python scripts/write_docs.py` from the commands' own help; do not edit by hand.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 done; 1 a bug, or a problem that `doctor` found;
2 the user can solve it (two lines: what, and what to try); 3 a run in which rows failed; 130 interrupted, with what is
done saved.
"""


def reference() -> str:
    """Return the command reference as Markdown."""
    parts = [INTRODUCTION]
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    for command in COMMANDS:
        help_text = subprocess.run(
            [sys.executable, "-m", "bah_mllm", *command, "--help"],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout
        parts.append(f"## bah-mllm {' '.join(command)}\n```\n{help_text.strip()}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write the reference, or compare it with the file on disk."""
    text = reference()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("The command reference is out of date: run python scripts/write_docs.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
