"""Features that others made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from supervised.features import FeatureSet, FeatureStore, import_arrays

INFO = FeatureSet(name="x", modality="audio", dim=4)


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
