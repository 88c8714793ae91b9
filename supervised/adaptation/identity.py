"""What the run folder of an adaptation tells besides its rows, and what must be the same to go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Level, Video
from bah_mllm.dataset import Dataset
from supervised.adaptation.request import AdaptRequest
from supervised.adaptation.source import source_digest, source_features, source_videos
from supervised.features.store import FeatureStore, notes_on_features
from supervised.training.record import digest_features

__all__ = ["RunDescription", "describe_run"]


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What a run folder is made with.

    Args:
        config: The request, resolved.
        identity: What decides about results.
        notes: What must stand above every table.
    """

    config: dict[str, Any]
    identity: dict[str, Any]
    notes: list[str]


def describe_run(
    request: AdaptRequest, dataset: Dataset, store: FeatureStore, split: str | None, targets: Mapping[str, list[Video]]
) -> RunDescription:
    """Return what a run folder is made with.

    Args:
        request: What is asked for.
        dataset: Of source and targets.
        store: With the features.
        split: Of the targets.
        targets: Participant to their videos.

    Raises:
        DataError: Features that are needed are not there.
        RunError: The source is no trained model.
        ConfigError: The source is no model over features of frames.
    """
    features = request.recipe.features if request.source is None else source_features(request.source)
    names = list(features.values())
    of_source = source_videos(request.recipe, dataset)
    videos = [*of_source, *(video for several in targets.values() for video in several)]
    sets = [store.info(name) for name in names]
    identity = {
        "level": Level.FRAME.value,
        "system": request.recipe.system,
        "split": split,
        "recipe": request.recipe.decisive(),
        "feature_sets": [one.made_by() for one in sets],
        "features_held": digest_features(store, names, videos),
        "source": None if request.source is None else source_digest(request.source),
        "target_split": request.target_split,
        "targets": None if request.targets is None else list(request.targets),
        "seed": request.seed,
        "fingerprint": dataset.fingerprint(),
    }
    notes = [f"target split by {request.target_split}: rows are of the test part of each target's frames alone"]
    if request.target_split == "frame":
        notes.append("test frames have neighbours among the training frames, as in the paper: results are optimistic")
    n_known = len({video.participant_id for video in of_source} & targets.keys())
    if n_known:
        notes.append(f"{n_known} participants are targets and in the source: the source model knows their labels")
    if dataset.is_synthetic:
        notes.insert(0, SYNTHETIC)
    notes += notes_on_features(sets)
    config = {**request.model_dump(mode="json", exclude={"workers"}), "split": split, "level": Level.FRAME.value}
    return RunDescription(config, identity, notes)
