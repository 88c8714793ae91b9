"""What differs between two runs is named; predictions of other tools become runs."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.predictions import read_manifest, read_run

Call = Callable[..., tuple[int, str, str]]


def run(bah: Call, root: Path, out: Path, *more: object) -> None:
    code, _, stderr = bah("run", "--data", root, "--engine", "scripted", "--model", "video", "--out", out, *more)
    assert code == 0, stderr


def test_diff_names_the_first_setting_that_differs_and_counts_the_rows(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    run(bah, pristine_root, tmp_path / "a", "--window", 24)
    run(bah, pristine_root, tmp_path / "b", "--window", 24, "--seed", 5)
    found = json.loads(bah("diff", tmp_path / "a", tmp_path / "b", "--json", "-")[1])
    assert found["first_difference"] == {"field": "identity.seed", "a": 0, "b": 5}
    a = {(row.video_id, row.start_frame): row.p_positive for row in read_run(tmp_path / "a")}
    b = {(row.video_id, row.start_frame): row.p_positive for row in read_run(tmp_path / "b")}
    assert (found["n_common"], found["n_only_a"], found["n_only_b"]) == (len(a), 0, 0)
    assert found["n_label_flips"] == sum((a[key] > 0.5) != (b[key] > 0.5) for key in a)
    assert found["n_p_changed"] == len(a)
    code, stdout, _ = bah("diff", tmp_path / "a", tmp_path / "b")
    assert code == 0
    assert "identity.seed: 0 -> 5" in stdout


def test_a_run_does_not_differ_from_itself(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    run(bah, pristine_root, tmp_path / "a")
    run(bah, pristine_root, tmp_path / "b", "--batch", 2)
    found = json.loads(bah("diff", tmp_path / "a", tmp_path / "b", "--json", "-")[1])
    assert [field["field"] for field in found["fields"]] == ["config.batch"]
    assert (found["n_p_changed"], found["n_label_flips"], found["videos"]) == (0, 0, [])


def test_an_imported_file_is_a_run_that_evaluate_judges_the_same(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    stems = [Path(line.split(",")[0]).stem for line in (pristine_root / "split" / "test.txt").read_text().splitlines()]
    with (tmp_path / "theirs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "p"])
        writer.writerows([stem, n / 10] for n, stem in enumerate(stems))
    out = tmp_path / "run"
    code, stdout, stderr = bah("import", tmp_path / "theirs.csv", "--data", pristine_root, "--out", out)
    assert (code, stdout) == (0, f"{out}\n"), stderr
    rows = read_run(out)
    assert {row.participant_id for row in rows} == {"90101", "90102", "90103"}
    assert {row.system for row in rows} == {"theirs"}
    assert read_manifest(out).state == "complete"
    arguments = ("--data", pristine_root, "--level", "video", "--json", "-", "--draws", 20)
    as_run = json.loads(bah("evaluate", out, *arguments)[1])["rows"]
    as_file = json.loads(bah("evaluate", tmp_path / "theirs.csv", *arguments)[1])["rows"]
    assert as_run == as_file
    assert as_run[0]["n"] == 6


def test_two_runs_of_one_system_are_judged_side_by_side(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    run(bah, pristine_root, tmp_path / "a")
    run(bah, pristine_root, tmp_path / "b", "--seed", 1)
    result = json.loads(bah("evaluate", tmp_path / "a", tmp_path / "b", "--json", "-", "--draws", 20)[1])
    name = "transcript_def1@scripted:video"
    assert [row["system"] for row in result["rows"]] == [name, f"{name} [b]"]
    assert [row["n"] for row in result["rows"]] == [363, 363]


def test_compare_pairs_every_system_and_names_the_videos_that_changed(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    run(bah, pristine_root, tmp_path / "a", "--level", "video")
    run(bah, pristine_root, tmp_path / "b", "--level", "video", "--seed", 1)
    code, stdout, stderr = bah("compare", tmp_path / "a", tmp_path / "b", "--json", "-", "--draws", 50)
    assert code == 0, stderr
    (pair,) = json.loads(stdout)["pairs"]
    judged = [json.loads(bah("evaluate", tmp_path / name, "--json", "-", "--draws", 0)[1])["rows"][0] for name in "ab"]
    assert pair["differences"]["f1"]["value"] == judged[0]["f1"] - judged[1]["f1"]
    assert pair["changed"], "other seeds, other scores"
    code, stdout, _ = bah("compare", tmp_path / "a", tmp_path / "b", "--draws", 50)
    assert code == 0
    assert "macro_f1" in stdout


def test_runs_that_differ_in_their_seed_are_pooled(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    for seed in range(3):
        run(bah, pristine_root, tmp_path / f"s{seed}", "--level", "video", "--seed", seed)
    runs = [tmp_path / f"s{seed}" for seed in range(3)]
    result = json.loads(bah("evaluate", *runs, "--pool-seeds", "--json", "-", "--draws", 20)[1])
    (pooled,) = result["pooled"]
    f1s = [row["f1"] for row in result["rows"]]
    assert len(f1s) == 3
    assert pooled["metrics"]["f1"] == pytest.approx(statistics.mean(f1s))
    assert pooled["seed_sd"]["f1"] == pytest.approx(statistics.stdev(f1s))
    assert "pooled over 3 seeds" in bah("evaluate", *runs, "--pool-seeds", "--draws", 20)[1]
    assert bah("evaluate", runs[0], "--pool-seeds")[0] == 2


def test_a_pooled_metric_of_zero_is_shown_and_not_left_out(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    script = tmp_path / "never.json"
    script.write_text(json.dumps({"rules": [{"p_positive": 0.1}]}))
    runs = [tmp_path / name for name in "ab"]
    for seed, out in enumerate(runs):
        arguments = ["--level", "video", "--seed", seed, "--model", script, "--out", out]
        assert bah("run", "--data", pristine_root, "--engine", "scripted", *arguments)[0] == 0
    assert "f1 0.000 (sd 0.000)" in bah("evaluate", *runs, "--pool-seeds", "--draws", 20)[1]
