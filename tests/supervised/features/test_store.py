"""The feature store: rows on disk, shared by content, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.core.errors import ConfigError, DataError, RunError
from supervised.features import FeatureSet, FeatureStore
from supervised.features.store import DamagedFeaturesError, notes_on_features

FACES = FeatureSet(name="face-resnet18", modality="visual", dim=3, settings={"weights": "abc"})


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore(tmp_path / "features")
    store.create(FACES)
    return store


def rows(n_frames: int, *, seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_frames, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_is_added_comes_back_memory_mapped_to_another_process_of_the_same_folder(
    store: FeatureStore, dtype: type
) -> None:
    values, is_valid = rows(5, dtype=dtype), np.array([True, True, False, True, True])
    store.add(FACES.name, "Videos/1/a.mp4", values, is_valid, fps=24.0)
    found = FeatureStore(store.root).read(FACES.name, "Videos/1/a.mp4")
    assert not found.values.flags.owndata  # it lies in the file
    assert found.values.dtype == dtype
    assert not found.values.flags.writeable
    assert np.array_equal(found.values, values * is_valid[:, None])  # rows that are not valid are zeros
    assert found.is_valid.tolist() == is_valid.tolist()
    assert (found.n_frames, found.fps) == (5, 24.0)
    assert FeatureStore(store.root).info(FACES.name) == FACES
    assert FeatureStore(store.root).names() == ("face-resnet18",)


def test_doubles_are_kept_as_float32_and_a_missing_rate_stays_missing(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(2, dtype=np.float64), fps=None)
    found = store.read(FACES.name, "a")
    assert (found.values.dtype, found.fps, found.is_valid.all()) == (np.float32, None, True)


def test_features_that_are_added_again_replace_the_old_ones(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(2), fps=24.0)
    store.add(FACES.name, "a", rows(4, seed=1), fps=30.0)
    assert store.read(FACES.name, "a").n_frames == 4
    assert store.video_ids(FACES.name) == ("a",)


def test_a_second_store_sees_what_the_first_one_adds_later(store: FeatureStore) -> None:
    reader = FeatureStore(store.root)
    assert reader.video_ids(FACES.name) == ()
    store.add(FACES.name, "a", rows(2), fps=24.0)
    assert reader.video_ids(FACES.name) == ("a",)


def test_videos_of_the_same_content_share_their_rows(store: FeatureStore) -> None:
    digest = "0" * 64
    assert not store.share(FACES.name, "b", digest)
    store.add(FACES.name, "a", rows(3), fps=24.0, digest=digest)
    assert store.share(FACES.name, "b", digest)
    assert np.array_equal(store.read(FACES.name, "b").values, rows(3))
    assert len(list((store.root / FACES.name / "arrays").glob("*.npy"))) == 2  # rows and mask, once


def test_a_problem_is_told_with_the_reason_and_ends_when_features_are_added(store: FeatureStore) -> None:
    store.fail(FACES.name, "a", "the video cannot be opened")
    assert store.problem(FACES.name, "a") == "the video cannot be opened"
    with pytest.raises(DataError, match="a has no features face-resnet18: the video cannot be opened"):
        store.read(FACES.name, "a")
    assert store.video_ids(FACES.name) == ()
    store.add(FACES.name, "a", rows(2), fps=24.0)
    assert store.problem(FACES.name, "a") is None


def test_a_video_that_was_never_tried_says_so(store: FeatureStore) -> None:
    assert store.problem(FACES.name, "zzz") == "its features were not extracted"


def test_an_unknown_set_names_what_there_is_and_what_is_near(store: FeatureStore) -> None:
    with pytest.raises(DataError, match="there are: face-resnet18") as caught:
        store.read("face-resnet81", "a")
    assert "Did you mean 'face-resnet18'?" in caught.value.remedy


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_in_a_valid_row_is_refused_with_the_count_of_rows(store: FeatureStore, bad: float) -> None:
    values = rows(4)
    values[1, 2] = values[3, 0] = bad
    with pytest.raises(DataError, match="2 of 4 rows of the features face-resnet18 of a hold NaN"):
        store.add(FACES.name, "a", values, fps=24.0)
    assert store.problem(FACES.name, "a") == "its features were not extracted"
    store.add(FACES.name, "a", values, np.array([True, False, True, False]), fps=24.0)
    assert store.read(FACES.name, "a").values[1].tolist() == [0, 0, 0]


def test_nan_that_came_onto_the_disk_later_is_stated_on_reading(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(2), fps=24.0)
    path = next(path for path in (store.root / FACES.name / "arrays").glob("*.npy") if "valid" not in path.name)
    np.save(path, np.full((2, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="hold NaN or infinity"):
        FeatureStore(store.root).read(FACES.name, "a")


def test_a_truncated_or_missing_file_is_an_error_that_says_how_to_go_on(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(200), fps=24.0)
    path = next(path for path in (store.root / FACES.name / "arrays").glob("*.npy") if "valid" not in path.name)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"face-resnet18 of a \(.*\): it is missing, damaged") as caught:
        store.read(FACES.name, "a")
    assert str(store.root) not in caught.value.problem  # it becomes the reason in a row
    path.unlink()
    with pytest.raises(DataError, match="it is missing, damaged"):
        store.read(FACES.name, "a")


@pytest.mark.parametrize("suffix", [".npy", ".valid.npy"])
def test_one_bit_that_flips_on_the_disk_is_an_error(store: FeatureStore, suffix: str) -> None:
    store.add(FACES.name, "a", rows(4), fps=24.0)
    (path,) = (path for path in (store.root / FACES.name / "arrays").iterdir() if path.name[64:] == suffix)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFeaturesError, match=r"face-resnet18 of a \(.*not the one that was written"):
        FeatureStore(store.root).read(FACES.name, "a")


def test_rows_that_do_not_fit_the_index_are_an_error(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(4), fps=24.0)
    index = store.root / FACES.name / "index.jsonl"  # as older versions wrote it, without digests of the files
    index.write_text(json.dumps(json.loads(index.read_text()) | {"sha256": {}}) + "\n")
    store = FeatureStore(store.root)
    path = next(path for path in (store.root / FACES.name / "arrays").glob("*.npy") if "valid" not in path.name)
    np.save(path, rows(3))
    with pytest.raises(DataError, match=r"shape \(3, 3\)"):
        store.read(FACES.name, "a")


@pytest.mark.parametrize(
    ("values", "is_valid"),
    [
        (np.zeros((3, 4), np.float32), np.ones(3, bool)),  # another width
        (np.zeros(3, np.float32), np.ones(3, bool)),  # no rows
        (np.zeros((3, 3), np.float32), np.ones(2, bool)),  # a mask of another length
        (np.zeros((0, 3), np.float32), np.ones(0, bool)),  # no frame
    ],
)
def test_rows_of_another_shape_are_refused(store: FeatureStore, values: np.ndarray, is_valid: np.ndarray) -> None:
    with pytest.raises(DataError, match="must have the shape"):
        store.add(FACES.name, "a", values, is_valid, fps=24.0)


def test_a_flipped_twin_is_kept_beside_the_rows(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.create(FACES.model_copy(update={"has_flipped": True}))
    with pytest.raises(DataError, match="needs a flipped twin"):
        store.add(FACES.name, "a", rows(3), fps=24.0)
    store.add(FACES.name, "a", rows(3), fps=24.0, flipped=rows(3, seed=1))
    assert np.array_equal(store.read(FACES.name, "a", flipped=True).values, rows(3, seed=1))
    assert np.array_equal(store.read(FACES.name, "a").values, rows(3))


def test_a_set_without_flipped_twins_refuses_them(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(3), fps=24.0)
    with pytest.raises(DataError, match="no flipped twin"):
        store.read(FACES.name, "a", flipped=True)
    with pytest.raises(DataError, match="no flipped twins"):
        store.add(FACES.name, "a", rows(3), fps=24.0, flipped=rows(3))


def test_a_set_made_in_another_way_is_never_mixed_in(store: FeatureStore) -> None:
    FeatureStore(store.root).create(FACES)
    with pytest.raises(RunError, match=r"was made with settings.weights = 'abc', but now settings.weights = 'xyz'"):
        FeatureStore(store.root).create(FACES.model_copy(update={"settings": {"weights": "xyz"}}))


@pytest.mark.parametrize(
    ("settings", "is_stand_in"),
    [
        ({"backbone": "resnet18", "weights": "random", "weights_digest": "00ff"}, True),  # a digest of random values
        ({"network": "vggish", "weights": "random", "weights_digest": ""}, True),
        ({"network": "vggish", "weights": "random", "weights_digest": "00ff"}, False),  # a file of that name
        ({"backbone": "resnet18", "weights": "resnet18_randomcrop_rafdb", "weights_digest": "00ff"}, False),
        ({"model": "random-walk-bert", "weights_digest": "00ff", "alignment": "words by their times"}, False),
        ({}, False),
    ],
)
def test_of_a_set_written_without_the_field_its_settings_tell_a_stand_in(
    store: FeatureStore, settings: dict[str, str], is_stand_in: bool
) -> None:
    described = {"name": "old", "modality": "visual", "dim": 3, "has_flipped": False, "settings": settings}
    folder = store.root / "old"
    folder.mkdir()
    (folder / "set.json").write_text(json.dumps(described))
    info = store.info("old")
    assert info.is_stand_in is is_stand_in
    assert info.made_by() == described
    store.create(info)
    assert notes_on_features([info, FACES]) == (
        ["features old come from random weights: a stand-in, not a result"] if is_stand_in else []
    )


def test_a_stand_in_is_told_by_its_field_whatever_its_weights_are_called(store: FeatureStore) -> None:
    weights = {"weights": "random", "weights_digest": "00ff"}
    real, random = (
        FeatureSet(name=name, modality="visual", dim=3, settings=weights, is_stand_in=is_stand_in)
        for name, is_stand_in in (("real", False), ("made-up", True))
    )
    for info in (real, random):
        store.create(info)
    again = FeatureStore(store.root)
    assert [again.info(name).is_stand_in for name in ("real", "made-up")] == [False, True]
    assert [note.split()[1] for note in notes_on_features([real, random])] == ["made-up"]


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "ä"])
def test_a_name_that_could_leave_the_folder_is_refused(store: FeatureStore, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        store.create(FACES.model_copy(update={"name": name}))


def test_a_line_that_a_kill_tore_costs_that_video_only(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(2), fps=24.0)
    store.add(FACES.name, "b", rows(3), fps=24.0)
    index = store.root / FACES.name / "index.jsonl"
    index.write_bytes(index.read_bytes()[:-20])
    again = FeatureStore(store.root)
    assert again.video_ids(FACES.name) == ("a",)
    again.add(FACES.name, "c", rows(2), fps=24.0)
    assert FeatureStore(store.root).video_ids(FACES.name) == ("a", "c")


def test_a_line_that_says_something_impossible_is_an_error_with_its_number(store: FeatureStore) -> None:
    store.add(FACES.name, "a", rows(2), fps=24.0)
    with (store.root / FACES.name / "index.jsonl").open("a") as file:
        file.write(json.dumps({"video_id": "b", "n_frames": "many"}) + "\n")
    with pytest.raises(DataError, match=r"index.jsonl, line 2: n_frames"):
        FeatureStore(store.root).video_ids(FACES.name)


def test_what_overflowed_in_float16_is_refused_rather_than_kept_as_infinity(store: FeatureStore) -> None:
    values = np.array([[1, 2, np.float16(np.inf)]], np.float16)
    with pytest.raises(DataError, match="NaN or infinity"):
        store.add(FACES.name, "a", values, fps=24.0)
