"""Settings of a run: where they come from, and what is said about wrong ones before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bah_mllm.predictions import read_run
from tests.pipeline.conftest import Call, run_arguments


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--window", "0"], "'0'"),
        (["--window", "fast"], "'fast'"),
        (["--window", "8", "--window", "8"], "twice"),
        (["--window", "8", "--window", "1s"], "8, 1s"),
        (["--prompt", "transcript_deff1"], "transcript_deff1"),
        (["--engine", "vide-llava"], "vide-llava"),
        (["--split", "tset"], "tset"),
        (["--level", "clip"], "clip"),
        (["--sampler", "random"], "random"),
        (["--batch", "0"], "batch"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--data", "nowhere"], "nowhere"),
        (["--no-such-flag"], "no-such-flag"),
        (["--limit", "many"], "many"),
    ],
)
def test_what_a_user_gets_wrong_is_two_lines_with_the_value_and_a_remedy(
    bah: Call, pristine_root: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    code, stdout, stderr = bah(*run_arguments(pristine_root, tmp_path / "run"), *arguments)
    assert code == 2
    assert stdout == ""
    last = stderr.strip().splitlines()[-2:]
    assert last[0].startswith("error: ")
    assert problem in last[0]
    assert last[1].startswith("  try: ")
    assert not (tmp_path / "run" / "predictions.jsonl").exists()


def test_a_prompt_that_shows_only_the_video_is_refused_to_an_engine_without_eyes(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    code, _, stderr = bah(*run_arguments(pristine_root, tmp_path / "run", "--prompt", "simple", model="text"))
    assert code == 2
    assert "shows nothing but the video" in stderr


def test_settings_come_from_flags_over_file_over_project_file(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    (tmp_path / "bah-mllm.toml").write_text(
        f'data = "{pristine_root}"\n[run]\nengine = "scripted"\nwindows = [24]\nlimit = 1\n'
    )
    (tmp_path / "mine.toml").write_text('windows = ["8", "12"]\nout = "from-file"\n')
    code, _, stderr = bah("run", "--config", "mine.toml", "--window", 16)
    assert code == 0, stderr
    assert {row.window_frames for row in read_run(tmp_path / "from-file")} == {16}
    # The manifest can be fed back, and finds the same run complete.
    code, _, stderr = bah("run", "--config", "from-file/run.json")
    assert "already complete" in stderr
    (tmp_path / "mine.toml").write_text("widnows = [8]\n")
    code, _, stderr = bah("run", "--config", "mine.toml")
    assert code == 2
    assert "widnows in mine.toml" in stderr


def test_a_dry_run_counts_what_the_run_then_does_and_writes_nothing(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    arguments = run_arguments(
        pristine_root, tmp_path / "run", "--window", 8, "--window", 120, "--prompt", "transcript_def1"
    )
    code, stdout, _ = bah(*arguments, "--dry-run")
    assert code == 0
    assert not (tmp_path / "run").exists()
    bah(*arguments)
    rows = read_run(tmp_path / "run")
    n_spans = len({(row.video_id, row.start_frame, row.stop_frame) for row in rows})
    assert f"rows       {len(rows)}" in stdout
    assert f"passes     {n_spans} windows" in stdout
    assert "Video transcript: I wake up and I make tea.. Definition: Ambivalence is" in stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--out", "/proc/run"],
        ["run", "--out", "file"],
        ["run", "--config", "."],
        ["run", "--data", ""],
        ["evaluate", "done", "--json", "nowhere/x.json"],
        ["evaluate", "done", "--json", "."],
        ["data", "stats", "--json", "nowhere/x.json"],
        ["evaluate", "missing"],
    ],
    ids=" ".join,
)
def test_paths_that_cannot_be_read_or_written_are_two_lines(
    bah: Call, pristine_root: Path, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    bah(*run_arguments(pristine_root, tmp_path / "done"))
    code, stdout, stderr = bah(*arguments, *(["--engine", "scripted"] if arguments[0] == "run" else []))
    assert (code, stdout) == (2, "")
    last = stderr.strip().splitlines()[-2:]
    assert last[0].startswith("error: ")
    assert last[1].startswith("  try: ")
    assert "Traceback" not in stderr
