"""``train.json``: what was trained into a folder, on what; its one reader, and the rules of going on with it.

::

    OUT/train.json       a ``TrainRecord``
        seed-0/ ...      what the recipe's kind keeps of a seed: weights, checkpoints
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bah_mllm.core.errors import RunError
from bah_mllm.core.files import LOCK_NAME, refuse_difference, write_atomically
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.core.records import Video
from bah_mllm.cues.store import digest_cues
from bah_mllm.dataset import Dataset
from bah_mllm.predictions.manifest import package_versions
from supervised.features.store import FeatureSet, FeatureStore
from supervised.training.data import training_videos, validation_videos
from supervised.training.predicting import PredictionSettings
from supervised.training.recipe import TrainingRecipe
from supervised.training.requests import TrainRequest

__all__ = [
    "RECORD",
    "DataTrainedOn",
    "FeaturesTrainedOn",
    "ModelInputs",
    "OverSeeds",
    "TrainRecord",
    "describe_training",
    "digest_features",
    "go_on_with",
    "read_record",
    "seed_folder",
    "write_record",
]

RECORD = "train.json"
_UNTOLD = ("device", "tensorboard")  # settings of a loop that decide about no weight


class DataTrainedOn(BaseModel):
    """The data set.

    Args:
        path: As the user wrote it; None is the demo set.
        name: None where the recipe names folders of its own.
        edition: Of BAH, where known.
        is_synthetic: Whether it is the demo set.
        videos: Digest of all videos: splits, labels, and words and questions where the recipe reads them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None
    name: str | None
    edition: str | None
    is_synthetic: bool
    videos: str


class FeaturesTrainedOn(BaseModel):
    """The features.

    Args:
        path: Their folder.
        sets: In the recipe's order.
        content: Digest of what the sets hold of the videos; None without sets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sets: tuple[FeatureSet, ...]
    content: str | None = None


class OverSeeds(BaseModel):
    """A metric over the seeds.

    Args:
        mean: Over those in which it is defined.
        sd: With n - 1; None for one seed.
        n: Seeds in which it is defined.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float
    sd: float | None
    n: int


class ModelInputs(NamedTuple):
    """What a model over features takes, whatever its kind.

    Attributes:
        features: Modality to the name of its feature set, the leading modality first.
        prediction: How it goes over a video.
    """

    features: dict[str, str]
    prediction: PredictionSettings


class TrainRecord(BaseModel):
    """What a stranger needs to train the same again, and what came out.

    Args:
        recipe: Resolved, as plain values; ``supervised.reading.parse_recipe`` makes them one of their kind.
        data: What was trained on.
        features: The same, of features.
        cues: Folder of observed cues, where the recipe takes them.
        cues_digest: Of what it holds.
        published_way: How validation went over videos where that was the published code's way.
        seeds: Asked for, those of earlier starts included.
        validation: By seed: metrics of the kept model that are defined, and ``epoch``. Finished seeds only.
        summary: Metric to its mean and deviation over the finished seeds.
        packages: Versions that can move a number.
        is_imported: The weights were trained elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: dict[str, Any]
    data: DataTrainedOn
    features: FeaturesTrainedOn
    cues: str | None = None
    cues_digest: str | None = None
    published_way: dict[str, Any] | None = None
    seeds: tuple[int, ...]
    validation: dict[int, dict[str, float]]
    summary: dict[str, OverSeeds] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    is_imported: bool = False

    @property
    def kind(self) -> str:
        """Of the recipe."""
        return str(self.recipe.get("kind"))

    @property
    def inputs(self) -> ModelInputs | None:
        """What the models take, where they are over features; None of other kinds."""
        if not self.recipe.get("features"):
            return None
        prediction = PredictionSettings.model_validate(self.recipe.get("prediction", {}))
        return ModelInputs(dict(self.recipe["features"]), prediction)

    def with_seed(self, seed: int, metrics: Mapping[str, float]) -> TrainRecord:
        """Return the record with the metrics of a finished seed; those that are no number are left out."""
        defined = {name: value for name, value in metrics.items() if math.isfinite(value)}
        validation = {**self.validation, seed: defined}
        return self.model_copy(update={"validation": validation, "summary": _over_seeds(validation)})

    def decisive(self) -> dict[str, Any]:
        """Return all that decides about the weights, under the names that a refusal to go on calls them."""
        loop = {name: value for name, value in self.recipe.get("loop", {}).items() if name not in _UNTOLD}
        return {
            "recipe": {**self.recipe, "loop": loop},
            "the digest of the data set's labels": self.data.videos,
            "feature sets": {one.name: one.made_by() for one in self.features.sets},
            "the digest of the features": self.features.content,
            "the digest of the cues": self.cues_digest,
            "the published way over videos": self.published_way,
        }


def seed_folder(out: Path, seed: int) -> Path:
    """Return where the model of a seed lies."""
    return out / f"seed-{seed}"


def read_record(trained: Path) -> TrainRecord:
    """Return what ``bah-mllm train`` wrote about a folder.

    Raises:
        RunError: It wrote nothing there, or the file is damaged.
    """
    path = trained / RECORD
    if not path.exists():
        raise RunError(
            f"{trained} holds nothing trained: there is no {RECORD}.",
            remedy="Give the folder that `bah-mllm train --out` named.",
        )
    refusal = Refusal(RunError, f"{path} is damaged", "Restore it, or train again into another folder.")
    return read_json_as(path, TrainRecord, refusal)


def write_record(out: Path, record: TrainRecord) -> None:
    """Write ``train.json`` in one step."""
    write_atomically(out / RECORD, (record.model_dump_json(indent=1) + "\n").encode())


def describe_training(recipe: TrainingRecipe, request: TrainRequest, dataset: Dataset | None) -> TrainRecord:
    """Return the record of a training that is yet to begin.

    Args:
        recipe: What is trained.
        request: On what.
        dataset: None where the recipe names folders of its own.

    Raises:
        BahError: The data set lacks a split to train on, or a feature set or the cues are not there.
    """
    videos = () if dataset is None else dataset.videos()
    return TrainRecord(
        recipe=recipe.model_dump(mode="json"),
        data=DataTrainedOn(
            path=request.data,
            name=None if dataset is None else dataset.name,
            edition=None if dataset is None else dataset.edition,
            is_synthetic=dataset is not None and dataset.is_synthetic,
            videos=_digest_videos(videos, with_words=recipe.reads_words),
        ),
        features=_describe_features(recipe, request, dataset),
        cues=None if request.cues is None else str(request.cues),
        cues_digest=None if request.cues is None else digest_cues(request.cues, [video.video_id for video in videos]),
        published_way=recipe.published_way,
        seeds=tuple(sorted(request.seeds)),
        validation={},
        packages=package_versions(),
    )


def go_on_with(out: Path, record: TrainRecord) -> TrainRecord:
    """Return a record with the seeds and results of an earlier start in the folder, if there was one.

    Raises:
        RunError: The folder holds something else, or what was trained there was trained otherwise.
    """
    if not (out / RECORD).exists():
        strangers = {one.name for one in out.iterdir()} - {LOCK_NAME}
        if strangers:
            raise RunError(
                f"The folder {out} holds files but no {RECORD} ({', '.join(sorted(strangers)[:3])}).",
                remedy="Name a new or empty folder with --out.",
            )
        return record
    earlier = read_record(out)
    if not earlier.validation and not any(out.glob("seed-*/checkpoint.pt")):
        return record  # an earlier start failed before it trained anything
    if earlier.is_imported:
        raise RunError(f"{out} holds weights that were trained elsewhere.", remedy="Name another --out.")
    refuse_difference(
        f"The training in {out}",
        earlier.decisive(),
        record.decisive(),
        remedy="Name another --out, or give the same settings and data to go on.",
    )
    return record.model_copy(
        update={
            "seeds": tuple(sorted({*earlier.seeds, *record.seeds})),
            "validation": earlier.validation,
            "summary": _over_seeds(earlier.validation),
        }
    )


def digest_features(store: FeatureStore, names: Sequence[str], videos: Sequence[Video]) -> str:
    """Return a digest of what feature sets hold of videos, 64 hexadecimal digits; the order counts."""
    held = "\n".join(f"{name},{one.video_id},{store.digest(name, one.video_id)}" for name in names for one in videos)
    return hashlib.sha256(held.encode()).hexdigest()


def _describe_features(recipe: TrainingRecipe, request: TrainRequest, dataset: Dataset | None) -> FeaturesTrainedOn:
    names = list(recipe.feature_sets.values())
    if dataset is None or not names:
        return FeaturesTrainedOn(path=str(request.features), sets=())
    store = FeatureStore(request.features)
    videos = [*training_videos(dataset, recipe.train_splits), *validation_videos(dataset, recipe.validation_splits)]
    return FeaturesTrainedOn(
        path=str(request.features),
        sets=tuple(store.info(name) for name in names),
        content=digest_features(store, names, videos),
    )


def _digest_videos(videos: Sequence[Video], *, with_words: bool) -> str:
    digest = hashlib.sha256()
    for video in videos:
        words = video.transcript.text if with_words and video.transcript is not None else None
        question = video.question if with_words else None
        digest.update(json.dumps([video.video_id, video.split, video.label, question, words]).encode())
    return digest.hexdigest()


def _over_seeds(validation: Mapping[int, Mapping[str, float]]) -> dict[str, OverSeeds]:
    names = dict.fromkeys(name for metrics in validation.values() for name in metrics if name != "epoch")
    summary = {}
    for name in names:
        values = [metrics[name] for metrics in validation.values() if name in metrics]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        summary[name] = OverSeeds(mean=float(np.mean(values)), sd=sd, n=len(values))
    return summary
