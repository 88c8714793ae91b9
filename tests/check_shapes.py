"""Check every shape and type of the product while tests run: python -m pytest -p tests.check_shapes.

Modules of the product import the names of their annotations under TYPE_CHECKING, so that commands start without torch
and without shapes. Here those imports become real, and jaxtyping and beartype wrap every function and dataclass
when its module is imported. Processes that tests start are not checked.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

CHECKED = ("bah_mllm", "supervised")
UNCHECKED = "bah_mllm.cli"  # typer hands commands another Context than the one that they have to name
_NAME = "__check_shapes__"
_PREAMBLE = f"""
from functools import partial
from typing import runtime_checkable as __runtime_checkable__
from beartype import BeartypeConf, beartype
from jaxtyping import jaxtyped
{_NAME} = partial(jaxtyped, typechecker=beartype(conf=BeartypeConf(is_pep484_tower=True)))
"""


class _Checked(ast.NodeTransformer):
    """Make imports under TYPE_CHECKING real, and put the checker on functions and classes."""

    def __init__(self) -> None:
        self._classes: list[str] = []

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._classes[-1], node.ctx) if node.id == "Self" and self._classes else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.body if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.decorator_list.append(ast.Name(_NAME, ast.Load()))  # innermost: other decorators hide annotations
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()
        is_protocol = any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
        decorator = "__runtime_checkable__" if is_protocol else _NAME
        node.decorator_list.insert(0, ast.Name(decorator, ast.Load()))  # outermost: after @dataclass has made __init__
        return node


class _CheckedLoader(SourceFileLoader):
    def source_to_code(self, data: bytes, path: str, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        tree = _Checked().visit(ast.parse(data, path))
        first = next((k for k, node in enumerate(tree.body) if not _must_stand_first(node)), len(tree.body))
        tree.body[first:first] = ast.parse(_PREAMBLE).body
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname: str) -> CodeType:
        """Compile from the source, past the cache, which holds the module as it is."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _must_stand_first(node: ast.stmt) -> bool:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in CHECKED or fullname.startswith(UNCHECKED):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _CheckedLoader(spec.loader.name, spec.loader.path)
        return spec


assert not [name for name in sys.modules if name.partition(".")[0] in CHECKED], "load this before the product"
sys.meta_path.insert(0, _Finder())
