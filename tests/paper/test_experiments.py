"""One dictionary of experiments: light to read, complete in help and errors, and known to nobody else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bah_mllm.cli.app import invoke
from bah_mllm.core.loading import load_named
from bah_mllm.paper.experiments import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[2]
A_PLACE_IN_THE_PAPER = re.compile(r"(table|figure)s? ?\d+", re.IGNORECASE)


def test_the_names_are_those_of_the_paper_and_our_own() -> None:
    numbers = (5, 6, 7, 14, 15, 16, 17, 19, 20, 21, 22)
    assert set(EXPERIMENTS) == {*(f"table{number}" for number in numbers), "figure12", "prompts"}
    for name, experiment in EXPERIMENTS.items():
        if name != "prompts":
            assert experiment.source is not None
            assert name[-2:].strip("e") in experiment.source


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_an_experiment_names_is_there(name: str) -> None:
    experiment = EXPERIMENTS[name]
    assert callable(load_named({name: experiment.kind.flow}, name, kind="flow"))
    if experiment.arms is not None:
        assert callable(load_named({name: experiment.arms}, name, kind="arms"))


def test_reading_the_dictionary_loads_nothing_heavy() -> None:
    heavy = "{'sklearn', 'pandas', 'scipy', 'torch', 'pyarrow', 'matplotlib'}"
    code = f"import sys, bah_mllm.paper.experiments; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_and_errors_name_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["experiment", "--help"]) == 0
    written = capsys.readouterr().out
    assert invoke(["experiment", "table9"]) == 2
    error = capsys.readouterr().err
    for name in EXPERIMENTS:
        assert re.search(rf"\b{name}\b", written)
        assert re.search(rf"\b{name}\b", error)


def _strings(path: Path) -> list[str]:
    """Return the strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = [
        node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
    ]
    first = [node.body[0] for node in documented]
    docstrings = {id(one.value) for one in first if isinstance(one, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def test_a_place_in_the_paper_is_found_where_there_is_one() -> None:
    found = [one for one in _strings(ROOT / "bah_mllm/paper/experiments.py") if A_PLACE_IN_THE_PAPER.fullmatch(one)]
    assert {"table5", "Table 5", "figure12"} <= set(found)


def test_nobody_but_the_papers_room_has_a_place_in_the_paper_as_a_key() -> None:
    modules = [*(ROOT / "bah_mllm").rglob("*.py"), *(ROOT / "supervised").rglob("*.py")]
    strange = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in modules
        if ROOT / "bah_mllm/paper" not in path.parents
        for text in _strings(path)
        if A_PLACE_IN_THE_PAPER.fullmatch(text.strip())
    ]
    assert strange == []
