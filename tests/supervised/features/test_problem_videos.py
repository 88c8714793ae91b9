"""Videos that fail, or nearly: the reason is kept, and the others go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.dataset import demo_root, open_dataset
from supervised.features import FeatureStore, extracting, extractors
from supervised.features.extracting import extract_features
from supervised.features.request import FeatureRequest

FACES = FeatureRequest(visual=("tiny",), is_random=True)


def test_a_video_without_a_face_has_rows_that_are_not_valid(
    tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    write_grey_video(tmp_path / "grey.mp4", 9)
    done = extract_features(tmp_path, tmp_path / "f", replace(FACES, detector="mediapipe"))
    stored = FeatureStore(tmp_path / "f").read("face-tiny", "grey.mp4")
    assert (stored.n_frames, stored.is_valid.any(), stored.values.any()) == (9, False, False)
    assert done.n_problems == 0


@pytest.mark.usefixtures("small_vggish")
def test_what_fails_for_one_video_is_its_problem_and_the_others_go_on(
    root: Path,
    tmp_path: Path,
    bert_folder: Path,
    write_video: Callable[..., Path],
    bah: Callable[..., object],
    name_of: Callable[[str], str],
) -> None:
    (root / name_of("a")).write_bytes(b"broken")
    (root / name_of("b")).unlink()
    for k, letter in enumerate("def"):
        write_video(root / name_of(letter), 10 + k)  # without sound, words or crops
    with (root / "split" / "train.txt").open("a") as file:
        file.write("".join(f"{name_of(letter)},0,\n" for letter in "def"))
    arguments = ("features", root, "--out", tmp_path / "f", "--audio", "vggish", "--text", "bert")
    code, _, err = bah(*arguments, "--text-model", bert_folder)
    assert code == 3
    store = FeatureStore(tmp_path / "f")
    assert store.video_ids("vggish") == store.video_ids("bert") == (name_of("c"),)
    assert "cannot be opened" in (store.problem("vggish", name_of("a")) or "")
    assert str(root) not in (store.problem("vggish", name_of("a")) or "")  # paths are nobody's business
    assert store.problem("bert", name_of("b")) == "the video file is missing"
    assert "has no sound" in (store.problem("vggish", name_of("d")) or "")
    assert store.problem("bert", name_of("d")) == "there is no transcript"
    assert "vggish: 1 videos, 41 frames; 5 videos have none" in err


def test_a_problem_is_tried_again_only_once_the_video_has_changed(
    tmp_path: Path, write_grey_video: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"broken")
    request = replace(FACES, detector="mediapipe")
    assert extract_features(tmp_path / "v", tmp_path / "f", request).n_problems == 1
    with monkeypatch.context() as patch:
        patch.setattr(extracting, "_extract", lambda *_: pytest.fail("tried again"))
        assert extract_features(tmp_path / "v", tmp_path / "f", request).n_problems == 1
    write_grey_video(tmp_path / "v" / "a.mp4", 3)
    assert extract_features(tmp_path / "v", tmp_path / "f", request).n_problems == 0


def louder(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Let backbones give features that are multiplied."""
    build = extractors.build_backbone

    def loud(*arguments: object, **options: object) -> object:
        backbone = build(*arguments, **options)
        embed = backbone.embed
        backbone.embed = lambda image: embed(image) * factor
        return backbone

    monkeypatch.setattr(extractors, "build_backbone", loud)


def test_features_too_large_for_float16_are_kept_as_float32(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name_of: Callable[[str], str]
) -> None:
    extract_features(root, tmp_path / "f", replace(FACES, has_flipped=True, dtype="float32"))
    louder(monkeypatch, 2.0**30)
    extract_features(root, tmp_path / "loud", replace(FACES, has_flipped=True))
    plain, loud = FeatureStore(tmp_path / "f"), FeatureStore(tmp_path / "loud")
    for is_flipped in (False, True):
        wanted, found = (store.read("face-tiny", name_of("b"), flipped=is_flipped).values for store in (plain, loud))
        assert found.dtype == np.float32
        assert np.allclose(found, wanted * 2.0**30, rtol=1e-5)
    assert loud.note("face-tiny", name_of("b")).endswith("kept as float32, being too large for float16")


def test_a_backbone_without_finite_features_is_told_with_its_rows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name_of: Callable[[str], str]
) -> None:
    louder(monkeypatch, np.nan)
    done = extract_features(root, tmp_path / "f", FACES)
    assert done.n_problems == 3
    assert "12 of 13 rows" in done.sets["face-tiny"].problems[name_of("b")]
    again = extract_features(root, tmp_path / "f", FACES)
    assert again.sets["face-tiny"].n_reused == 0  # what is known to fail is not there


def test_a_file_that_cannot_be_read_is_the_problem_of_its_video(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bert_folder: Path, name_of: Callable[[str], str]
) -> None:
    original = extracting.digest_file

    def digest_file(path: Path) -> str:
        if path.name == Path(name_of("b")).name:
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(extracting, "digest_file", digest_file)
    (root / name_of("b")).write_bytes(b"as if nobody could read it")
    done = extract_features(root, tmp_path / "f", FeatureRequest(text=("bert",), text_model=str(bert_folder)))
    assert list(done.sets["bert"].problems) == [name_of("b")]


def test_a_transcript_file_that_is_broken_is_the_problem_of_its_video(
    root: Path, tmp_path: Path, bert_folder: Path, name_of: Callable[[str], str]
) -> None:
    broken = root / "transcription" / name_of("b") / f"{Path(name_of('b')).stem}.yml"
    broken.parent.mkdir(parents=True)
    broken.write_text("{unclosed")
    request = FeatureRequest(text=("bert",), text_model=str(bert_folder))
    done = extract_features(root, tmp_path / "f", request)
    assert list(done.sets["bert"].problems) == [name_of("b")]


def test_a_video_that_is_cut_off_has_features_and_a_note(
    tmp_path: Path, bah: Callable[..., tuple[int, str, str]]
) -> None:
    demo = open_dataset(demo_root()).videos()[0].path
    assert demo is not None
    content = demo.read_bytes()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "whole.mp4").write_bytes(content)
    (tmp_path / "videos" / "part.mp4").write_bytes(content[: len(content) // 2])
    for _ in range(2):  # made, and found again
        code, out, err = bah(
            *("features", tmp_path / "videos", "--out", tmp_path / "f", "--visual", "tiny", "--random-weights"),
            *("--detector", "mediapipe", "--detect-every", "24", "--json", "-"),
        )
        assert code == 0, err
        assert "note: 1 videos seem damaged or cut off" in err
        assert list(json.loads(out)["sets"]["face-tiny"]["damaged"]) == ["part.mp4"]
    store = FeatureStore(tmp_path / "f")
    n_left = store.n_frames("face-tiny", "part.mp4")
    n_whole = store.n_frames("face-tiny", "whole.mp4")
    assert n_left < n_whole
    assert f"{n_left / 24:.1f} of {n_whole / 24:.1f} s decode" in store.note("face-tiny", "part.mp4")
    assert "damaged" not in store.note("face-tiny", "whole.mp4")
