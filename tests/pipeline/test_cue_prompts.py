"""Cues in prompts: those of the window, of somebody else as a control, and none where nobody looked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.core.records import RenderedPrompt
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation, write_cues
from bah_mllm.dataset import open_dataset
from bah_mllm.engines.scripted import Rule, ScriptedEngine
from bah_mllm.predictions import read_run

Call = Callable[..., tuple[int, str, str]]


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
