"""Cues found are judged against true events and against what annotators named in segments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation, read_cues, write_cues
from bah_mllm.dataset import demo_root, open_dataset

Call = Callable[..., tuple[int, str, str]]


def test_scores_against_the_truth_have_the_agreed_form(bah: Call, tmp_path: Path) -> None:
    out = demo_root() / "cues"
    known = next(path for path in sorted(out.rglob("*.cues.jsonl")))
    events = [json.loads(line) for line in known.read_text().splitlines()]
    video_id = known.relative_to(out).as_posix().removesuffix(".cues.jsonl")
    truth = tmp_path / "truth.jsonl"
    truth.write_text("".join(json.dumps({"video_id": video_id, **event}) + "\n" for event in events))
    scores = json.loads(bah("cues", "score", out, "--truth", truth, "--json", "-")[1])
    assert scores
    assert all(score["recall"] == score["precision"] == 1.0 for score in scores.values())
    assert bah("cues", "score")[0] == 2
    truth.write_text("{}\n")
    assert bah("cues", "score", out, "--truth", truth)[0] == 2


def test_cues_named_by_annotators_are_compared_by_segment(bah: Call, data_root: Path, tmp_path: Path) -> None:
    path = data_root / "video_annotation_transcript.yaml"
    annotations = yaml.safe_load(path.read_text())
    sheets = {"audio": ["Pause", "whistles"], "body": None, "facial": ["Smile"], "language": None}
    for name, entry in annotations.items():
        if entry["fr_detailed_ah"]:
            entry["all_cues"] = [None] if "Question_5" in name else [sheets]
    path.write_text(yaml.safe_dump(annotations))
    cues = tmp_path / "cues"
    # Segments: frames 30 to 79 and 0 to 23 at 24 a second, so 1.25 to 3.33 s and 0 to 1 s.
    for question, start_s in ((4, 1.0), (4, 3.4), (7, 1.5), (5, 0.0)):
        video = next(v for v in open_dataset(data_root).videos("test") if f"Question_{question}" in v.video_id)
        about = Observation(video_id=video.video_id, participant_id=video.participant_id, duration_s=6.0)
        known = read_cues(cues, video.video_id)
        event = CueEvent("face.smile", start_s, start_s + 0.5, 2, 3.0, None, "z", 1.0, "facemesh")
        write_cues(cues, about, [*(known[1] if known else ()), event])
    code, stdout, stderr = bah("cues", "score", cues, "--data", data_root, "--json", "-")
    assert code == 0, stderr
    scores = json.loads(stdout)
    smile, pause = scores["codes"]["face.smile"], scores["codes"]["audio.pause"]
    assert (smile["n_named"], smile["n_found"], smile["n_both"], smile["recall"]) == (2, 1, 1, 0.5)
    assert (pause["n_named"], pause["n_found"], pause["precision"]) == (2, 0, None)
    assert scores["modalities"]["face"]["n_both"] == 1
    assert (scores["n_segments"], scores["n_segments_without_cues"], scores["n_videos"]) == (2, 1, 3)
    assert scores["n_unknown_entries"] == {"audio": 2}
    code, stdout, _ = bah("cues", "score", cues, "--data", data_root)
    assert code == 0
    assert "2 under audio" in stdout
    assert "whistles" not in stdout, "remarks of annotators may quote people"
    assert bah("cues", "score", cues, "--data", data_root, "--truth", "x")[0] == 2
    assert bah("cues", "score", tmp_path / "none", "--data", data_root)[0] == 2


@pytest.mark.parametrize(
    "entry", [["Smile", "Gaze"], [["Smile"], ["gaze"]], "Smile, gaze", {"head": {"Smile": 1, "Gaze": 1}}]
)
def test_cues_named_without_sheets_are_known_by_their_names(
    bah: Call, data_root: Path, tmp_path: Path, entry: object
) -> None:
    path = data_root / "video_annotation_transcript.yaml"
    annotations = yaml.safe_load(path.read_text())
    name = next(name for name in annotations if "Question_4" in name)
    for all_cues in ([entry], entry):
        if isinstance(all_cues, list) and len(all_cues) != 1:
            continue  # one entry for each segment, and there is one
        annotations[name]["all_cues"] = all_cues
        path.write_text(yaml.safe_dump(annotations))
        about = Observation(video_id=name, participant_id="90101", duration_s=6.0)
        write_cues(tmp_path / "cues", about, [CueEvent("face.gaze", 2.0, 3.0, 2, 0.3, None, "eyes", 0.7, "facemesh")])
        scores = json.loads(bah("cues", "score", tmp_path / "cues", "--data", data_root, "--json", "-")[1])
        assert {code: row["n_named"] for code, row in scores["codes"].items()} == {"face.smile": 1, "face.gaze": 1}
        assert scores["codes"]["face.gaze"]["n_both"] == 1
        assert scores["n_unknown_entries"] == {}


def test_the_demo_sets_own_cues_agree_with_its_annotations(bah: Call) -> None:
    code, stdout, stderr = bah("cues", "score", demo_root() / "cues", "--data", "demo", "--json", "-")
    assert code == 0, stderr
    scores = json.loads(stdout)
    assert scores["n_segments"] == 13
    assert scores["n_unknown_entries"] == {}
    for name in ("face.close_2", "body.look_away", "body.tilt", "language.filler_sound", "language.repetition"):
        assert (scores["codes"][name]["precision"], scores["codes"][name]["recall"]) == (1.0, 1.0), name
    assert scores["modalities"]["body"]["kappa"] == 1.0


def test_false_events_a_minute_count_the_minutes_of_the_videos_alone(bah: Call, tmp_path: Path) -> None:
    cues, truth = tmp_path / "cues", tmp_path / "truth.jsonl"
    for name in ("a.mp4", "b.mp4"):
        about = Observation(video_id=name, participant_id="p", duration_s=15.0)
        write_cues(cues, about, [CueEvent("face.smile", 2.0, 4.0, 2, 3.0, None, "z", 1.0, "facemesh")])
    lines = [{"video_id": name, "code": "body.nod", "start_s": 1, "stop_s": 2} for name in ("a.mp4", "b.mp4")]
    truth.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scores = json.loads(bah("cues", "score", cues, "--truth", truth, "--json", "-")[1])
    assert scores["face.smile"]["false_per_min"] == pytest.approx(4.0)
    code, _, stderr = bah("cues", "score", cues, "--truth", tmp_path / "gone.jsonl")
    assert code == 2
    assert "Traceback" not in stderr
