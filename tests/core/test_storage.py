"""What the user is told where the operating system refuses to write; what it leaves on the disk."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.core.files import write_atomically
from bah_mllm.core.json_output import write_json
from bah_mllm.core.saying import say
from bah_mllm.core.storage import naming, storage_error
from bah_mllm.predictions import RunStore, read_manifest

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are taken, and the disk has no room for them: as where blocks are given out late."""

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", refuse)


@pytest.mark.parametrize(
    ("number", "problem", "remedy"),
    [
        (errno.ENOSPC, "The disk with runs/a is full: run.json could not be written.", "Free some space there, then"),
        (errno.EDQUOT, "Your quota on the disk with runs/a is used up", "ask for a larger quota"),
        (errno.EFBIG, "run.json in runs/a has reached the largest size", "ulimit -f"),
        (errno.EROFS, "The disk with runs/a is read-only", "Write elsewhere"),
        (errno.EACCES, "run.json in runs/a may not be read or written: permission denied.", "Check who owns it"),
        (errno.EPERM, "run.json in runs/a may not be read or written: permission denied.", "Check who owns it"),
        (errno.EIO, "The disk with runs/a fails: run.json", "Check the disk"),
        (errno.ESTALE, "The disk with runs/a fails: run.json", "Check the disk"),
    ],
)
def test_every_refusal_of_a_disk_has_words_and_a_remedy(number: int, problem: str, remedy: str) -> None:
    told = storage_error(OSError(number, "as the system has it", "runs/a/run.json"))
    assert told is not None
    assert told.problem.startswith(problem)
    assert told.problem.endswith("What is done is saved.")
    assert remedy in told.remedy
    assert told.remedy.endswith("then run the same command again: it goes on.")


def test_a_full_disk_is_told_also_where_the_system_names_no_file() -> None:
    told = storage_error(OSError(errno.ENOSPC, "No space left on device"))
    assert told is not None
    assert "is full" in told.problem


def test_what_no_disk_has_to_do_with_stays_a_bug() -> None:
    assert storage_error(OSError("what a library says")) is None
    assert storage_error(ConnectionResetError(errno.ECONNRESET, "reset")) is None


def test_another_error_about_a_file_keeps_its_words() -> None:
    told = storage_error(FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"))
    assert told is not None
    assert told.problem == "a/b: No such file or directory."


def test_the_name_of_a_file_survives_the_way_out_of_a_worker() -> None:
    with pytest.raises(OSError, match="No space") as caught, naming(Path("runs/a/b.json")):
        raise OSError(errno.ENOSPC, "No space left on device")
    told = storage_error(pickle.loads(pickle.dumps(caught.value)))
    assert told is not None
    assert told.problem.startswith("The disk with runs/a is full: b.json could not be written.")


@pytest.mark.usefixtures("full_disk")
def test_a_file_that_cannot_be_replaced_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match=r"a\.json"):
        write_atomically(path, b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.json", b"old")]


def test_json_is_replaced_whole_and_a_device_is_written_to(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real.json")
    write_json([1], str(link))
    assert link.is_symlink()
    assert (tmp_path / "real.json").read_text() == "[\n  1\n]\n"
    write_json([1], os.devnull)
    assert not Path(os.devnull).is_file()


def test_an_error_inside_a_run_is_not_hidden_by_a_manifest_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail() -> None:
        with RunStore(tmp_path / "run", config={}, identity={}):
            monkeypatch.setattr("bah_mllm.predictions.store.write_manifest", refuse)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    monkeypatch.undo()
    assert read_manifest(tmp_path / "run").state == "running"
    with RunStore(tmp_path / "run", config={}, identity={}):
        pass  # the folder is free again


def test_nothing_is_lost_where_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            pass

    monkeypatch.setattr("sys.stderr", Full())
    say("7 of 9 videos")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_results_that_do_not_fit_on_the_disk_are_an_error_of_two_lines() -> None:
    import subprocess
    import sys

    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "bah_mllm", "models", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "error: The disk with this output is full: what a command prints could not be written. What is done is saved.",
        "  try: Free some space there, then run the same command again: it goes on.",
    ]
