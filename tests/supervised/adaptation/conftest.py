"""Made-up features of the demo set's videos: A/H lies along one axis, and every participant is shifted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.dataset import Dataset, demo_root, open_dataset
from supervised.features.store import FeatureSet, FeatureStore

DIM = 8


@pytest.fixture(scope="session")
def demo() -> Dataset:
    return open_dataset(demo_root())


def write_features(
    root: Path, dataset: Dataset, *, name: str = "made-up", modality: str = "visual", seed: int = 0, scale: float = 1.0
) -> FeatureStore:
    """Write a set with mirrored twins; ``scale`` 0 makes every frame the same."""
    store = FeatureStore(root)
    store.create(FeatureSet(name=name, modality=modality, dim=DIM, has_flipped=True))
    rng = np.random.default_rng(seed)
    shifts: dict[str, np.ndarray] = {}
    for video in dataset.videos():
        labels = dataset.frame_labels(video)
        shift = shifts.setdefault(video.participant_id, rng.normal(scale=0.7, size=DIM))
        values = rng.normal(size=(len(labels), DIM)) + shift
        values[:, 0] += 2.5 * labels
        values = (scale * values).astype(np.float32)
        flipped = values + np.float32(scale * 0.1)
        valid = np.ones(len(labels), dtype=bool)
        valid[:3] = False
        store.add(name, video.video_id, values, valid, fps=24.0, flipped=flipped)
    return store


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory, demo: Dataset) -> Path:
    root = tmp_path_factory.mktemp("features")
    write_features(root, demo)
    write_features(root, demo, name="heard", modality="audio", seed=1)
    return root


# Shorter trainings than the recipes'.
QUICK = (
    "features.visual=made-up",
    "source_training.hidden=16",
    "source_training.bottleneck=8",
    "source_training.loop.epochs=3",
)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """Return a source model, so that tests need not train one each."""
    from supervised.flows.adapt import adapt, make_request

    out = tmp_path_factory.mktemp("source") / "run"
    adapt(make_request("source_only", QUICK, out=out, features=features))
    return out / "source"


@pytest.fixture
def run(features: Path, source: Path) -> Callable[..., dict]:
    """Adapt on the demo set, quickly, and return the record as ``adapt.json`` has it."""
    from supervised.flows.adapt import adapt, make_request

    def call(recipe: str, out: Path, *overrides: str, **settings: object) -> dict:
        quick = {"source_only": (), "sub_based": ("loop.epochs=5", "subject_stage.loop.epochs=1")}
        chosen = (*QUICK, *quick.get(recipe, ("loop.epochs=2",)), *overrides)
        request = make_request(recipe, chosen, out=out, **{"features": features, "source": source, **settings})
        return adapt(request).model_dump(mode="json")

    return call
