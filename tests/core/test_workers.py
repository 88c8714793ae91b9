"""Worker processes leave signals to the process that started them, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.core.errors import RunError
from bah_mllm.core.workers import worker_processes

pytestmark = pytest.mark.usefixtures("interruptible")

PARENT = """
import os, sys, time
from pathlib import Path
from bah_mllm.core.workers import worker_processes

def work(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    from bah_mllm.cli.interruption import catch_signals, tell_interrupted
    catch_signals()
    try:
        with worker_processes(2) as pool:
            for future in [pool.submit(work, sys.argv[1]) for _ in range(6)]:
                future.result()
    except KeyboardInterrupt:
        sys.exit(tell_interrupted())
"""


def wait_for(condition: Callable[[], bool], *, at_most_s: float = 60.0) -> bool:
    deadline = time.monotonic() + at_most_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def is_alive(pid: int) -> bool:
    try:  # a process that ended and is waited for by nobody still has a number
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "is_for_all", "code"),
    [
        (signal.SIGINT, True, 130),
        (signal.SIGTERM, True, 143),
        (signal.SIGTERM, False, 143),
        (signal.SIGHUP, True, 129),
        (signal.SIGKILL, False, -9),
    ],
)
def test_workers_end_at_once_with_the_process_that_started_them(
    number: signal.Signals, is_for_all: bool, code: int, tmp_path: Path
) -> None:
    script, folder = tmp_path / "parent.py", tmp_path / "workers"
    script.write_text(PARENT)
    folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(script), str(folder)], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    assert wait_for(lambda: len(list(folder.iterdir())) == 2)
    workers = [int(path.name) for path in folder.iterdir()]
    if is_for_all:
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, stderr = parent.communicate(timeout=60)
    assert parent.returncode == code
    assert "Traceback" not in stderr
    assert wait_for(lambda: not any(is_alive(pid) for pid in workers))
    assert len(list(folder.iterdir())) == 2, "nothing new was begun"


def test_a_worker_that_was_killed_is_told() -> None:
    with pytest.raises(RunError, match="A worker process was killed") as caught, worker_processes(1) as pool:
        pool.submit(os._exit, 9).result()
    assert caught.value.remedy == "Use fewer --workers; the same command goes on."


def test_an_error_of_a_worker_is_raised_as_it_is() -> None:
    with pytest.raises(FileNotFoundError, match="missing"), worker_processes(1) as pool:
        pool.submit(os.stat, "/missing").result()
