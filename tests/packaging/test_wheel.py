"""What is installed is what was built: every module imports, and a wheel works away from the checkout."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

import bah_mllm
import supervised

CHECKOUT = Path(bah_mllm.__file__).resolve().parent.parent


def test_everything_imports() -> None:
    modules = [
        module.name
        for package in (bah_mllm, supervised)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith("__main__")
    ]
    assert len(modules) > 50
    for name in modules:
        importlib.import_module(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "package",
    [
        "torch",
        "transformers",
        "accelerate",
        "bitsandbytes",
        "ray",
        "whisper",
        "faster_whisper",
        "mediapipe",
        "swift_f0",
    ],
)
def test_the_packages_of_the_extras_import_beside_each_other(package: str) -> None:
    # In a process of its own: some print on import, start threads or patch others.
    finished = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]


def test_a_table_survives_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame({"video_id": ["é 1", "b"], "p": [0.25, None], "n": pd.array([1, None], dtype="Int64")})
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)


def test_the_constraints_are_what_is_installed() -> None:
    wrong = {}
    for line in (CHECKOUT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if line.startswith("#") or not version:
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # of an extra or a platform that is not installed here
        if installed.split("+")[0] != version.split("+")[0]:
            wrong[name] = (installed, version)
    assert wrong == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = (
        "from hatchling.build import build_wheel; import sys, os; "
        f"os.chdir({str(CHECKOUT)!r}); print(build_wheel({str(folder)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_prompts_demo_set_and_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"bah_mllm/_prompts/transcript_def1.jinja", "bah_mllm/_prompts/upstream/def1.jinja"} <= set(names)
    assert "bah_mllm/dataset/demo_set/bah-demo.toml" in names
    assert sum(name.endswith(".mp4") for name in names) >= 18
    assert {"bah_mllm/paper/paper_results.csv", "bah_mllm/py.typed", "supervised/__init__.py"} <= set(names)
    assert {"supervised/recipes/lfan.toml", "supervised/light/lexicons/en.toml"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/")) or name.endswith(".pyc")]
    assert wheel.stat().st_size < 10 * 2**20


@pytest.mark.parametrize(
    "with_own_packages",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["shared-packages", "empty-environment"],
)
def test_an_installed_wheel_runs_and_evaluates_from_another_folder(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_own_packages: bool
) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=with_own_packages)
    python = environment / "bin" / "python"
    if with_own_packages:
        constraints = ["-c", str(CHECKOUT / "constraints.txt")]
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel, *constraints], check=True)
    else:
        site = next((environment / "lib").glob("python3*")) / "site-packages"
        zipfile.ZipFile(wheel).extractall(site)
        shared = {str(Path(metadata.distribution(name).locate_file(""))) for name in ("pydantic", "numpy")}
        (site / "shared.pth").write_text("\n".join(shared))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.delenv("PYTHONPATH", raising=False)  # it may name the checkout

    def call(*arguments: str) -> str:
        command = [python, "-m", "bah_mllm", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout

    where = subprocess.run([python, "-c", "import bah_mllm; print(bah_mllm.__file__)"], check=True, capture_output=True,
                           text=True, cwd=folder).stdout  # fmt: skip
    assert str(environment) in where
    run = call("run", "--engine", "scripted", "--model", "video", "--window", "24").strip()
    result = json.loads(call("evaluate", run, "--json", "-", "--draws", "20"))
    assert result["rows"][0]["n"] > 500
    assert result["rows"][0]["n_missing"] == 0
