"""Ctrl-C, SIGTERM and SIGHUP end a command in order, at any moment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bah_mllm.predictions import read_journal, read_manifest

pytestmark = pytest.mark.usefixtures("interruptible")

# Sends a signal to itself when a module is looked for, or when the commands are built.
WHILE_IMPORTING = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "bah_mllm.cli.options":
            os.kill(os.getpid(), signal.{signal})
sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["--help"]
from bah_mllm.cli import main
main()
"""
WHILE_BUILDING = """
import os, signal, sys
import typer
typer.main.get_command = lambda app: os.kill(os.getpid(), signal.{signal})
sys.argv[1:] = ["--help"]
from bah_mllm.cli import main
main()
"""
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.mark.parametrize("moment", [WHILE_IMPORTING, WHILE_BUILDING], ids=["importing", "building"])
@pytest.mark.parametrize("name", list(CODES))
def test_a_command_that_is_still_being_made_ends_without_a_traceback(moment: str, name: str) -> None:
    code = moment.format(signal=name)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    by = "" if name == "SIGINT" else f" by {name}"
    assert ended.stderr == f"interrupted{by}: what is done is saved; the same command goes on from there.\n"
    assert (ended.returncode, ended.stdout) == (CODES[name], "")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CODES))
def test_a_run_saves_what_is_done_and_goes_on(name: str, pristine_root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"sees_video": True, "seconds_per_job": 0.1}))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "bah_mllm", "run", "--data", str(pristine_root), "--split", "test"]
    command += ["--engine", "scripted", "--model", str(script), "--prompt", "simple", "--window", "4", "--batch", "1"]
    command += ["--out", str(out)]
    journal = out / "predictions.jsonl"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == CODES[name], stderr
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("interrupted")
    n_rows = len(read_journal(journal))
    manifest = read_manifest(out)
    assert manifest.state == "running"
    assert manifest.counters["rows_planned"] > n_rows > 2
    assert manifest.seconds["engine"] > 0.2, "saved at the end, not only now and then"
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"({n_rows:,} from before)" in ended.stderr


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from bah_mllm.cli import interruption;"
        "interruption.catch_signals(); os.kill(os.getpid(), signal.SIGHUP); print('on')"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "on\n"
