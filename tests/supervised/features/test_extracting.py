"""`bah-mllm features` from videos to sets: one row a frame, nothing twice, a problem for each video that fails."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy, copytree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bah_mllm.core.errors import PrerequisiteError, RunError
from bah_mllm.dataset import demo_root, open_dataset
from bah_mllm.media import read_frames
from supervised.features import FeatureStore, extracting, extractors
from supervised.features.crops import find_shipped
from supervised.features.extracting import extract_features
from supervised.features.request import FeatureRequest
from supervised.models.backbones import BACKBONES, Backbone, build_backbone

N_FRAMES = {"a": 30, "b": 13, "c": 41}
FACES = FeatureRequest(visual=("tiny",), is_random=True)


def name_of(letter: str) -> str:
    number = "abcdef".index(letter) + 1
    return f"Videos/9{number}/Visite_1/9{number}_Question_{number}_2025-01-01_10-00-00_Video.mp4"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path]) -> Path:
    """Three videos with sound, crops and words in BAH's layout."""
    root = tmp_path_factory.mktemp("data") / "BAH_DB"
    rng = np.random.default_rng(0)
    for letter, n_frames in N_FRAMES.items():
        sound = rng.normal(size=round(16_000 * n_frames / 24)) * 0.1
        write_video((root / name_of(letter)).with_suffix(".mkv"), n_frames, sound=sound).rename(root / name_of(letter))
        folder = root / "cropped-aligned-faces" / name_of(letter)
        folder.mkdir(parents=True)
        for k in range(n_frames):
            if k != 5:  # a gap
                picture = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(picture).resize((256, 256)).save(folder / f"frame-{k}.jpg")
    (root / "split").mkdir()
    (root / "split" / "train.txt").write_text(f"{name_of('a')},1,I want tea but maybe not\n{name_of('b')},0,cake\n")
    (root / "split" / "test.txt").write_text(f"{name_of('c')},1,I like the cake\n")
    return root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may damage."""
    return Path(copytree(pristine, tmp_path / "BAH_DB"))


class Energy(nn.Module):
    """Stands in for VGGish: the mean of each of the 64 bands, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, examples: Tensor) -> Tensor:
        return self.scale * examples.mean(dim=1).repeat(1, 2)


@pytest.fixture
def small_vggish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "load_vggish", lambda weights, *, random: Energy())


@pytest.mark.usefixtures("small_vggish")
def test_every_modality_has_one_row_for_every_frame_that_decodes(
    root: Path, tmp_path: Path, bert_folder: Path, bah: Callable[..., tuple[int, str, str]]
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
            name_of(letter): n for letter, n in N_FRAMES.items()
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


def test_rows_are_those_of_the_backbone_on_the_shipped_crops_and_gaps_are_not_valid(root: Path, tmp_path: Path) -> None:
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
    root: Path, tmp_path: Path, bert_folder: Path, write_video: Callable[..., Path], bah: Callable[..., object]
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


def test_crops_alone_are_enough_for_faces(root: Path, tmp_path: Path) -> None:
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


def test_what_changed_is_made_again_and_only_that(root: Path, tmp_path: Path) -> None:
    extract_features(root, tmp_path / "f", FACES)
    before = FeatureStore(tmp_path / "f").read("face-tiny", name_of("b")).values[0].copy()
    Image.new("RGB", (256, 256), (200, 10, 10)).save(root / "cropped-aligned-faces" / name_of("b") / "frame-0.jpg")
    done = extract_features(root, tmp_path / "f", FACES)
    assert done.sets["face-tiny"].n_reused == 2
    assert not np.allclose(FeatureStore(tmp_path / "f").read("face-tiny", name_of("b")).values[0], before)


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


def test_only_the_split_that_is_asked_for_is_read(root: Path, tmp_path: Path) -> None:
    extract_features(root, tmp_path / "f", FACES, split="test")
    assert FeatureStore(tmp_path / "f").video_ids("face-tiny") == (name_of("c"),)


def as_written_before_stand_ins_were_told(folder: Path) -> str:
    """Take the field out of a set's description and return what is left, as older versions wrote it."""
    path = folder / "set.json"
    described = json.loads(path.read_text())
    del described["is_stand_in"]
    path.write_text(json.dumps(described, indent=1) + "\n")
    return path.read_text()


def test_a_store_of_an_older_version_is_gone_on_with(root: Path, tmp_path: Path) -> None:
    extract_features(root, tmp_path / "f", FACES)
    described = json.loads(as_written_before_stand_ins_were_told(tmp_path / "f" / "face-tiny"))
    found = extract_features(root, tmp_path / "f", FACES).sets["face-tiny"]
    assert (found.n_reused, found.n_videos) == (3, 3)
    # The digest of rows as older versions computed it, from the description they wrote.
    digest = hashlib.sha256(json.dumps([1, described], sort_keys=True).encode())
    content = hashlib.sha256((root / name_of("a")).read_bytes()).digest()
    crops = hashlib.sha256()
    for number, path in find_shipped(root, name_of("a")).items():
        crops.update(f"{number}:".encode() + hashlib.sha256(path.read_bytes()).digest())
    for part in (content, crops.digest()):
        digest.update(len(part).to_bytes(8, "big") + part)
    assert FeatureStore(tmp_path / "f").digest("face-tiny", name_of("a")) == digest.hexdigest()


def test_an_older_set_of_a_network_that_was_random_in_part_is_refused_with_a_remedy(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partly_random(name: str, weights: str | None, *, random: bool) -> Backbone:
        backbone = build_backbone(name, weights, random=random)
        backbone.weights_name = "ir50.pth"  # only these weights were told, and nothing of what they lack
        return backbone

    monkeypatch.setattr(extractors, "build_backbone", partly_random)
    extract_features(root, tmp_path / "f", FACES)
    as_written_before_stand_ins_were_told(tmp_path / "f" / "face-tiny")
    with pytest.raises(RunError, match="is_stand_in = False, but now is_stand_in = True") as caught:
        extract_features(root, tmp_path / "f", FACES)
    assert "--suffix" in caught.value.remedy


def test_sets_of_other_settings_are_never_mixed(root: Path, tmp_path: Path) -> None:
    extract_features(root, tmp_path / "f", FACES)
    with pytest.raises(RunError, match=r"settings.dtype = 'float16', but now settings.dtype = 'float32'"):
        extract_features(root, tmp_path / "f", replace(FACES, dtype="float32"))
    extract_features(root, tmp_path / "f", replace(FACES, dtype="float32", suffix="-fine"))
    assert FeatureStore(tmp_path / "f").names() == ("face-tiny", "face-tiny-fine")


@pytest.mark.usefixtures("small_vggish")
def test_faithful_sets_have_names_of_their_own(root: Path, tmp_path: Path, bert_folder: Path) -> None:
    request = FeatureRequest(audio=("vggish",), text=("bert",), text_model=str(bert_folder), is_faithful=True)
    extract_features(root, tmp_path / "f", request)
    store = FeatureStore(tmp_path / "f")
    assert store.names() == ("bert-faithful", "vggish-faithful")
    assert store.read("bert-faithful", name_of("a")).is_valid.all()


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
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    louder(monkeypatch, np.nan)
    done = extract_features(root, tmp_path / "f", FACES)
    assert done.n_problems == 3
    assert "12 of 13 rows" in done.sets["face-tiny"].problems[name_of("b")]
    again = extract_features(root, tmp_path / "f", FACES)
    assert again.sets["face-tiny"].n_reused == 0  # what is known to fail is not there


def test_a_file_that_cannot_be_read_is_the_problem_of_its_video(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bert_folder: Path
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
    root: Path, tmp_path: Path, bert_folder: Path
) -> None:
    broken = root / "transcription" / name_of("b") / f"{Path(name_of('b')).stem}.yml"
    broken.parent.mkdir(parents=True)
    broken.write_text("{unclosed")
    request = FeatureRequest(text=("bert",), text_model=str(bert_folder))
    done = extract_features(root, tmp_path / "f", request)
    assert list(done.sets["bert"].problems) == [name_of("b")]


def test_weights_must_be_given_or_random_ones_asked_for(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="needs weights"):
        extract_features(root, tmp_path / "f", replace(FACES, is_random=False))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "No features are asked for"),
        (("--audio", "wav2vec"), "no --audio 'wav2vec'"),
        (("--visual", "resnet81", "--random-weights"), "no backbone named 'resnet81'"),
        (("--visual", "tiny", "--weights", "tiny"), "is not NAME=PATH"),
        (("--visual", "tiny", "--weights", "resnet18=x"), "weights of 'resnet18', which is not asked for"),
        (("--visual", "tiny", "--random-weights", "--dtype", "int8"), "no --dtype 'int8'"),
        (("--visual", "tiny", "--random-weights", "--device", "abacus"), "no device 'abacus'"),
        (("--visual", "tiny", "--random-weights", "--detector", "dlib"), "no face detector 'dlib'"),
        (("--visual", "tiny", "--random-weights", "--json", "/nowhere/x.json"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_refused_in_two_lines(
    root: Path, bah: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], problem: str
) -> None:
    code, _, err = bah("features", root, *arguments)
    assert code == 2
    assert problem in err.splitlines()[-2]
    assert err.splitlines()[-1].startswith("  try: ")


def test_the_help_names_every_backbone(bah: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = bah("features", "--help")
    assert code == 0
    assert set(BACKBONES) <= set(re.findall(r"[a-z]+[0-9]*", out))


def _command(root: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "bah_mllm", "features", str(root), "--out", str(out), "--visual", "tiny"),
        *("--random-weights", *more),
    ]


@pytest.mark.slow
def test_workers_make_the_same_rows_and_a_killed_run_goes_on(root: Path, tmp_path: Path) -> None:
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
    for letter in N_FRAMES:
        wanted, found = (store.read("face-tiny", name_of(letter)) for store in (one, two))
        assert np.allclose(found.values, wanted.values, atol=1e-3)
        assert np.array_equal(found.is_valid, wanted.is_valid)


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
