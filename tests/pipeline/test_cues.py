"""Cues of whole videos: extracted, kept, pooled over a person; absences stated."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.cues.codes import CODES
from bah_mllm.cues.store import read_cues
from bah_mllm.dataset import demo_root

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


def test_the_persons_usual_pitch_is_a_human_voice(demo_cues: tuple[Path, Path]) -> None:
    _, out = demo_cues
    for path in out.rglob("*.cues.json"):
        about = json.loads(path.read_text())
        assert about["scope"] == "participant"
        assert 60 < about["usual"]["pitch_hz"] < 400


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
