"""A disk that is really full: every command says so, leaves nothing locked or half written, and goes on later."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bah_mllm.core.files import hold_folder
from tests.robustness.conftest import Whole
from tests.robustness.worlds import WRITERS, World, call

pytestmark = pytest.mark.slow

PAGE = 4096
DISK = 64 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, spare: int) -> Path:
    """Leave so many bytes free on a disk."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, os.statvfs(disk).f_bavail * PAGE - spare))
    return filler


@pytest.mark.parametrize("name", ["cues", "features", "adapt"])
def test_a_full_disk_is_told_also_by_workers(
    name: str, world: World, whole: Callable[[str], Whole], disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = whole(name)
    out, cache = disk / "out", disk / "cache"
    arguments = [*WRITERS[name].arguments(world, out), "--workers", 2]
    filler = fill(disk, int(expected.n_bytes * 0.4) // PAGE * PAGE)
    capfd.readouterr()
    assert call(arguments, cache) == 2
    stderr = capfd.readouterr().err
    assert " is full: " in stderr
    assert "Traceback" not in stderr
    assert not list(disk.rglob("*.tmp"))
    filler.unlink()
    assert call(arguments, cache) == 0, capfd.readouterr().err
    assert WRITERS[name].results(out) == expected.results


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", list(WRITERS))
def test_a_full_disk_is_told_and_the_same_command_goes_on_once_there_is_room(
    name: str,
    share: float,
    world: World,
    whole: Callable[[str], Whole],
    disk: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected = whole(name)
    out, cache = disk / "out", disk / "cache"
    arguments = WRITERS[name].arguments(world, out)
    filler = fill(disk, int(expected.n_bytes * share) // PAGE * PAGE)
    capfd.readouterr()
    code = call(arguments, cache)
    stderr = capfd.readouterr().err
    if share == 0:
        assert code == 2, stderr
    if code != 0:  # what is replaced, and removed at the end, may fit in
        assert code == 2, stderr
        problem, remedy = stderr.splitlines()[-2:]
        assert problem.startswith("error: ")
        assert "is full" in problem or "No space left" in problem
        assert "Free some space" in remedy
        assert "Traceback" not in stderr
    assert not list(disk.rglob("*.tmp"))
    for record in disk.rglob("*.json"):
        if record.name in ("run.json", "train.json", "adapt.json", "result.json"):
            json.loads(record.read_text())
    if out.is_dir():
        hold_folder(out, doing="testing in").release()
    filler.unlink()
    assert call(arguments, cache) == 0, capfd.readouterr().err
    assert WRITERS[name].results(out) == expected.results
