"""From a recipe and features to a trained model over them; also models that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.core.files import make_folder
from bah_mllm.core.records import Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation.metrics import point_metrics
from supervised.features.store import FeatureStore
from supervised.fusion.recipe import FusionRecipe
from supervised.models import build_model, load_feature_model, save_model
from supervised.training.cross_entropy import Classification
from supervised.training.data import (
    LoadedVideos,
    Standard,
    fit_standard,
    load_videos,
    save_standard,
    training_videos,
    validation_videos,
)
from supervised.training.loop import fit
from supervised.training.predicting import VALIDATION_METRICS, frame_probabilities, video_probability
from supervised.training.processes import Processes
from supervised.training.recipe import Recipe
from supervised.training.record import RECORD, describe_training, read_record, seed_folder, write_record
from supervised.training.requests import TrainRequest

__all__ = ["adopt", "train_fusion", "validation_metrics"]


def train_fusion(
    recipe: FusionRecipe, request: TrainRequest, dataset: Dataset, folder: Path, seed: int
) -> dict[str, float]:
    """Train a model over features, and return its metrics on the validation split, if there is one.

    Raises:
        BahError: There is nothing to train on, or features, model and recipe do not go together.
    """
    shared = Processes.current(recipe.device)
    store = FeatureStore(request.features)
    training = _load(store, recipe, dataset, training_videos(dataset, recipe.train_splits))
    validation = _load(store, recipe, dataset, validation_videos(dataset, recipe.validation_splits))
    _refuse_nothing(training, recipe, dataset)
    standard = fit_standard(training.videos, recipe.standardise)
    dims: dict[str, int] = {modality: store.info(name).dim for modality, name in recipe.features.items()}
    torch.manual_seed(seed)
    model = build_model(recipe.model.name, dims, variant=recipe.model.variant, **recipe.model_options())
    strategy = Classification(
        training.videos,
        recipe.data,
        seed=seed,
        standard=standard,
        device=shared.device,
        shard=shared.shard,
        n_frames=model.window_frames,
    )

    def validate(model: nn.Module) -> Mapping[str, float | None]:
        found = validation_metrics(model, recipe, standard, validation)
        return {f"val_{name}": value for name, value in found.items()}

    fitted = fit(
        model,
        strategy,
        recipe.loop,
        folder=folder,
        seed=seed,
        validate=validate if validation.videos else None,
    )
    if shared.is_first:
        save_standard(folder, standard)
        save_model(folder, model)
    return fitted.selected_metrics()


def _refuse_nothing(training: LoadedVideos, recipe: FusionRecipe, dataset: Dataset) -> None:
    if training.videos:
        return
    if not training.left_out:
        raise DataError(
            f"{dataset.name} has no video to train on in {', '.join(recipe.train_splits)}.",
            remedy="Name splits with videos with --set 'train_splits=[\"...\"]'.",
        )
    raise ConfigError(
        f"None of the {len(training.left_out)} training videos has the features {', '.join(recipe.features.values())}.",
        remedy="Run `bah-mllm features` first; it says what is missing.",
    )


def validation_metrics(
    model: nn.Module, recipe: FusionRecipe, standard: Standard, validation: LoadedVideos
) -> dict[str, float | None]:
    """Return ``VALIDATION_METRICS`` of a model over labelled videos or over their labelled frames, as it is trained.

    Args:
        model: In evaluation mode.
        recipe: How it goes over a video.
        standard: As in training.
        validation: What it is judged on.
    """
    if recipe.data.supervision == "video":
        labelled = [video for video in validation.videos if video.label is not None]
        of_videos = [video.label for video in labelled if video.label is not None]
        p_videos = [video_probability(model, video, standard=standard) for video in labelled]
        return point_metrics(of_videos, p_videos, names=VALIDATION_METRICS)
    labelled = [video for video in validation.videos if video.frame_labels is not None]
    p = [frame_probabilities(model, video, standard=standard, **recipe.over_videos) for video in labelled]
    of_frames = [video.frame_labels for video in labelled if video.frame_labels is not None]
    labels, scores = np.concatenate([*of_frames, np.zeros(0, np.int8)]), np.concatenate([*p, np.zeros(0)])
    return point_metrics(labels[labels >= 0], scores[labels >= 0], names=VALIDATION_METRICS)


def adopt(model_folder: Path, recipe: Recipe, request: TrainRequest) -> None:
    """Lay a model that was trained elsewhere out as one trained here, so that ``bah-mllm predict`` takes it.

    Args:
        model_folder: As ``save_model`` writes it; stays as it is.
        recipe: Feature sets, standardisation and windows to predict with; its model must be the folder's.
        request: Data set and features, whose training and validation videos give means and deviations, as in the
            published code; ``out`` and one seed, under which the model then stands.

    Raises:
        ConfigError: The recipe is of another model, or feature widths differ.
        RunError: Something was trained into ``out``.
    """
    if not isinstance(recipe, FusionRecipe):
        raise ConfigError("Only models over features can be predicted with.", remedy="Leave --features out.")
    if (request.out / RECORD).exists() and not read_record(request.out).is_imported:
        raise RunError(f"A model was trained into {request.out}.", remedy="Name another --out.")
    dataset, _ = dataset_and_split(request.data, None)
    store, model = FeatureStore(request.features), load_feature_model(model_folder)
    recipe = recipe.restricted_to(model.modalities)
    dims = {modality: store.info(name).dim for modality, name in recipe.features.items()}
    wanted = (recipe.model.name, recipe.model.variant, dims)
    there = (model.spec.name, model.spec.variant, dict(model.spec.dims))
    if wanted != there:
        raise ConfigError(
            f"The weights are of {there[0]} ({there[1]}, {there[2]}), but the recipe is of {wanted[0]} ({wanted[1]}, "
            f"{wanted[2]}).",
            remedy="Give the recipe of that model with --set model.variant=..., and features of its widths.",
        )
    videos = [*training_videos(dataset, recipe.train_splits), *validation_videos(dataset, recipe.validation_splits)]
    standard = fit_standard(_load(store, recipe, dataset, videos).videos, recipe.standardise)
    record = describe_training(recipe, request, dataset).with_seed(request.seeds[0], {})
    folder = seed_folder(request.out, request.seeds[0])
    make_folder(request.out)
    save_model(folder, model)
    save_standard(folder, standard)
    write_record(request.out, record.model_copy(update={"is_imported": True}))


def _load(store: FeatureStore, recipe: FusionRecipe, dataset: Dataset, videos: Sequence[Video]) -> LoadedVideos:
    loaded = load_videos(store, recipe.features, dataset, videos, flipped=recipe.data.flip)
    if not Processes.current(recipe.device).is_first:
        return loaded
    for video_id, reason in list(loaded.left_out.items())[:5]:
        say(f"note: {video_id} is left out: {reason}")
    if len(loaded.left_out) > 5:
        say(f"note: {len(loaded.left_out) - 5} more videos are left out")
    for note in loaded.notes:
        say(f"note: {note}")
    return loaded
