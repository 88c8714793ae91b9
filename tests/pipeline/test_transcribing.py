"""Words are written where the data set reads them back, once, and what is there is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bah_mllm.core.errors import MediaError, PrerequisiteError
from bah_mllm.core.records import Transcript, Word
from bah_mllm.dataset import open_dataset
from bah_mllm.transcripts.recognition import Recogniser

Call = Callable[..., tuple[int, str, str]]


class Stub(Recogniser):
    """Hears one word in every sound that is not silent."""

    name, package, source = "stub", "bah-mllm", "stub 1"  # type: ignore[assignment]
    n_heard = 0

    def __init__(self, *_args: object, **_options: object) -> None:
        super().__init__("stub", languages=("en",))

    def load(self) -> None:
        pass

    def _language_probabilities(self, samples: np.ndarray) -> dict[str, float]:
        return {"en": 1.0}

    def _pieces(self, samples: np.ndarray, *_how: object) -> tuple[()]:
        return ()

    def transcribe(self, audio: np.ndarray, language: str | None = None) -> Transcript:
        type(self).n_heard += 1
        return Transcript("hello", language="en", words=(Word("hello", 0.1, 0.4),)) if audio.any() else Transcript("")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Stub]:
    def sound(path: Path, **_options: Any) -> np.ndarray:
        if "Question_2" in path.name:
            raise MediaError(f"{path} has no sound.", remedy="Nothing.")
        return np.full(16_000, 0.0 if "Question_3" in path.name else 0.1, np.float32)

    monkeypatch.setenv("BAH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("bah_mllm.pipeline.transcribing.read_audio", sound)
    monkeypatch.setitem(
        __import__("bah_mllm.transcripts.recognition", fromlist=["x"]).RECOGNISERS, "stub", f"{__name__}:Stub"
    )
    monkeypatch.setattr("bah_mllm.transcripts.recognition.load_named", lambda *_args, **_kinds: Stub)
    Stub.n_heard = 0
    return Stub


def test_words_come_back_through_the_data_set(bah: Call, data_root: Path, heard: type[Stub]) -> None:
    code, stdout, stderr = bah("transcribe", data_root, "--split", "test", "--recogniser", "stub")
    assert code == 3, stderr
    assert stdout == "5 written (1 without a word), 0 kept, 1 unreadable\n"
    assert str(data_root) not in stderr
    dataset = open_dataset(data_root)
    words = {video.question: dataset.transcript(video).words for video in dataset.videos("test")}
    assert words[4] == (Word("hello", 0.1, 0.4),)
    assert words[3] == ()
    # The same sound is heard once, and a second start hears nothing.
    assert heard.n_heard == 2
    assert bah("transcribe", data_root, "--split", "test", "--recogniser", "stub")[1].startswith(
        "0 written (0 without a word), 5 kept"
    )
    assert heard.n_heard == 2


@pytest.mark.parametrize("n_before", [0, 1, 2])
def test_killed_and_started_again_it_loses_and_repeats_nothing(
    bah: Call, data_root: Path, tmp_path: Path, heard: type[Stub], monkeypatch: pytest.MonkeyPatch, n_before: int
) -> None:
    """Every video has a sound of its own here, so that each has to be heard once."""

    def sound(path: Path, **_options: Any) -> np.ndarray:
        return np.full(16_000, len(path.name) + hash(path.name) % 997, np.float32)

    def killed_while_hearing(self: Stub, audio: np.ndarray, language: str | None = None) -> Transcript:
        if heard.n_heard == n_before:
            raise KeyboardInterrupt
        return original(self, audio, language)

    monkeypatch.setattr("bah_mllm.pipeline.transcribing.read_audio", sound)
    original = Stub.transcribe
    monkeypatch.setattr(Stub, "transcribe", killed_while_hearing)
    arguments = ["transcribe", data_root, "--split", "test", "--recogniser", "stub"]
    assert bah(*arguments)[0] == 130
    assert len(list(data_root.rglob("*.words.json"))) == n_before
    monkeypatch.setattr(Stub, "transcribe", original)
    code, stdout, _ = bah(*arguments)
    assert (code, stdout) == (0, f"{6 - n_before} written (0 without a word), {n_before} kept, 0 unreadable\n")
    assert heard.n_heard == 6
    assert len(list(data_root.rglob("*.words.json"))) == 6
    assert not list(data_root.rglob("*.partial"))


def test_corrected_words_are_left_alone_unless_told(bah: Call, data_root: Path, heard: type[Stub]) -> None:
    bah("transcribe", data_root, "--split", "test", "--recogniser", "stub")
    path = next(data_root.rglob("*Question_4*.words.json"))
    path.write_text(path.read_text().replace("hello", "corrected"))
    bah("transcribe", data_root, "--split", "test", "--recogniser", "stub")
    assert "corrected" in path.read_text()
    bah("transcribe", data_root, "--split", "test", "--recogniser", "stub", "--overwrite")
    assert "corrected" not in path.read_text()


def test_an_unknown_recogniser_and_a_missing_model_are_two_lines(bah: Call, data_root: Path) -> None:
    code, _, stderr = bah("transcribe", data_root, "--recogniser", "ears")
    assert code == 2
    assert "ears" in stderr


def test_a_missing_model_is_named_before_any_video_counts_as_looked_at(
    bah: Call, data_root: Path, heard: type[Stub], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_self: Stub) -> None:
        raise PrerequisiteError("The model is not there.", remedy="Get it.")

    def silence(path: Path, **_options: Any) -> np.ndarray:
        return np.zeros(16_000, np.float32)

    monkeypatch.setattr(Stub, "load", missing)
    monkeypatch.setattr("bah_mllm.pipeline.transcribing.read_audio", silence)
    code, _, stderr = bah("transcribe", data_root, "--recogniser", "stub")
    assert (code, heard.n_heard) == (2, 0)
    assert "looked at" not in stderr
