"""A run that is started again, or shared by processes: the answers are the same, or it says why it cannot go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

import bah_mllm
from bah_mllm.core.errors import RunError
from bah_mllm.predictions import read_run
from supervised.features.store import FeatureStore


def probabilities(out: Path) -> dict[tuple[str, str, int], float]:
    return {(row.system, row.video_id, row.start_frame): row.p_positive for row in read_run(out)}


def test_targets_that_are_done_are_not_done_again_and_the_others_are(run, tmp_path):
    run("mmd", tmp_path / "run")
    whole = probabilities(tmp_path / "run")
    done, undone = (tmp_path / "run/targets" / name / "result.json" for name in ("90006", "90007"))
    before = done.stat().st_mtime_ns
    undone.unlink()
    run("mmd", tmp_path / "run", workers=1)
    assert done.stat().st_mtime_ns == before
    assert undone.exists()
    assert probabilities(tmp_path / "run") == whole


_KILLED = """
import os, signal, sys
from pathlib import Path
from supervised.training.checkpoints import Checkpoints
saved = Checkpoints.save
count = 0
def save(*arguments):
    global count
    saved(*arguments)
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoints.save = save
from supervised.adaptation.request import AdaptRequest
from supervised.flows.adapt import adapt
adapt(AdaptRequest.model_validate_json(Path(sys.argv[1]).read_text()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("method", "n_epochs"), [("nrc", 3), ("sub_based", 8)])
def test_a_killed_run_goes_on_to_the_same_answers(method, n_epochs, run, tmp_path, features, source):
    run(method, tmp_path / "whole")
    config = json.loads((tmp_path / "whole/run.json").read_text())["config"]
    config = {key: value for key, value in config.items() if key != "level"} | {"out": str(tmp_path / "killed")}
    (tmp_path / "request.json").write_text(json.dumps(config))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(bah_mllm.__file__).parents[1])}
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "request.json"), str(n_epochs)]
    killed = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    run(method, tmp_path / "killed")
    assert probabilities(tmp_path / "killed") == probabilities(tmp_path / "whole")


@pytest.mark.slow
def test_workers_end_with_a_killed_run(tmp_path, features, source):
    import time

    import psutil

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bah_mllm", "adapt", "--recipe", "nrc", "--set", "loop.epochs=100000"]
    command += ["--workers", "2", "--out", tmp_path / "run", "--features", features, "--source", source]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        workers: list[psutil.Process] = []
        started = time.monotonic()
        while len(list((tmp_path / "run").glob("targets/*/checkpoint.pt"))) < 2:
            assert time.monotonic() - started < 300
            time.sleep(0.1)
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2
    assert not alive


def test_another_recipe_in_the_same_folder_is_refused(run, tmp_path):
    run("shot", tmp_path / "run")
    with pytest.raises(RunError, match="recipe"):
        run("shot", tmp_path / "run", "options.beta=0.1")


@pytest.mark.parametrize("has_source", [True, False])
@pytest.mark.parametrize("whose", ["train", "test"])
def test_a_folder_is_not_gone_on_with_where_features_have_changed(has_source, whose, run, tmp_path, demo, features):
    copytree(features, tmp_path / "features")
    settings = {"features": tmp_path / "features", "targets": ("90007",)} | ({} if has_source else {"source": None})
    run("mmd", tmp_path / "run", "source_training.loop.epochs=1", **settings)
    store = FeatureStore(tmp_path / "features")
    changed = next(video for video in demo.videos(whose) if whose == "train" or video.participant_id == "90007")
    stored = store.read("made-up", changed.video_id)
    flipped = store.read("made-up", changed.video_id, flipped=True).values
    store.add("made-up", changed.video_id, stored.values + 1, fps=24.0, flipped=flipped)
    with pytest.raises(RunError, match="features_held"):
        run("mmd", tmp_path / "run", "source_training.loop.epochs=1", **settings)


def test_a_damaged_checkpoint_is_told_and_no_outcome_of_the_method(run, tmp_path):
    folder = tmp_path / "run/targets/90007"
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(RunError, match="checkpoint"):
        run("shot", tmp_path / "run", targets=("90007",))
    assert not (folder / "result.json").exists()


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(run, tmp_path):
    for workers in (1, 2):
        run("nrc", tmp_path / f"run{workers}", workers=workers)
    assert probabilities(tmp_path / "run1") == probabilities(tmp_path / "run2")
