"""What the checks of docstrings and lengths find in made-up modules."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ERRORS = """
class BahError(Exception): ...
class DataError(BahError): ...
class TornError(DataError): ...
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hidden(code: str) -> str:
    script = load("check_raises")
    errors = script.error_classes({"errors.py": ast.parse(ERRORS)})
    code = code.replace("DO", '"""Do."""').replace("FAIL", 'raise DataError("x")')
    return " ".join(f"{name}:{error}" for _, name, error in script.Module(ast.parse(code), errors).hidden())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f():\n DO\n FAIL", "f:DataError"),
        ("def f():\n DO\n raise errors.DataError('x')", "f:DataError"),
        ('def f():\n """Do.\n\n Raises:\n  DataError: Always.\n """\n FAIL', ""),
        ('def f():\n """Do.\n\n Raises:\n  DataError: Always.\n """\n raise TornError("x")', ""),
        ('def f():\n """Do.\n\n Raises:\n  TornError: Always.\n """\n FAIL', "f:DataError"),
        ('def f():\n """Do.\n\n Returns:\n  DataError: Never.\n """\n FAIL', "f:DataError"),
        ("def f():\n DO\n raise _damaged()\ndef _damaged() -> DataError: ...", "f:DataError"),
        ("def f():\n DO\n _g()\ndef _g():\n FAIL", "f:DataError"),
        ("def f():\n DO\n try:\n  _g()\n except BahError: ...\ndef _g():\n FAIL", ""),
        ("class A:\n DO\n def __init__(self):\n  FAIL", "A.__init__:DataError"),
        ("class A:\n DO\n def f(self):\n  DO\n  self._g()\n def _g(self):\n  FAIL", "A.f:DataError"),
        ("def _f():\n FAIL\nclass _A:\n def f(self):\n  FAIL", ""),
        ("def f():\n DO\n raise ValueError('x')", ""),
    ],
)
def test_errors_that_a_docstring_hides_are_named(code: str, expected: str) -> None:
    assert hidden(code) == expected


def test_a_function_is_as_long_as_its_decorators_and_body_and_a_command_as_its_body() -> None:
    script = load("check_lengths")
    code = "@decorated\ndef f(\n    a,\n    b,\n):\n    return a\n\n\ndef g():\n    def h():\n        pass\n"
    lengths = {one.where.split()[-1]: one.n_lines for one in script.functions(ast.parse(code), "bah_mllm/a.py")}
    assert lengths == {"f": 6, "g": 3, "h": 2}
    (command, *_) = script.functions(ast.parse(code), "bah_mllm/cli/a.py")
    assert command.n_lines == 1


@pytest.mark.slow
@pytest.mark.parametrize(("n_scores", "is_wrong"), [(3, False), (4, True)])
def test_where_shapes_are_checked_a_wrong_one_is_told(n_scores: int, *, is_wrong: bool) -> None:
    code = (
        "import tests.check_shapes, numpy as np\n"
        "from bah_mllm.evaluation.calibration import reliability_bins\n"
        f"reliability_bins(np.zeros(3, np.int64), np.zeros({n_scores}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS.parent, capture_output=True, text=True, check=False)
    assert ("typechecking parameter 'scores'" in done.stderr) is is_wrong, done.stderr
    assert done.returncode == int(is_wrong)
