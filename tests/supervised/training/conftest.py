"""A data set without media in BAH's layout, and a store with features on which its labels can be learnt."""

from pathlib import Path

import pytest

from supervised.features.store import FeatureSet, FeatureStore
from supervised.training.made_up import MADE_UP_DIMS, made_up_videos


@pytest.fixture
def planted_root(tmp_path: Path) -> tuple[Path, Path]:
    """Split files of 12 videos (8 train, 2 val, 2 test) and a store with the feature sets a, t and v."""
    root, store = tmp_path / "BAH_DB", FeatureStore(tmp_path / "features")
    for modality, dim in MADE_UP_DIMS.items():
        store.create(FeatureSet(name=modality[0], modality=modality, dim=dim))
    for folder in ("split", "split-frames"):
        (root / folder).mkdir(parents=True)
        (root / folder / "class_id.yaml").write_text("With A-H: 1\nNo A-H: 0\n")
    for number, video in enumerate(made_up_videos(12, seed=5)):
        split = "train" if number < 8 else "val" if number < 10 else "test"
        person = 91000 + number
        name = f"Videos/{person}/Visite_1/{person}_Question_{video.question}_2025-01-01_10-00-00_Video.mp4"
        with (root / "split" / f"{split}.txt").open("a") as file:
            file.write(f"{name},{number % 2},made up\n")
        with (root / "split-frames" / f"{split}.txt").open("a") as file:
            file.writelines(f"{name}/frame-{k}.jpg,{label}\n" for k, label in enumerate(video.frame_labels))
        for modality, values in video.features.items():
            store.add(modality[0], name, values, fps=10.0)
    return root, tmp_path / "features"
