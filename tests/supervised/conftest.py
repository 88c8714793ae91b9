"""A data set without media in BAH's layout, and a store with features on which its labels can be learnt."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from supervised.features.store import FeatureSet, FeatureStore
from supervised.training.record import DataTrainedOn, FeaturesTrainedOn, TrainRecord
from tests.supervised.made_up import MADE_UP_DIMS, made_up_videos


def write_planted(folder: Path, names: Mapping[str, str]) -> tuple[Path, Path]:
    """Write split files of 12 videos (8 train, 2 val, 2 test), and feature sets: modality to the set's name."""
    root, store = folder / "BAH_DB", FeatureStore(folder / "features")
    for modality, name in names.items():
        store.create(FeatureSet(name=name, modality=modality, dim=MADE_UP_DIMS[modality]))
    for part in ("split", "split-frames"):
        (root / part).mkdir(parents=True)
        (root / part / "class_id.yaml").write_text("With A-H: 1\nNo A-H: 0\n")
    for number, video in enumerate(made_up_videos(12, seed=5)):
        split = "train" if number < 8 else "val" if number < 10 else "test"
        person = 91000 + number
        name = f"Videos/{person}/Visite_1/{person}_Question_{video.question}_2025-01-01_10-00-00_Video.mp4"
        with (root / "split" / f"{split}.txt").open("a") as file:
            file.write(f"{name},{number % 2},made up\n")
        with (root / "split-frames" / f"{split}.txt").open("a") as file:
            file.writelines(f"{name}/frame-{k}.jpg,{label}\n" for k, label in enumerate(video.frame_labels))
        for modality, feature_set in names.items():
            store.add(feature_set, name, video.features[modality], fps=10.0)
    return root, store.root


@pytest.fixture
def planted_root(tmp_path: Path) -> tuple[Path, Path]:
    """A small data set and a store with the feature sets a, t and v."""
    return write_planted(tmp_path, {modality: modality[0] for modality in MADE_UP_DIMS})


@pytest.fixture
def paper_root(tmp_path: Path) -> tuple[Path, Path]:
    """A small data set and a store whose sets have the names that the shipped recipes take."""
    return write_planted(tmp_path, {"visual": "face-resnet152", "audio": "vggish", "text": "bert"})


@pytest.fixture
def record() -> TrainRecord:
    """The record of a training without features and cues."""
    return TrainRecord(
        recipe={"kind": "made up"},
        data=DataTrainedOn(path=None, name="made up", edition=None, is_synthetic=True, videos=""),
        features=FeaturesTrainedOn(path="", sets=()),
        seeds=(0,),
        validation={0: {}},
    )
