"""`bah-mllm features` from videos to sets: one row a frame, and nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
import torch
from PIL import Image

from bah_mllm.dataset import demo_root, open_dataset
from bah_mllm.media import read_frames
from supervised.features import FeatureStore, extracting
from supervised.features.extracting import extract_features
from supervised.features.request import FeatureRequest
from supervised.models.backbones import build_backbone

FACES = FeatureRequest(visual=("tiny",), is_random=True)


@pytest.mark.usefixtures("small_vggish")
def test_every_modality_has_one_row_for_every_frame_that_decodes(
    root: Path,
    tmp_path: Path,
    bert_folder: Path,
    bah: Callable[..., tuple[int, str, str]],
    name_of: Callable[[str], str],
    n_frames_by_letter: dict[str, int],
) -> None:
    code, out, err = bah(
        *("features", root, "--out", tmp_path / "f", "--visual", "tiny", "--audio", "vggish", "--text", "bert"),
        *("--text-model", bert_folder, "--random-weights", "--json", "-"),
    )
    assert code == 0, err
    store = FeatureStore(tmp_path / "f")
    assert store.names() == ("bert", "face-tiny", "vggish")
    assert [store.info(name).modality for name in store.names()] == ["text", "visual", "audio"]
    for name in store.names():
        assert {v: store.read(name, v).n_frames for v in store.video_ids(name)} == {
            name_of(letter): n for letter, n in n_frames_by_letter.items()
        }
        assert store.read(name, name_of("a")).fps == pytest.approx(24)
        assert store.read(name, name_of("a")).values.dtype == np.float16
    assert "WARNING: tiny has random weights" in err
    assert store.info("face-tiny").settings["weights"] == "random"
    assert {name: store.info(name).is_stand_in for name in store.names()} == {
        "bert": False,
        "face-tiny": True,
        "vggish": True,
    }
    sets = json.loads(out)["sets"]
    assert sets["vggish"] == {"videos": 3, "frames": 84, "reused": 0, "problems": {}, "damaged": {}}
    assert {"backbone", "decode", "vggish", "words"} <= set(json.loads(out)["seconds"])


def test_rows_are_those_of_the_backbone_on_the_shipped_crops_and_gaps_are_not_valid(
    root: Path, tmp_path: Path, name_of: Callable[[str], str]
) -> None:
    extract_features(root, tmp_path, replace(FACES, has_flipped=True, batch=4, dtype="float32"))
    store = FeatureStore(tmp_path)
    stored, flipped = (store.read("face-tiny", name_of("b"), flipped=flag) for flag in (False, True))
    torch.manual_seed(0)
    backbone = build_backbone("tiny", random=True)
    assert backbone.weights_digest == store.info("face-tiny").settings["weights_digest"]
    folder = root / "cropped-aligned-faces" / name_of("b")
    for k in (0, 4, 12):
        crop = np.asarray(Image.open(folder / f"frame-{k}.jpg"))
        with torch.no_grad():
            wanted = backbone(torch.from_numpy(np.stack([crop, crop[:, ::-1]])))
        assert np.allclose([stored.values[k], flipped.values[k]], wanted.numpy(), atol=1e-5)
    assert not np.allclose(stored.values[0], flipped.values[0], atol=1e-4)
    assert stored.is_valid.tolist() == [k != 5 for k in range(13)]
    assert not stored.values[5].any()
    assert store.note("face-tiny", name_of("b")) == "shipped crops: a face in 12 of 13 frames"


def test_without_crops_faces_are_found_in_the_video(tmp_path: Path) -> None:
    demo = open_dataset(demo_root()).videos()[0]
    assert demo.path is not None
    (tmp_path / "videos").mkdir()
    copy(demo.path, tmp_path / "videos" / "one.mp4")
    extract_features(tmp_path / "videos", tmp_path / "f", replace(FACES, detector="mediapipe", detect_every=6))
    stored = FeatureStore(tmp_path / "f").read("face-tiny", "one.mp4")
    assert stored.n_frames == sum(1 for _ in read_frames(demo.path))
    assert stored.is_valid.mean() > 0.9
    assert np.abs(stored.values[stored.is_valid]).sum(axis=1).min() > 0


def test_crops_alone_are_enough_for_faces(root: Path, tmp_path: Path, name_of: Callable[[str], str]) -> None:
    (root / name_of("b")).unlink()
    extract_features(root, tmp_path / "f", FACES)
    stored = FeatureStore(tmp_path / "f").read("face-tiny", name_of("b"))
    assert (stored.n_frames, stored.fps) == (13, None)


def test_the_same_command_again_reads_no_video(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract_features(root, tmp_path / "f", FACES)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "f").rglob("*") if path.name != ".lock"}
    monkeypatch.setattr(extracting, "_extract", lambda *_: pytest.fail("a video was read again"))
    done = extract_features(root, tmp_path / "f", FACES)
    assert done.sets["face-tiny"].n_reused == 3
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "f").rglob("*") if p.name != ".lock"} == files


def test_what_changed_is_made_again_and_only_that(root: Path, tmp_path: Path, name_of: Callable[[str], str]) -> None:
    extract_features(root, tmp_path / "f", FACES)
    before = FeatureStore(tmp_path / "f").read("face-tiny", name_of("b")).values[0].copy()
    Image.new("RGB", (256, 256), (200, 10, 10)).save(root / "cropped-aligned-faces" / name_of("b") / "frame-0.jpg")
    done = extract_features(root, tmp_path / "f", FACES)
    assert done.sets["face-tiny"].n_reused == 2
    assert not np.allclose(FeatureStore(tmp_path / "f").read("face-tiny", name_of("b")).values[0], before)


def test_videos_of_the_same_content_are_read_once(
    tmp_path: Path, write_grey_video: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v").mkdir()
    write_grey_video(tmp_path / "v" / "a.mp4", 3)
    copy(tmp_path / "v" / "a.mp4", tmp_path / "v" / "b.mp4")
    read = []
    original = extracting._extract
    monkeypatch.setattr(
        extracting, "_extract", lambda job, *rest: (read.append(job.content.video_id), original(job, *rest))[1]
    )
    done = extract_features(tmp_path / "v", tmp_path / "f", replace(FACES, detector="mediapipe"))
    assert read == ["a.mp4"]
    assert done.sets["face-tiny"].n_videos == 2
    assert FeatureStore(tmp_path / "f").read("face-tiny", "b.mp4").n_frames == 3


def test_an_interrupted_run_goes_on_with_the_videos_that_are_left(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bah: Callable[..., tuple[int, str, str]]
) -> None:
    original, n_read = extracting._extract, 0

    def interrupted(*arguments: object) -> object:
        nonlocal n_read
        n_read += 1
        if n_read == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    arguments = ("features", root, "--out", tmp_path / "f", "--visual", "tiny", "--random-weights")
    with monkeypatch.context() as patch:
        patch.setattr(extracting, "_extract", interrupted)
        assert bah(*arguments)[0] == 130
    assert len(FeatureStore(tmp_path / "f").video_ids("face-tiny")) == 2
    code, _, err = bah(*arguments)
    assert code == 0
    assert "2 of 3 videos have all these features" in err
    assert "features of 1 of 1 videos" in err


def test_only_the_split_that_is_asked_for_is_read(root: Path, tmp_path: Path, name_of: Callable[[str], str]) -> None:
    extract_features(root, tmp_path / "f", FACES, split="test")
    assert FeatureStore(tmp_path / "f").video_ids("face-tiny") == (name_of("c"),)


def _command(root: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "bah_mllm", "features", str(root), "--out", str(out), "--visual", "tiny"),
        *("--random-weights", *more),
    ]


@pytest.mark.slow
def test_workers_make_the_same_rows_and_a_killed_run_goes_on(
    root: Path, tmp_path: Path, name_of: Callable[[str], str], n_frames_by_letter: dict[str, int]
) -> None:
    extract_features(root, tmp_path / "one", FACES)
    index = tmp_path / "two" / "face-tiny" / "index.jsonl"
    killed = subprocess.Popen(_command(root, tmp_path / "two", "--workers", "2"), start_new_session=True)
    while killed.poll() is None and not (index.exists() and index.stat().st_size):
        time.sleep(0.02)
    if killed.poll() is None:
        os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert index.stat().st_size
    done = subprocess.run(
        _command(root, tmp_path / "two", "--workers", "2"), check=True, capture_output=True, text=True, timeout=300
    )
    assert done.stderr.count("WARNING") == 1
    one, two = FeatureStore(tmp_path / "one"), FeatureStore(tmp_path / "two")
    for letter in n_frames_by_letter:
        wanted, found = (store.read("face-tiny", name_of(letter)) for store in (one, two))
        assert np.allclose(found.values, wanted.values, atol=1e-3)
        assert np.array_equal(found.is_valid, wanted.is_valid)
