"""Fail where a docstring hides an error that a user can cause: python scripts/check_raises.py.

Every public function must name, under "Raises:", each BahError that it raises, itself or through private functions of
its module. A class answers for what making it raises. An error caught on the way counts as not raised.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("bah_mllm", "supervised")
COMMANDS = "bah_mllm/cli/"  # docstrings of commands are their help, and every command can end with an error
MAKING = {"__init__", "__post_init__", "__new__"}
SCOPES = ast.FunctionDef | ast.ClassDef | ast.Lambda


class Found(NamedTuple):
    """What a function raises by name, and which names it calls, each with what is caught around it."""

    raised: list[tuple[str, frozenset[str]]]
    called: list[tuple[str, frozenset[str]]]


def error_classes(trees: Mapping[str, ast.Module]) -> dict[str, frozenset[str]]:
    """Return each kind of BahError with the names that stand for it: its own and those of its bases."""
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def names(one: str) -> frozenset[str]:
        return frozenset({one}.union(*(names(base) for base in bases.get(one, ()))))

    return {one: names(one) for one in bases if "BahError" in names(one)}


def look(body: list[ast.stmt]) -> Found:
    """Return what statements raise and call, functions inside them left out."""
    found = Found([], [])

    def visit(node: ast.AST, caught: frozenset[str]) -> None:
        if isinstance(node, SCOPES):
            return
        if isinstance(node, ast.Raise) and node.exc is not None:
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found.raised.append((ast.unparse(made).rpartition(".")[2], caught))
        if isinstance(node, ast.Call):
            found.called.append((ast.unparse(node.func), caught))
        if isinstance(node, ast.Try):
            names = set(re.findall(r"\w+", " ".join(ast.unparse(h.type) for h in node.handlers if h.type is not None)))
            for child in node.body:
                visit(child, caught | names)
            for child in (*node.handlers, *node.orelse, *node.finalbody):
                visit(child, caught)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, caught)

    for statement in body:
        visit(statement, frozenset())
    return found


class Module:
    """The functions of a module by the name under which they are called: ``name``, ``Class.name``.

    Args:
        tree: The module.
        errors: Kinds of BahError, from ``error_classes``.
    """

    def __init__(self, tree: ast.Module, errors: Mapping[str, frozenset[str]]) -> None:
        self._errors = errors
        self._functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for owner in self._classes.values():
            methods = (node for node in owner.body if isinstance(node, ast.FunctionDef))
            self._functions |= {f"{owner.name}.{node.name}": node for node in methods}

    def hidden(self) -> Iterator[tuple[int, str, str]]:
        """Yield line, name and error of every public docstring that does not name an error."""
        for name, node in self._functions.items():
            owner, _, own = name.rpartition(".")
            described = self._classes[owner] if own in MAKING else node
            if (own.startswith("_") and described is node) or owner.startswith("_"):
                continue
            named = _named_in(ast.get_docstring(described) or "") | _named_in(ast.get_docstring(node) or "")
            for one in sorted(self._raised_by(name, frozenset({name}))):
                is_any = one == "BahError" and not self._errors.keys().isdisjoint(named)
                if not is_any and not self._errors[one] & named:
                    yield described.lineno, name, one

    def _raised_by(self, name: str, seen: frozenset[str]) -> set[str]:
        found, raised = look(self._functions[name].body), set()
        for made, caught in found.raised:
            maker = self._functions.get(made)
            error = ast.unparse(maker.returns) if maker is not None and maker.returns is not None else made
            raised |= {(error, caught)}
        for called, caught in found.called:
            other = called.replace("self.", f"{name.rpartition('.')[0]}.").replace(
                "cls.", f"{name.rpartition('.')[0]}."
            )
            if other in self._functions and other.rpartition(".")[2].startswith("_") and other not in seen:
                raised |= {(one, caught) for one in self._raised_by(other, seen | {other})}
        return {one for one, caught in raised if one in self._errors and not self._errors[one] & caught}


def _named_in(docstring: str) -> set[str]:
    section = re.search(r"^Raises:\n((?:\s+.*\n?|\n)*)", docstring, flags=re.MULTILINE)
    return set(re.findall(r"^\s+(\w+): ", section[1], flags=re.MULTILINE)) if section else set()


def main() -> int:
    """Print every docstring that hides an error; return 1 where there is one."""
    paths = sorted(path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py"))
    trees = {path.relative_to(CHECKOUT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    errors = error_classes(trees)
    hidden = [
        f"{name}:{line}: {function} raises {error}, and its docstring does not say so"
        for name, tree in trees.items()
        if not name.startswith(COMMANDS)
        for line, function, error in Module(tree, errors).hidden()
    ]
    print("\n".join(hidden), end="\n" if hidden else "")
    return int(bool(hidden))


if __name__ == "__main__":
    sys.exit(main())
