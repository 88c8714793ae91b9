"""Cues of whole videos: extracted, kept, pooled over a person, rendered into prompts; absences stated."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bah_mllm.core.records import RenderedPrompt
from bah_mllm.cues.codes import CODES
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation, read_cues, write_cues
from bah_mllm.dataset import demo_root, open_dataset
from bah_mllm.engines.scripted import Rule, ScriptedEngine
from bah_mllm.media import probe
from bah_mllm.predictions import read_run

pytest.importorskip("mediapipe")

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def demo_cues(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two demo videos as a folder of their own, and the cues extracted from them."""
    from bah_mllm.pipeline.cues import extract_cues

    root, out = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("cues")
    for path in sorted(demo_root().glob("Videos/90004/*/*.mp4"))[:2]:
        shutil.copy(path, root / path.name)
    assert extract_cues(root, out) == 0
    return root, out


def test_planted_events_are_found_in_real_files(demo_cues: tuple[Path, Path]) -> None:
    root, out = demo_cues
    truth = [json.loads(line) for line in (demo_root() / "events.jsonl").read_text().splitlines()]
    for path in root.glob("*.mp4"):
        known = read_cues(out, path.name)
        assert known is not None
        for code in ("face.blink", "audio.pause", "body.look_away", "face.smile"):
            wanted = [e for e in truth if e["video_id"].endswith(path.name) and e["code"] == code]
            found = [e for e in known[1] if e.code == code]
            for event in wanted:
                assert any(e.start_s < event["stop_s"] + 0.2 and event["start_s"] - 0.2 < e.stop_s for e in found), (
                    event
                )


def test_a_second_start_looks_at_nothing_again(
    demo_cues: tuple[Path, Path], bah: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = demo_cues
    before = {path: path.read_bytes() for path in out.rglob("*.jsonl")}
    monkeypatch.setattr("bah_mllm.cues.signals.perceive", lambda *_args, **_kwargs: pytest.fail("looked again"))
    code, stdout, stderr = bah("cues", "extract", root, "--out", out)
    assert (code, stdout) == (0, f"{out}\n")
    assert "2 of 2 videos were looked at before" in stderr
    assert {path: path.read_bytes() for path in out.rglob("*.jsonl")} == before


def test_without_face_or_sound_or_a_readable_file_the_absence_is_stated(
    bah: Call, tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    write_grey_video(folder / "nobody.mp4", 48)
    (folder / "broken.mp4").write_bytes(b"no video")
    code, _, stderr = bah("cues", "extract", folder, "--out", tmp_path / "cues")
    assert code == 3
    assert "Traceback" not in stderr
    nobody = read_cues(tmp_path / "cues", "nobody.mp4")
    assert nobody is not None
    assert nobody[1] == ()
    assert nobody[0].absent["face"] == [(0.0, 2.0)]
    assert nobody[0].absent["voice"] == [(0.0, 2.0)]
    broken = read_cues(tmp_path / "cues", "broken.mp4")
    assert broken is not None
    assert broken[0].problem is not None
    assert str(tmp_path) not in broken[0].problem
    code, stdout, _ = bah("cues", "render", tmp_path / "cues", "nobody.mp4")
    assert stdout == "[0-2] face not visible 0-2; body not visible 0-2; no sound 0-2; no words 0-2\n"


def make_cues(folder: Path, root: Path) -> None:
    for place, video in enumerate(open_dataset(root).videos("test")):
        event = CueEvent("face.smile", 0.1, 0.2, 2, 3.0, None, "z", 1.0, "facemesh")
        named = CueEvent("language.hedging", 0.0, 0.1, 2, None, None, "", 1.0, "words", text=f"w{place}")
        about = Observation(video_id=video.video_id, participant_id=video.participant_id, duration_s=10.0)
        write_cues(folder, about, [event, named])


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ((), ("smiles", '"w')),
        (("--cue-modalities", "face"), ("smiles",)),
        (("--cue-modalities", "words"), ('"w',)),
    ],
)
def test_prompts_show_the_cues_of_their_window(
    bah: Call, pristine_root: Path, tmp_path: Path, flags: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--prompt", "cues_def1", "--window", 24]
    code, stdout, stderr = bah(*arguments, "--cues", tmp_path / "cues", *flags, "--dry-run")
    assert code == 0, stderr
    for text in ("smiles", '"w'):
        assert (text in stdout) == (text in shown)
    assert bah(*arguments, "--dry-run")[0] == 2, "a prompt with cues needs some"
    assert bah(*arguments, "--cues", tmp_path / "nowhere", "--dry-run")[0] == 2


def test_a_text_engine_reads_cues_in_place_of_the_video(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--window", 24, "--cues", tmp_path / "cues"]
    _, stdout, _ = bah(*arguments, "--prompt", "def1", "--dry-run")
    assert "Observed in the video, automatic and compared" in stdout
    assert "smiles" in stdout
    _, stdout, _ = bah(*arguments, "--prompt", "def1", "--model", "video", "--dry-run")
    assert "Observed in the video" not in stdout


def test_shuffled_cues_are_somebody_elses(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    first = open_dataset(pristine_root).videos("test")[0]
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--prompt", "cues_def1", "--limit", 1]
    given = [*arguments, "--cues", tmp_path / "cues", "--dry-run"]
    assert '"w0"' in bah(*given)[1]
    shuffled = bah(*given, "--control", "shuffled-cues")[1]
    lenders = [n for n, video in enumerate(open_dataset(pristine_root).videos("test")) if f'"w{n}"' in shuffled]
    assert len(lenders) == 1
    lender = open_dataset(pristine_root).videos("test")[lenders[0]]
    assert lender.participant_id != first.participant_id


def test_cues_are_shuffled_by_either_flag_also_without_transcripts(bah: Call, data_root: Path, tmp_path: Path) -> None:
    listing = data_root / "split" / "test.txt"
    listing.write_text("".join(",".join(line.split(",")[:2]) + ",\n" for line in listing.read_text().splitlines()))
    make_cues(tmp_path / "cues", data_root)
    videos = open_dataset(data_root).videos("test")
    assert all(video.transcript is None for video in videos)
    arguments = ["run", "--data", data_root, "--engine", "scripted", "--prompt", "cues_def1", "--level", "video"]
    prompts = []
    for number, flags in enumerate(
        (["--cues", tmp_path / "cues", "--control", "shuffled-cues"], ["--cues", f"shuffled:{tmp_path / 'cues'}"])
    ):
        code, stdout, stderr = bah(*arguments, *flags, "--limit", 1, "--dry-run")
        assert code == 0, stderr
        prompts.append(stdout)
        assert bah(*arguments, *flags, "--out", tmp_path / f"run{number}")[0] == 0
    assert prompts[0] == prompts[1]
    lenders = [n for n in range(len(videos)) if f'"w{n}"' in prompts[0]]
    assert [videos[n].participant_id for n in lenders] != [videos[0].participant_id]
    first, second = (read_run(tmp_path / f"run{number}") for number in (0, 1))
    assert {row.system for row in first} == {row.system for row in second} == {"cues_def1~shuffled-cues@scripted:text"}
    assert [row.p_positive for row in first] == [row.p_positive for row in second]


def test_shuffling_that_would_change_nothing_is_refused(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    arguments = ["run", "--data", pristine_root, "--engine", "scripted"]
    assert "no cues to shuffle" in bah(*arguments, "--prompt", "def1", "--cues", "shuffled")[2]
    make_cues(tmp_path / "cues", pristine_root)
    code, _, stderr = bah(*arguments, "--cues", f"shuffled:{tmp_path / 'cues'}", "--control", "no-transcript")
    assert code == 2
    assert "Make two runs" in stderr


def test_whoever_has_nobody_to_lend_cues_has_none(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    for path in list((tmp_path / "cues").rglob("*.cues.jsonl"))[1:]:
        path.unlink()
    out = tmp_path / "run"
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--prompt", "cues_def1", "--out", out]
    assert bah(*arguments, "--cues", f"shuffled:{tmp_path / 'cues'}")[0] == 3
    assert {row.status.value for row in read_run(out)} == {"no_cues"}


def test_shuffled_and_fewer_cues_are_compared_with_all_of_them(
    bah: Call, pristine_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rule(_: object, __: object, prompt: RenderedPrompt) -> Rule:
        return Rule(p_positive=0.9 if "smiles" in prompt.text else 0.2)

    monkeypatch.setattr(ScriptedEngine, "_rule", rule)  # a reader that takes every smile for A/H
    for video in open_dataset(pristine_root).videos("test"):
        about = Observation(video_id=video.video_id, participant_id=video.participant_id, duration_s=10.0)
        codes = ["body.nod"] + ["face.smile"] * (video.label or 0)
        events = [CueEvent(code, 0.1, 0.2, 2, 3.0, None, "z", 1.0, "facemesh") for code in codes]
        write_cues(tmp_path / "cues", about, events)
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--prompt", "cues_def1", "--level", "video"]
    runs = {
        "all": ["--cues", tmp_path / "cues"],
        "face": ["--cues", tmp_path / "cues", "--cue-modalities", "face"],
        "body": ["--cues", tmp_path / "cues", "--cue-modalities", "body"],
        "shuffled": ["--cues", f"shuffled:{tmp_path / 'cues'}", "--seed", 1],
    }
    for name, flags in runs.items():
        code, _, stderr = bah(*arguments, *flags, "--out", tmp_path / name)
        assert code == 0, stderr
    code, stdout, stderr = bah("compare", *(tmp_path / name for name in runs), "--draws", 50, "--json", "-")
    assert code == 0, stderr
    pairs = {
        (pair["first"], pair["second"]): pair["differences"]["auroc"]["value"] for pair in json.loads(stdout)["pairs"]
    }
    systems = [line["system"] for line in json.loads(stdout)["lines"]]
    assert [name.partition("@")[0] + name.partition(" ")[2] for name in systems] == [
        "cues_def1",
        "cues_def1[body]",
        "cues_def1[face]",
        "cues_def1~shuffled-cues",
    ]
    assert pairs[0, 1] == 0.5, "the body says nothing of the label"
    assert pairs[0, 2] == 0.0, "the face says all of it"
    assert pairs[0, 3] > 0.0, "somebody else's cues say less"


def test_a_video_that_nobody_looked_at_is_a_row_of_its_own_status(
    bah: Call, pristine_root: Path, tmp_path: Path
) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    next((tmp_path / "cues").rglob("*Question_4*.cues.jsonl")).unlink()
    out = tmp_path / "run"
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--prompt", "cues_def1", "--out", out]
    assert bah(*arguments, "--cues", tmp_path / "cues")[0] == 3
    assert {row.status.value for row in read_run(out) if "Question_4" in row.video_id} == {"no_cues"}


def test_scores_against_the_truth_have_the_agreed_form(demo_cues: tuple[Path, Path], bah: Call, tmp_path: Path) -> None:
    _, out = demo_cues
    known = next(path for path in out.rglob("*.cues.jsonl"))
    events = [json.loads(line) for line in known.read_text().splitlines()]
    video_id = known.name.removesuffix(".cues.jsonl")
    truth = tmp_path / "truth.jsonl"
    truth.write_text("".join(json.dumps({"video_id": video_id, **event}) + "\n" for event in events))
    scores = json.loads(bah("cues", "score", out, "--truth", truth, "--json", "-")[1])
    assert scores
    assert all(score["recall"] == score["precision"] == 1.0 for score in scores.values())
    assert bah("cues", "score")[0] == 2
    truth.write_text("{}\n")
    assert bah("cues", "score", out, "--truth", truth)[0] == 2


def test_the_persons_usual_pitch_is_a_human_voice(demo_cues: tuple[Path, Path]) -> None:
    _, out = demo_cues
    for path in out.rglob("*.cues.json"):
        about = json.loads(path.read_text())
        assert about["scope"] == "participant"
        assert 60 < about["usual"]["pitch_hz"] < 400


def test_a_timeline_is_drawn_and_printed_for_those_who_agreed(bah: Call, tmp_path: Path) -> None:
    agreed, refused = (next(demo_root().glob(f"Videos/{person}/*/*.mp4")) for person in ("90004", "90003"))
    for path, person in ((agreed, "90004"), (refused, "90003")):
        video_id = path.relative_to(demo_root()).as_posix()
        about = Observation(
            video_id=video_id,
            participant_id=person,
            duration_s=10.0,
            settings={"face_hz": 25.0, "body_hz": 3.0, "backend": "none", "version": 1},
        )
        write_cues(tmp_path / "cues", about, [CueEvent("face.smile", 2.0, 4.0, 2, 3.0, None, "z", 1.0, "facemesh")])
    picture = tmp_path / "a.png"
    code, stdout, stderr = bah("cues", "show", tmp_path / "cues", agreed.stem, "--out", picture)
    assert code == 0, stderr
    assert "face.smile" in stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    hidden = tmp_path / "b.png"
    code, stdout, stderr = bah("cues", "show", tmp_path / "cues", refused.stem, "--out", hidden)
    assert (code, stdout) == (2, "")
    assert "90003" in stderr
    assert not hidden.exists()
    code, stdout, _ = bah("cues", "show", tmp_path / "cues", refused.stem, "--out", hidden, "--private")
    assert code == 0
    assert "private: not for publication" in stdout


def test_statements_are_read_once_by_a_language_model_and_checked(
    demo_cues: tuple[Path, Path], bah: Call, tmp_path: Path
) -> None:
    root, out = demo_cues
    video = sorted(root.glob("*.mp4"))[0]
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copy(video, folder / "clip.mp4")
    said = ["I", "have", "no", "time", "for", "it"]
    words = [{"text": word, "start_s": n / 2, "stop_s": n / 2 + 0.4} for n, word in enumerate(said)]
    (folder / "clip.words.json").write_text(
        json.dumps({"text": "I have no time for it", "language": "en", "words": words})
    )
    reply = json.dumps([{"code": "no_opp", "quote": "no time for it"}, {"code": "mot", "quote": "I really want to"}])
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": [{"reply": reply}]}))
    cues = tmp_path / "cues"
    shutil.copytree(out / "signals", cues / "signals")
    arguments = ["cues", "extract", folder, "--out", cues, "--comb-engine", "scripted", "--comb-model", script]
    code, _, stderr = bah(*arguments)
    assert code == 0, stderr
    assert "1 statements of the model are rejected" in stderr
    known = read_cues(cues, "clip.mp4")
    assert known is not None
    assert "words" not in known[0].absent
    assert not [code for code in json.loads((cues / "not_detectable.json").read_text()) if code.startswith("language.")]
    stated = [(e.code, e.start_s, e.stop_s, e.text) for e in known[1] if e.source == "llm"]
    assert stated == [("language.no_opp", 1.0, 2.9, "no time for it")]
    assert "rejected" not in bah(*arguments)[2], "kept from the first reading"


def test_what_is_not_looked_for_is_listed_with_the_reason(
    bah: Call, tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    write_grey_video(folder / "nobody.mp4", 12)
    code, _, stderr = bah("cues", "extract", folder, "--out", tmp_path / "cues")
    assert code == 0
    assert f"not looked for: 14 of {len(CODES)} codes" in stderr
    listed = json.loads((tmp_path / "cues" / "not_detectable.json").read_text())
    assert {"face.nose", "face.wrinkle_chin", "audio.click", "language.no_mot"} <= listed.keys()
    assert all(listed.values())


def test_words_that_cannot_be_read_cost_the_words_alone(
    bah: Call, tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("a", "b"):
        write_grey_video(folder / f"{name}.mp4", 24)
    (folder / "a.words.json").write_text('{"words": [{"text": "secret", "start_s": 3, "stop_s": 1}]}')
    words = [{"text": text, "start_s": n / 9, "stop_s": (n + 1) / 9} for n, text in enumerate(["um", "I", "I", "go"])]
    (folder / "b.words.json").write_text(json.dumps({"language": "en", "words": words}))
    code, _, stderr = bah("cues", "extract", folder, "--out", tmp_path / "cues")
    assert code == 0, stderr
    assert "note: a.mp4 has no words that can be read" in stderr
    assert "secret" not in stderr
    assert str(tmp_path) not in stderr.replace(str(tmp_path / "cues"), "")
    a, b = (read_cues(tmp_path / "cues", f"{name}.mp4") for name in ("a", "b"))
    assert a is not None
    assert b is not None
    assert "words" in a[0].absent
    assert "words" not in b[0].absent
    assert [event.code for event in b[1]] == ["language.filler_sound", "language.repetition"]


def test_cues_extracted_anew_are_another_run(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    arguments = [
        "run",
        "--data",
        pristine_root,
        "--engine",
        "scripted",
        "--prompt",
        "cues_def1",
        "--out",
        tmp_path / "run",
    ]
    assert bah(*arguments, "--cues", tmp_path / "cues")[0] == 0
    assert "already complete" in bah(*arguments, "--cues", tmp_path / "cues")[2]
    path = next((tmp_path / "cues").rglob("*Question_4*.cues.jsonl"))
    path.write_text("")
    code, _, stderr = bah(*arguments, "--cues", tmp_path / "cues")
    assert code == 2
    assert "cues_digest" in stderr


def test_without_transcript_the_cues_quote_no_words(bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    make_cues(tmp_path / "cues", pristine_root)
    arguments = ["run", "--data", pristine_root, "--engine", "scripted", "--prompt", "transcript_cues_def1"]
    given = [*arguments, "--cues", tmp_path / "cues", "--dry-run"]
    assert '"w0"' in bah(*given)[1]
    hidden = bah(*given, "--control", "no-transcript")[1]
    assert '"w0"' not in hidden
    assert "smiles" in hidden


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


def test_the_end_says_how_fast_it_was_and_where_the_time_went(
    bah: Call, tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    write_grey_video(folder / "nobody.mp4", 48)
    stderr = bah("cues", "extract", folder, "--out", tmp_path / "cues")[2]
    (line,) = (line for line in stderr.splitlines() if "times as fast" in line)
    assert line.startswith("2 s of video in ")
    shares = [int(share) for share in re.findall(r"(\d+) %", line)]
    assert 98 <= sum(shares) <= 102
    for stage in ("decoding", "face", "pose", "hands"):
        assert stage in line
    assert "times as fast" not in bah("cues", "extract", folder, "--out", tmp_path / "cues")[2]


def test_models_of_tasks_are_taken_by_path(bah: Call, tmp_path: Path, write_grey_video: Callable[..., None]) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    write_grey_video(folder / "nobody.mp4", 24)
    model = tmp_path / "face_landmarker.task"
    model.write_bytes(b"no model")
    arguments = ["cues", "extract", folder, "--out", tmp_path / "cues"]
    code, _, stderr = bah(*arguments, "--face-model", model)
    assert code == 2
    assert "face_landmarker.task is no face landmarker" in stderr
    code, _, stderr = bah(*arguments, "--hand-model", model)
    assert code == 2
    assert "--face-model" in stderr


@pytest.mark.slow
def test_the_benchmark_looks_at_a_demo_video_of_512_pixels(bah: Call) -> None:
    code, stdout, _ = bah("bench", "cues", "--json", "-")
    assert code == 0
    figures = json.loads(stdout)
    first = sorted(demo_root().glob("Videos/*/*/*.mp4"))[0]
    assert figures["video_s"] == pytest.approx(probe(first).duration_s, abs=0.05)
    assert set(figures["share_of_stages"]) == {"decoding", "face", "pose", "hands", "sound"}
    assert sum(figures["share_of_stages"].values()) == pytest.approx(1)
    assert figures["video_s_per_s"] > 0
