"""Folders are their owner's, and what killed processes left in them goes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bah_mllm.core.files import hold_folder, make_folder, remove_leftovers
from bah_mllm.predictions import read_manifest

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def beginning(path: Path, *, age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_beginnings_of_files_go_where_their_process_is_dead_and_stay_where_it_lives(
    tmp_path: Path, dead_pid: int
) -> None:
    day_s = 24 * 3600
    stale = [
        beginning(tmp_path / f".run.json.{dead_pid}.tmp"),
        beginning(tmp_path / "deep" / "er" / f".a.b.json.{dead_pid}.tmp"),
        beginning(tmp_path / f".elsewhere.json.{os.getpid()}@0123abcd.tmp", age_s=2 * day_s),
    ]
    kept = [
        beginning(tmp_path / f".run.json.{os.getpid()}.tmp", age_s=2 * day_s),
        beginning(tmp_path / ".run.json.1.tmp"),  # the first process of a machine lives, and may be somebody else's
        beginning(tmp_path / f".elsewhere.json.{dead_pid}@0123abcd.tmp", age_s=day_s / 2),
        beginning(tmp_path / "mine.tmp"),
        beginning(tmp_path / ".mine.tmp"),
        beginning(tmp_path / f".run.json.{dead_pid}"),
    ]
    hold_folder(tmp_path, doing="testing in").release()
    assert [path.exists() for path in stale] == [False] * len(stale)
    assert [path.exists() for path in kept] == [True] * len(kept)


def test_only_files_of_the_names_asked_for_go(tmp_path: Path, dead_pid: int) -> None:
    words = beginning(tmp_path / f".a.words.json.{dead_pid}.tmp")
    other = beginning(tmp_path / f".a.json.{dead_pid}.tmp")
    remove_leftovers(tmp_path, "*.words.json.*")
    assert (words.exists(), other.exists()) == (False, True)
    remove_leftovers(tmp_path / "missing")


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o700), (0o000, 0o700), (0o277, 0o500)])
def test_a_folder_is_its_owners_alone(
    mask: int, expected: int, umask: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAH_SHARE", raising=False)
    umask(mask)
    make_folder(tmp_path / "run")
    umask(0o022)
    assert mode(tmp_path / "run") == expected


def test_a_shared_folder_is_as_the_umask_says_and_one_that_is_there_stays(
    umask: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umask(0o027)
    monkeypatch.setenv("BAH_SHARE", "1")
    make_folder(tmp_path / "a" / "run")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "run")) == (0o750, 0o750)
    monkeypatch.delenv("BAH_SHARE")
    make_folder(tmp_path / "a" / "run")
    assert mode(tmp_path / "a" / "run") == 0o750


@pytest.mark.parametrize("is_shared", [False, True])
def test_run_json_keeps_whether_a_run_is_shared(
    is_shared: bool,
    umask: Callable[[int], int],
    bah: Call,
    pristine_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    umask(0o022)
    monkeypatch.setenv("BAH_SHARE", "")  # so that what --share sets is taken back
    arguments = ("run", "--data", pristine_root, "--engine", "scripted", "--model", "video", "--prompt", "simple")
    code, _, stderr = bah(*(["--share"] if is_shared else []), *arguments, "--out", tmp_path / "runs" / "a")
    assert code == 0, stderr
    assert mode(tmp_path / "runs" / "a") == (0o755 if is_shared else 0o700)
    assert mode(tmp_path / "runs") == 0o755
    assert read_manifest(tmp_path / "runs" / "a").is_shared is is_shared
