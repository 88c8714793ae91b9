"""The contracts that other programs rely on: what commands print, and with which exit code."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from bah_mllm.predictions import RunStore, read_run

Call = Callable[..., tuple[int, str, str]]

ROW_KEYS = {
    "system", "window_frames", "aggregation", "level", "split", "n", "n_missing", "n_unparsed", "n_failed",
    "prevalence", "positive_rate", "f1", "f1_negative", "macro_f1", "wf1", "accuracy", "ap",
    "ap_bah", "auroc", "brier", "ece", "ci",
}  # fmt: skip
METRICS = {"f1", "f1_negative", "macro_f1", "wf1", "accuracy", "ap", "ap_bah", "auroc", "brier", "ece"}


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['bah-mllm', '--help']\n"
        "from bah_mllm.cli.app import invoke\n"
        "assert invoke(['--help']) == 0\nassert invoke(['run', '--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'av', 'scipy', 'numpy', 'pyarrow', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.splitlines()[-1] == "[]"
    assert "bah-mllm run --prompt transcript_def1 --window 120" in output


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "transcript_def1",
            "Video transcript: I want to, but no. Definition: Ambivalence is the state of having contradictory or "
            "conflicting feelings or attitudes towards something or someone simultaneously. "
            "Classify the emotion in the video as either 'Non-Ambivalent' or 'Ambivalent'. "
            "Respond with only one word:\n",
        ),
        (
            "simple",
            "Classify the emotion in the video as either 'Non-Ambivalent' or 'Ambivalent'. "
            "Respond with only one word:\n",
        ),
    ],
)
def test_prompts_render_prints_exactly_the_text_and_one_newline(bah: Call, name: str, expected: str) -> None:
    code, stdout, _ = bah("prompts", "render", name, "--transcript", "I want to, but no")
    assert (code, stdout) == (0, expected)


def test_prompts_render_without_a_needed_value_names_the_flag(bah: Call) -> None:
    code, stdout, stderr = bah("prompts", "render", "transcript_def1")
    assert (code, stdout) == (2, "")
    assert "--transcript" in stderr


def test_a_dropped_in_prompt_works_and_a_bad_one_names_its_line(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    front = '+++\nversion = 1\nlevel = ["video"]\nneeds = ["transcript"]\nlabels = { "No" = 0, "Yes" = 1 }\n+++\n'
    (folder / "yesno.jinja").write_text(front + "{{ transcript }}\nIs there a 'No' or 'Yes'?\n")
    code, stdout, _ = bah("prompts", "render", "yesno", "--prompts-dir", folder, "--transcript", "words")
    assert (code, stdout) == (0, "words\nIs there a 'No' or 'Yes'?\n")
    out = tmp_path / "run"
    code, _, stderr = bah(
        "run", "--prompts-dir", folder, "--prompt", "yesno", "--level", "video", "--data", pristine_root,
        "--engine", "scripted", "--out", out,
    )  # fmt: skip
    assert code == 0, stderr
    (folder / "bad.jinja").write_text(front + "{{ transcript }}\n{% if %}\n")
    code, stdout, _ = bah("prompts", "check", "bad", "--prompts-dir", folder)
    assert code == 2
    assert "line 8" in stdout
    code, stdout, _ = bah("prompts", "list", "--prompts-dir", folder, "--json", "-")
    listed = {entry["name"]: entry["problem"] for entry in json.loads(stdout)}
    assert listed["yesno"] is None
    assert "line 8" in listed["bad"]


def test_every_shipped_prompt_checks(bah: Call) -> None:
    code, stdout, _ = bah("prompts", "check")
    assert code == 0, stdout
    assert stdout.count(": ok") >= 10


def test_a_new_prompt_is_a_valid_one_and_overwrites_nothing(bah: Call, tmp_path: Path) -> None:
    assert bah("prompts", "new", tmp_path / "mine.jinja")[0] == 0
    assert bah("prompts", "check", tmp_path / "mine.jinja")[0] == 0
    (tmp_path / "mine.jinja").write_text("my work")
    assert bah("prompts", "new", tmp_path / "mine.jinja")[0] == 2
    assert (tmp_path / "mine.jinja").read_text() == "my work"


def test_evaluate_prints_one_json_object_with_the_agreed_keys(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("--data", pristine_root, "--split", "test")
    bah("run", *arguments, "--engine", "scripted", "--model", "video", "--window", 8, "--window", 24, "--out", out)
    code, stdout, _ = bah("evaluate", out, *arguments, "--level", "frame", "--json", "-", "--draws", 50)
    assert code == 0
    result = json.loads(stdout)
    assert [(row["window_frames"], row["n"], row["n_missing"]) for row in result["rows"]] == [(8, 363, 0), (24, 363, 0)]
    for row in (*result["rows"], *result["anchors"]):
        assert set(row) >= ROW_KEYS
        assert set(row["ci"]) == METRICS
    assert [row["system"] for row in result["anchors"]][:2] == ["all-positive", "all-negative"]
    # The run knows its data, split and level itself.
    assert json.loads(bah("evaluate", out, "--json", "-", "--draws", 50)[1])["rows"] == result["rows"]


def test_a_csv_of_another_tool_is_judged_as_scikit_learn_would(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    lines = (pristine_root / "split" / "test.txt").read_text().splitlines()
    truth = {line.split(",")[0]: int(line.split(",")[1]) for line in lines}
    scores = dict(zip(truth, [0.2, 0.9, 0.6, 0.4, 0.5, 0.7], strict=True))
    with (tmp_path / "theirs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "p"])
        writer.writerows(scores.items())
    code, stdout, _ = bah(
        "evaluate",
        tmp_path / "theirs.csv",
        "--data",
        pristine_root,
        "--split",
        "test",
        "--level",
        "video",
        "--json",
        "-",
    )
    assert code == 0
    (row,) = json.loads(stdout)["rows"]
    labels, values = np.array(list(truth.values())), np.array(list(scores.values()))
    assert row["f1"] == pytest.approx(f1_score(labels, values > 0.5), abs=1e-12)
    assert row["wf1"] == pytest.approx(f1_score(labels, values > 0.5, average="weighted"), abs=1e-12)
    assert row["ap"] == pytest.approx(average_precision_score(labels, values), abs=1e-12)


def test_evaluate_prints_a_table_that_a_person_can_read(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    bah("run", "--data", pristine_root, "--engine", "scripted", "--model", "video", "--out", tmp_path / "run")
    code, stdout, _ = bah("evaluate", tmp_path / "run", "--draws", 20)
    assert code == 0
    for words in ("transcript_def1@scripted:video", "all-positive", "question-prior", "AP_bah", "stand-in"):
        assert words in stdout


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("video,p\nx,0.5\n", "video_id"),
        ("video_id,p\nx,high\n", "high"),
        ("video_id,p\nx,1.5\n", "1.5"),
        ("", "theirs.csv"),
    ],
)
def test_a_malformed_csv_is_refused_with_what_is_wrong(
    bah: Call, pristine_root: Path, tmp_path: Path, content: str, problem: str
) -> None:
    (tmp_path / "theirs.csv").write_text(content)
    code, stdout, stderr = bah("evaluate", tmp_path / "theirs.csv", "--data", pristine_root, "--level", "video")
    assert (code, stdout) == (2, "")
    assert problem in stderr
    assert stderr.count("\n") == 2


def test_evaluating_nothing_and_what_does_not_exist_is_refused(bah: Call, tmp_path: Path) -> None:
    assert bah("evaluate")[0] == 2
    assert bah("evaluate", tmp_path / "nowhere")[0] == 2
    (tmp_path / "empty").mkdir()
    code, _, stderr = bah("evaluate", tmp_path / "empty")
    assert code == 2
    assert "not a run folder" in stderr


def test_status_tells_rows_and_time_as_json(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    bah("run", "--data", pristine_root, "--engine", "scripted", "--model", "video", "--out", tmp_path / "run")
    code, stdout, _ = bah("status", tmp_path / "run", "--json", "-")
    state = json.loads(stdout)
    assert (code, state["state"], state["n_rows"], state["n_planned"]) == (0, "complete", {"ok": 7}, 7)
    assert state["counters"]["frames_decoded"] == 363
    assert "engine" in state["seconds"]
    assert bah("status", tmp_path)[0] == 2


def test_status_lists_no_work_where_none_was_counted(bah: Call, tmp_path: Path) -> None:
    for _ in range(2):
        with RunStore(tmp_path / "run", config={}, identity={}) as run:
            run.complete()
    code, stdout, _ = bah("status", tmp_path / "run")
    assert code == 0
    assert "2 start(s)" in stdout
    assert "at least" not in stdout


def test_data_check_names_what_is_broken_and_stats_counts(bah: Call, data_root: Path) -> None:
    code, stdout, _ = bah("data", "check", data_root, "--decode", "--json", "-")
    healthy = json.loads(stdout)
    assert healthy["n_videos"] == 13
    next(data_root.glob("Videos/*/*/*Question_4*.mp4")).write_bytes(b"broken")
    code, stdout, _ = bah("data", "check", data_root, "--decode", "--json", "-")
    broken = json.loads(stdout)
    assert code == 2
    found = {problem["where"] for problem in broken["problems"]} - {problem["where"] for problem in healthy["problems"]}
    assert [where.split("Question_")[1][0] for where in found] == ["4"]
    code, stdout, _ = bah("data", "stats", data_root, "--json", "-")
    assert json.loads(stdout)["splits"]["test"]["videos"] == 6


def test_data_check_names_a_video_that_is_cut_off_and_no_folder(bah: Call, data_root: Path, tmp_path: Path) -> None:
    videos = sorted(data_root.glob("Videos/*/*/*.mp4"))[:2]
    folder = tmp_path / "private" / "videos"
    folder.mkdir(parents=True)
    cut = videos[0].read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "whole.mp4").write_bytes(videos[1].read_bytes())
    start = cut.index(b"mdat") + 4  # the samples; the index of an mp4 may come before or after them
    middle = start + int.from_bytes(cut[start - 8 : start - 4], "big") // 2
    (folder / "damaged.mp4").write_bytes(cut[:middle] + bytes(200) + cut[middle + 200 :])
    code, stdout, _ = bah("data", "check", folder, "--decode", "--json", "-")
    problems = {problem["where"]: problem["what"] for problem in json.loads(stdout)["problems"]}
    assert code == 2
    assert problems.pop("empty.mp4") == "empty.mp4 is empty."
    assert list(problems) == ["damaged.mp4"]
    assert "damaged or cut off" in problems["damaged.mp4"]


def test_doctor_says_what_would_run(bah: Call) -> None:
    code, stdout, _ = bah("doctor", "--json", "-")
    checks = {(check["topic"], check["name"]): check for check in json.loads(stdout)}
    assert code in (0, 1)
    assert checks["versions", "numpy"]["detail"] == np.__version__
    assert checks["files", "supervised"]["state"] == "ok"
    assert all(check["remedy"] for check in checks.values() if check["state"] != "ok")
    code, stdout, _ = bah("doctor")
    assert "what would run" in stdout


def test_doctor_recognises_a_foreign_package_named_supervised(tmp_path: Path) -> None:
    (tmp_path / "supervised").mkdir()
    (tmp_path / "supervised" / "__init__.py").write_text("from supervised.automl import AutoML\n")
    code = "from bah_mllm.cli.app import invoke; import sys; sys.exit(invoke(['doctor', '--json', '-']))"
    finished = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    checks = {(check["topic"], check["name"]): check for check in json.loads(finished.stdout)}
    assert finished.returncode == 1
    assert checks["files", "supervised"]["state"] == "problem"
    assert "mljar" in checks["files", "supervised"]["remedy"]


def test_an_unknown_command_is_two_lines(bah: Call) -> None:
    code, stdout, stderr = bah("evalaute")
    assert (code, stdout) == (2, "")
    assert stderr.splitlines()[0].startswith("error: ")
    assert "evalaute" in stderr


def test_the_python_front_door_gives_the_same_figures(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    import bah_mllm

    bah("run", "--data", pristine_root, "--engine", "scripted", "--model", "video", "--out", tmp_path / "run")
    printed = json.loads(bah("evaluate", tmp_path / "run", "--json", "-", "--draws", 20)[1])["rows"]
    evaluation = bah_mllm.evaluate(tmp_path / "run", n_draws=20)
    assert evaluation.to_json()["rows"] == printed
    assert bah_mllm.open_dataset(pristine_root).splits == ("train", "test")


def test_corrected_scores_stand_beside_the_raw_ones(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    variants = ["--both-orders", "--content-free"]
    bah("run", "--data", pristine_root, "--engine", "scripted", "--level", "video", *variants, "--out", out)
    corrections = ["--calibrate", "both_orders", "--calibrate", "content_free", "--calibrate", "prevalence_match"]
    code, stdout, stderr = bah("evaluate", out, *corrections, "--json", "-", "--draws", 20)
    assert code == 0, stderr
    result = json.loads(stdout)
    raw = "transcript_def1@scripted:text"
    assert {row["system"] for row in result["rows"]} == {
        raw, f"{raw}+both_orders", f"{raw}+content_free", f"{raw}+prevalence_match",
    }  # fmt: skip
    from bah_mllm.predictions import read_run

    p = {(row.variant.value, row.video_id): row.p_positive for row in read_run(out)}
    means = [(p["main", video] + p["swapped", video]) / 2 > 0.5 for variant, video in p if variant == "main"]
    rates = {row["system"]: row["positive_rate"] for row in result["rows"]}
    assert rates[f"{raw}+both_orders"] == pytest.approx(sum(means) / len(means))
    result_of_variants = json.loads(bah("evaluate", out, "--variants", "--json", "-", "--draws", 20)[1])
    swapped = next(row for row in result_of_variants["rows"] if row["system"] == f"{raw} (swapped)")
    assert swapped["positive_rate"] == pytest.approx(
        sum(value > 0.5 for (variant, _), value in p.items() if variant == "swapped") / len(means)
    )
    assert len(result_of_variants["rows"]) == 3
    assert [corrected["name"] for corrected in result["calibrations"]] == [
        "both_orders", "content_free", "prevalence_match",
    ]  # fmt: skip
    assert bah("evaluate", out, "--calibrate", "wishful")[0] == 2


def test_subgroups_too_small_to_judge_are_left_out_with_the_reason(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    bah("run", "--data", pristine_root, "--engine", "scripted", "--level", "video", "--out", tmp_path / "run")
    code, stdout, _ = bah("evaluate", tmp_path / "run", "--subgroups", "--json", "-", "--draws", 20)
    assert code == 0
    groups = json.loads(stdout)["subgroups"]
    assert "sex" in groups["left_out"]  # there is no metadata
    judged = [group for system in groups["rows"] for group in system["groups"]]
    assert {(group["grouping"], group["left_out"]) for group in judged} == {("question", "fewer than 5 participants")}
    assert all(group["n"] is None and group["metrics"] == {} for group in judged)
    code, stdout, _ = bah("evaluate", tmp_path / "run", "--subgroups", "--draws", 20)
    assert code == 0
    assert "question" in stdout


def test_tuning_says_what_it_would_pretend_or_why_it_is_left_out(bah: Call, tmp_path: Path) -> None:
    lines = ["path,participant,label,transcript,split"]
    lines += [f"v{n}.mp4,p{n // 2},{n % 2},words,test" for n in range(20)]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    arguments = ("run", "--data", tmp_path / "own.csv", "--engine", "scripted", "--level", "video")
    assert bah(*arguments, "--out", tmp_path / "run")[0] == 0
    code, stdout, stderr = bah("evaluate", tmp_path / "run", "--tune", "macro_f1", "--json", "-", "--draws", 20)
    assert code == 0, stderr
    (tuned,) = json.loads(stdout)["tuned"]
    assert tuned["n_folds"] == 5
    assert tuned["optimism"] == pytest.approx(tuned["in_sample"] - tuned["nested"]["macro_f1"])
    assert tuned["in_sample"] >= tuned["fixed"]
    assert "optimism" in bah("evaluate", tmp_path / "run", "--tune", "macro_f1", "--draws", 20)[1].lower()
    assert bah("evaluate", tmp_path / "run", "--tune", "luck")[0] == 2


def test_segments_are_judged_with_their_rule_and_in_seconds(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    bah("run", "--data", pristine_root, "--engine", "scripted", "--model", "video", "--window", 8, "--out", out)
    rule = ["--events", "--min-segment", 12, "--close-gap", 8]
    (row,) = json.loads(bah("evaluate", out, *rule, "--json", "-", "--draws", 20)[1])["rows"]
    assert row["event_rule"]["min_frames"] == 12
    assert row["event_rule"]["max_gap_frames"] == 8
    assert row["false_alarms_per_minute"] is not None, "frame rates come from the files"
    assert "segment" in bah("evaluate", out, *rule, "--draws", 20)[1].lower()


def test_reliability_bins_add_up_to_what_was_judged(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    lines = (pristine_root / "split" / "test.txt").read_text().splitlines()
    truth = {line.split(",")[0]: int(line.split(",")[1]) for line in lines}
    (tmp_path / "theirs.csv").write_text("video_id,p\n" + "".join(f"{video},0.9\n" for video in truth))
    arguments = ("--data", pristine_root, "--level", "video", "--json", "-", "--draws", 0)
    (system,) = json.loads(bah("evaluate", tmp_path / "theirs.csv", *arguments)[1])["reliability"]
    filled = [one for one in system["bins"] if one["n"]]
    assert [(one["n"], one["mean_score"], one["positive_share"]) for one in filled] == [
        (len(truth), pytest.approx(0.9), pytest.approx(sum(truth.values()) / len(truth)))
    ]


def test_unanswered_items_count_as_wrong_where_asked(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "theirs.csv"
    out = tmp_path / "run"
    bah("run", "--data", pristine_root, "--split", "test", "--engine", "scripted", "--level", "video", "--out", out)
    rows = read_run(out)
    file.write_text("video_id,p\n" + "".join(f"{row.video_id},0.7\n" for row in rows[1:]))
    arguments = ("evaluate", file, "--data", pristine_root, "--level", "video", "--draws", 0, "--json", "-")
    (left_out,) = json.loads(bah(*arguments)[1])["rows"]
    result = json.loads(bah(*arguments, "--unanswered", "wrong")[1])
    (wrong,) = result["rows"]
    assert (left_out["unanswered"], left_out["n"], left_out["n_filled"]) == ("leave-out", len(rows) - 1, 0)
    assert (result["unanswered"], wrong["n"], wrong["n_filled"], wrong["n_missing"]) == ("wrong", len(rows), 1, 1)
    assert wrong["accuracy"] == pytest.approx(left_out["accuracy"] * (len(rows) - 1) / len(rows))
