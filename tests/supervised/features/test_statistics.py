"""Mean and spread of stored features, and features that others made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bah_mllm.core.errors import DataError
from supervised.features import FeatureSet, FeatureStore, feature_statistics, import_arrays

INFO = FeatureSet(name="x", modality="audio", dim=4)


def test_statistics_are_those_of_all_valid_rows_together(tmp_path: Path) -> None:
    store, rng = FeatureStore(tmp_path), np.random.default_rng(0)
    store.create(INFO)
    kept = []
    for number, n_frames in enumerate([1, 50, 7, 3]):
        values = rng.normal(1e4 * (number + 1), [1, 2, 3, 0], (n_frames, 4)).astype(np.float32)
        values[:, 3] = 5  # a dimension that never changes
        is_valid = rng.random(n_frames) < 0.8 if number != 3 else np.zeros(n_frames, bool)
        store.add("x", str(number), values, is_valid, fps=24.0)
        kept.append(values[is_valid].astype(np.float64))
    found = feature_statistics(store, "x", ["0", "1", "2", "3"])
    rows = np.concatenate(kept)
    assert found.n_frames == len(rows)
    assert np.allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    assert np.allclose(found.sd, rows.std(axis=0, ddof=1), rtol=1e-9)
    assert found.sd[3] == 0


def test_statistics_of_nothing_are_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.create(INFO)
    with pytest.raises(DataError, match="0 valid frames"):
        feature_statistics(store, "x", [])


def test_arrays_of_others_become_a_set_and_each_unusable_one_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    (folder / "Videos" / "1").mkdir(parents=True)
    good = np.arange(12, dtype=np.float32).reshape(3, 4)
    good[1, 2] = np.nan
    np.save(folder / "Videos" / "1" / "a.mp4.npy", good)
    np.save(folder / "b.npy", good[:2, :3])
    np.save(folder / "c.npy", np.array([{"object": 1}]), allow_pickle=True)
    np.save(folder / "d.npy", np.ones((2, 4), int))
    np.save(folder / "e.npy", np.ones(4, np.float32))
    ids = [f"Videos/1/{letter}.mp4" for letter in "abcdef"]
    store = FeatureStore(tmp_path / "f")
    assert import_arrays(store, INFO, folder, ids, fps=30.0) == 5
    found = store.read("x", ids[0])
    assert found.is_valid.tolist() == [True, False, True]
    assert found.values[2].tolist() == [8, 9, 10, 11]
    assert found.fps == 30.0
    reasons = ["must have the shape", "cannot be read", "holds int64", "must have the shape", "there is no array"]
    for video_id, reason in zip(ids[1:], reasons, strict=True):
        assert reason in (store.problem("x", video_id) or "")
