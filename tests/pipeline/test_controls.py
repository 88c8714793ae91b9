"""Control runs: what the model is given is really taken away or mixed up, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.core.records import Transcript, Video, WindowJob
from bah_mllm.engines.scripted import ScriptedEngine
from bah_mllm.pipeline.lending import donors
from bah_mllm.predictions import read_run

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[WindowJob]:
    jobs: list[WindowJob] = []
    original = ScriptedEngine.score

    def score(self: ScriptedEngine, batch: list[WindowJob]) -> object:
        jobs.extend(batch)
        return original(self, batch)

    monkeypatch.setattr(ScriptedEngine, "score", score)
    return jobs


def run(bah: Call, root: Path, out: Path, control: str) -> None:
    code, _, stderr = bah(
        "run", "--data", root, "--engine", "scripted", "--model", "video", "--control", control, "--out", out
    )
    assert code == 0, stderr


def test_a_black_video_is_black_and_keeps_its_words(
    bah: Call, pristine_root: Path, tmp_path: Path, asked: list[WindowJob]
) -> None:
    run(bah, pristine_root, tmp_path / "run", "black-video")
    assert all(job.clip is not None and not job.clip.frames.any() for job in asked)
    assert any("Painting makes me happy." in job.prompts[0].text for job in asked)
    systems = {row.system for row in read_run(tmp_path / "run")}
    assert systems == {"transcript_def1~black-video@scripted:video"}


def test_without_video_there_is_no_clip(bah: Call, pristine_root: Path, tmp_path: Path, asked: list[WindowJob]) -> None:
    run(bah, pristine_root, tmp_path / "run", "no-video")
    assert asked
    assert all(job.clip is None for job in asked)


def test_without_transcript_nobodys_words_are_shown(
    bah: Call, pristine_root: Path, tmp_path: Path, asked: list[WindowJob]
) -> None:
    run(bah, pristine_root, tmp_path / "run", "no-transcript")
    assert {job.prompts[0].text.split(". Definition")[0] for job in asked} == {"Video transcript: N/A"}
    assert all(job.clip is not None and job.clip.frames.any() for job in asked)


def test_a_shuffled_transcript_is_somebody_elses(
    bah: Call, pristine_root: Path, tmp_path: Path, asked: list[WindowJob]
) -> None:
    lines = (pristine_root / "split" / "test.txt").read_text().splitlines()
    own = {line.split(",")[0]: line.split(",", 2)[2] for line in lines}
    run(bah, pristine_root, tmp_path / "run", "shuffled-transcript")
    for job in asked:
        lender = next(video for video, words in own.items() if words in job.prompts[0].text)
        assert lender.split("/")[1] != job.video_id.split("/")[1]


def test_every_transcript_is_lent_once_and_never_within_a_person() -> None:
    draw = np.random.default_rng(0)
    videos = [
        Video(f"v{n}", participant_id=f"p{draw.integers(6)}", transcript=Transcript(f"words {n}")) for n in range(24)
    ]
    lent = donors(videos, seed=3)
    assert sorted(video.video_id for video in lent.values()) == sorted(f"v{n}" for n in range(24))
    person = {video.video_id: video.participant_id for video in videos}
    assert all(person[borrower] != lender.participant_id for borrower, lender in lent.items())
    assert donors(list(reversed(videos)), seed=3) == lent


def test_lenders_answer_other_questions_too() -> None:
    videos = [
        Video(f"p{person}/q{question}", participant_id=f"p{person}") for person in range(8) for question in range(7)
    ]
    lent = donors(videos, seed=0)
    n_same = sum(borrower.split("/")[1] == lender.video_id.split("/")[1] for borrower, lender in lent.items())
    assert n_same < 20  # a seventh of 56 by chance; the question alone tells much of the label


def test_controls_of_the_video_are_refused_to_an_engine_without_eyes(bah: Call, pristine_root: Path) -> None:
    code, _, stderr = bah("run", "--data", pristine_root, "--engine", "text", "--control", "black-video")
    assert code == 2
    assert "would change nothing" in stderr
