"""A run that is stopped, refused or started again: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.inspection.status import run_status
from bah_mllm.pipeline.config import RunConfig
from bah_mllm.pipeline.setup import prepare
from bah_mllm.predictions import read_journal, read_manifest, read_run
from tests.pipeline.conftest import N_FRAMES, Call, question_of, results, run_arguments, script


def test_a_second_start_does_nothing_and_a_longer_one_only_the_rest(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    bah(*run_arguments(pristine_root, out, "--window", 24, "--limit", 2))
    before = (out / "predictions.jsonl").read_bytes()
    decoded = read_manifest(out).counters["frames_decoded"]
    assert decoded == 180
    code, _, stderr = bah(*run_arguments(pristine_root, out, "--window", 24, "--limit", 2))
    assert code == 0
    assert "already complete" in stderr
    assert (out / "predictions.jsonl").read_bytes() == before
    bah(*run_arguments(pristine_root, out, "--window", 24))
    assert (out / "predictions.jsonl").read_bytes().startswith(before)
    assert read_manifest(out).counters["frames_decoded"] == sum(N_FRAMES.values())
    whole = tmp_path / "whole"
    bah(*run_arguments(pristine_root, whole, "--window", 24, "--batch", 3))
    assert results(read_run(out)) == results(read_run(whole))


def test_interrupting_loses_the_batch_in_flight_and_no_more(
    pristine_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bah: Call
) -> None:
    from bah_mllm.engines.scripted import ScriptedEngine

    asked: list[int] = []
    original = ScriptedEngine.score

    def score(self: ScriptedEngine, jobs: object) -> object:
        asked.append(len(jobs))  # type: ignore[arg-type]
        if len(asked) == 5:
            raise KeyboardInterrupt
        return original(self, jobs)  # type: ignore[arg-type]

    monkeypatch.setattr(ScriptedEngine, "score", score)
    arguments = run_arguments(pristine_root, tmp_path / "run", "--window", 8, "--batch", 3)
    code, _, stderr = bah(*arguments)
    assert code == 130
    assert "saved" in stderr
    assert len(read_run(tmp_path / "run")) == 12
    bah(*arguments)
    n_windows = sum(-(-n // 8) for n in N_FRAMES.values())
    assert sum(asked) == n_windows + 3
    assert len(read_run(tmp_path / "run")) == n_windows


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [3, 20])
def test_killed_at_random_moments_a_run_ends_with_exactly_the_rows_of_an_uninterrupted_one(
    bah: Call, pristine_root: Path, tmp_path: Path, n_kills: int
) -> None:
    model = script(tmp_path, seconds_per_job=0.05)
    arguments = ["--prompt", "simple", "--prompt", "transcript_def1", "--window", 4, "--window", 24]
    bah(*run_arguments(pristine_root, tmp_path / "whole", *arguments, model=model))
    whole = read_run(tmp_path / "whole")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "bah_mllm", *map(str, run_arguments(pristine_root, out, *arguments, model=model))]
    draw = random.Random(n_kills)
    journal = out / "predictions.jsonl"
    for _ in range(n_kills):
        n_before = len(journal.read_bytes()) if journal.exists() else 0
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and len(journal.read_bytes()) != n_before:
                break
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    n_before = len(read_journal(journal))
    assert 0 < n_before < len(whole), "the kills must fall into the work"
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert results(read_run(out)) == results(whole)
    lines = journal.read_bytes().splitlines()
    assert len(lines) == len(whole), "no row is written twice: a batch is written whole or torn, and torn lines are cut"
    assert read_manifest(out).n_starts == n_kills + 1
    assert (out / "predictions.parquet").exists()


def test_the_same_command_finds_the_folder_that_the_release_before_gave_it() -> None:
    """The digest was printed by 0.1.0: a setting that decides nothing must not change where a run lies."""
    assert prepare(RunConfig(engine="video-llava")).folder.name == "demo-test-frame-video-llava-6faf8f748d"


def test_a_refused_start_leaves_no_folder_that_blocks_the_corrected_command(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    arguments = [
        "run",
        "--data",
        pristine_root,
        "--engine",
        "scripted",
        "--prompt",
        "simple",
        "--out",
        tmp_path / "run",
    ]
    assert bah(*arguments)[0] == 2
    assert not (tmp_path / "run").exists()
    assert bah(*arguments, "--dry-run")[0] == 2, "a dry run refuses what the run refuses"
    assert bah(*arguments, "--model", "video")[0] == 0


def test_an_interrupted_run_is_told_from_one_at_work(
    bah: Call, pristine_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bah_mllm.engines.scripted import ScriptedEngine

    out = tmp_path / "run"
    states: list[str] = []

    def score(self: ScriptedEngine, jobs: object) -> object:
        states.append(run_status(out)["state"])
        raise KeyboardInterrupt

    monkeypatch.setattr(ScriptedEngine, "score", score)
    bah(*run_arguments(pristine_root, out))
    assert states == ["running"]
    assert run_status(out)["state"] == "interrupted"


def test_a_restored_video_of_another_frame_rate_leaves_no_failure_behind(
    bah: Call, data_root: Path, tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    path = next(data_root.glob("Videos/*/*/*Question_1*.mp4"))
    path.unlink()
    arguments = run_arguments(data_root, tmp_path / "run", "--prompt", "simple", "--window", "1s")
    assert bah(*arguments)[0] == 3
    write_grey_video(path, 60, fps=30)
    assert bah(*arguments)[0] == 0
    rows = [row for row in read_run(tmp_path / "run") if question_of(row) == 1]
    assert [(row.start_frame, row.stop_frame, row.status.value) for row in rows] == [(0, 30, "ok"), (30, 60, "ok")]


def test_a_run_that_another_model_began_is_refused_and_kept(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    arguments = run_arguments(pristine_root, tmp_path / "run", "--prompt", "simple", "--window", 24)
    assert bah(*arguments, "--limit", 1)[0] == 0
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    manifest["engine"]["checkpoint"] = "another"
    (tmp_path / "run" / "run.json").write_text(json.dumps(manifest))
    before = (tmp_path / "run" / "predictions.jsonl").read_bytes()
    code, _, stderr = bah(*arguments)
    assert code == 2
    assert "was made with checkpoint = 'another', but now checkpoint = 'video'" in stderr
    assert "load the same model" in stderr
    assert (tmp_path / "run" / "predictions.jsonl").read_bytes() == before
