"""Fail on files over 400 lines and functions over 60: python scripts/check_lengths.py.

Also prints how long modules and functions are. Signatures of commands do not count: they hold a parameter an option.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = ("bah_mllm", "supervised", "scripts", "tests")
COMMANDS = "bah_mllm/cli/"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


class Length(NamedTuple):
    """A file or a function with its number of lines."""

    n_lines: int
    where: str


def functions(tree: ast.AST, file: str) -> Iterator[Length]:
    """Yield every function of a module, decorators and docstring included, those inside others too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            is_command = file.startswith(COMMANDS) and not node.name.startswith("_")
            first = node.body[0].lineno if is_command else min(one.lineno for one in (node, *node.decorator_list))
            yield Length((node.end_lineno or first) - first + 1, f"{file}:{node.lineno} {node.name}")


def main() -> int:
    """Print the figures and what is too long; return 1 where anything is."""
    files, bodies = [], []
    for path in sorted(path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(CHECKOUT).as_posix()
        files.append(Length(text.count("\n"), name))
        bodies += functions(ast.parse(text), name)
    lines, spans = [file.n_lines for file in files], [body.n_lines for body in bodies]
    print(f"{len(files)} files: median {median(lines):.0f} lines, longest {max(lines)}")
    print(f"{len(bodies)} functions: 90 % have at most {quantiles(spans, n=10)[-1]:.0f} lines, longest {max(spans)}")
    too_long = [
        f"{one.n_lines} lines, at most {most}: {one.where}"
        for several, most in ((files, MAX_FILE_LINES), (bodies, MAX_FUNCTION_LINES))
        for one in sorted(several, reverse=True)
        if one.n_lines > most
    ]
    print("\n".join(too_long), end="\n" if too_long else "")
    return int(bool(too_long))


if __name__ == "__main__":
    sys.exit(main())
