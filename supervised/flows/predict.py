"""The main flow of prediction: a trained folder and a data set to run folders that ``bah-mllm evaluate`` judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bah_mllm.core.errors import ConfigError, RunError
from bah_mllm.core.files import digest_file
from bah_mllm.core.loading import load_named
from bah_mllm.core.notes import learnt_from
from bah_mllm.core.records import Level, Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from supervised.features.store import FeatureSet, FeatureStore, notes_on_features
from supervised.flows.train import RECORD, read_record, seed_folder
from supervised.models import load_feature_model
from supervised.reading import FusionRecipe, parse_recipe
from supervised.training.data import load_standard, load_video
from supervised.training.predicting import (
    Predicted,
    RunAbout,
    frame_probabilities,
    video_probability,
    write_predictions,
)

__all__ = ["PredictRequest", "fusion_predictor", "predict"]

# kind of recipe -> function of (recipe, record, request, dataset, folder) that returns (level, Video -> Predicted)
PREDICTORS = {
    "fusion": "supervised.flows.predict:fusion_predictor",
    "light": "supervised.light:predictor",
    "backbone": "supervised.faces:predictor",
}

Predictor = tuple[Level, Callable[[Video], Predicted]]


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What the user asks for.

    Args:
        trained: Folder that ``bah-mllm train`` wrote.
        data: Root of a data set; None is the demo set.
        split: Whose videos; None is ``test`` where the data set has splits, else all.
        out: Run folder; with several seeds, a folder of run folders.
        features: Folder of features; None is the one that was trained on.
        cues: Folder of cues; None is the one that was trained on.
        seeds: Which seeds; None is all that were trained.
        device: ``auto`` or ``cpu``.
    """

    trained: Path
    data: str | None
    split: str | None
    out: Path
    features: Path | None = None
    cues: Path | None = None
    seeds: Sequence[int] | None = None
    device: str = "auto"


def predict(request: PredictRequest) -> list[Path]:
    """Write the rows of every seed's model, go on where an earlier start ended, and return the run folders.

    Raises:
        BahError: The folder holds nothing trained, or data and features do not go with it.
    """
    if request.device not in ("auto", "cpu"):
        raise ConfigError(f"There is no device {request.device!r}.", remedy="Use --device auto or cpu.")
    record = read_record(request.trained)
    recipe = parse_recipe(record["recipe"], where=str(request.trained / RECORD))
    dataset, split = dataset_and_split(request.data, request.split)
    seeds, notes = _seeds(request, record), _notes(record, dataset, split)
    for note in notes:
        say(f"note: {note}")
    predictor_of = load_named(PREDICTORS, record["recipe"]["kind"], kind="predictor for recipes")
    folders = []
    for seed in seeds:
        folder = seed_folder(request.trained, seed)
        level, one = predictor_of(recipe, record, request, dataset, folder)
        out = request.out if len(seeds) == 1 else request.out / f"seed-{seed}"
        model = {
            "recipe": record["recipe"],
            "features": [FeatureSet.model_validate(one).made_by() for one in record["features"]["sets"]],
            "seed": seed,
        }
        # Rows of other weights are never gone on with.
        weights = [path for path in (folder / "model.safetensors", folder / "model.skops") if path.exists()]
        model |= {"weights": [digest_file(path) for path in weights]}
        about = RunAbout(_system(record), level, request.data, split, model, notes)
        n_rows = write_predictions(out, dataset, dataset.videos(split), one, about)
        say(f"{about.system}, seed {seed}: {', '.join(f'{n:,} {status}' for status, n in n_rows.items())} -> {out}")
        folders.append(out)
    return folders


def fusion_predictor(
    recipe: FusionRecipe, record: dict[str, Any], request: PredictRequest, dataset: Dataset, folder: Path
) -> Predictor:
    """Return how a trained model over features predicts a video."""
    store = FeatureStore(request.features or Path(record["features"]["path"]))
    for trained_on in map(FeatureSet.model_validate, record["features"]["sets"]):
        if store.info(trained_on.name) != trained_on:
            raise RunError(
                f"The features {trained_on.name} in {store.root} were made otherwise than those trained on.",
                remedy="Give --features with the same settings and weights.",
            )
    device = torch.device("cuda" if request.device == "auto" and torch.cuda.is_available() else "cpu")
    model = load_feature_model(folder).to(device)
    standard = load_standard(folder)

    def predict_one(video: Video) -> Predicted:
        loaded = load_video(store, recipe.features, dataset, video).video
        if recipe.data.supervision == "video":
            return Predicted(video_probability(model, loaded, standard=standard))
        return Predicted(frame_probabilities(model, loaded, standard=standard, **recipe.prediction.model_dump()))

    return (Level.VIDEO if recipe.data.supervision == "video" else Level.FRAME), predict_one


def _seeds(request: PredictRequest, record: dict[str, Any]) -> list[int]:
    trained = [int(seed) for seed in record["validation"]]
    wanted = trained if request.seeds is None else list(request.seeds)
    missing = sorted(set(wanted) - set(trained))
    if missing or not wanted:
        raise RunError(
            f"{request.trained} has no finished model of seed {missing[0] if missing else 0}.",
            remedy="Run the same `bah-mllm train` command again: it goes on where it stopped.",
        )
    return wanted


def _system(record: dict[str, Any]) -> str:
    recipe = record["recipe"]
    is_faithful = recipe.get("model", {}).get("variant") == "faithful"
    return f"{recipe['name']} faithful" if is_faithful else str(recipe["name"])


def _notes(record: dict[str, Any], dataset: Dataset, split: str | None) -> list[str]:
    """Return what must stand above every table of these rows."""
    notes = notes_on_features(map(FeatureSet.model_validate, record["features"]["sets"]))
    if record["data"]["is_synthetic"]:
        notes.append("trained on the demo set (synthetic)")
    learnt = [*record["recipe"].get("train_splits", ()), record["recipe"].get("val_split")]
    if dataset.name == record["data"]["name"] and (split is None or split in learnt):
        notes.append(learnt_from(split or "some of these videos"))
    return notes
