"""From a recipe to the weights of a backbone with its classifier.

The stages of the paper (section 4.2) are two recipes: emotions, then BAH starting from the folder of the first.
``build_backbone(name, folder)`` and ``bah-mllm features`` read what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset
from bah_mllm.evaluation.metrics import point_metrics
from supervised.faces.classifier import FaceClassifier, predict_faces
from supervised.faces.cross_entropy import FaceClassification
from supervised.faces.pictures import LabelledFaces, bah_faces, check_classes, emotion_faces, write_crops
from supervised.faces.recipe import BackboneRecipe, BahFaces, EmotionFaces
from supervised.features.crops import find_shipped
from supervised.models.backbones import build_backbone, save_backbone
from supervised.training.data import training_videos, validation_videos
from supervised.training.loop import fit
from supervised.training.predicting import VALIDATION_METRICS
from supervised.training.processes import Processes
from supervised.training.requests import TrainRequest

__all__ = ["train_backbone", "train_for_seed"]


class _Parts(NamedTuple):
    training: LabelledFaces
    validation: LabelledFaces


def train_backbone(
    recipe: BackboneRecipe, dataset: Dataset | None, out: Path, *, seed: int = 0, crops: Path | None = None
) -> dict[str, float]:
    """Train a backbone with a classifier, and write both as weights.

    Args:
        recipe: What to train.
        dataset: Of videos; None for emotions.
        out: For checkpoints, ``model.safetensors`` and ``backbone.json``; an earlier start there is gone on with.
        seed: Decides about everything random.
        crops: Where faces that are found are kept; ``out`` where None.

    Returns:
        Metrics of the kept epoch on the validation faces, and ``epoch``.

    Raises:
        ConfigError: The recipe names no data.
        DataError: A class has no face, or no picture can be read.
        PrerequisiteError: Weights, or what finds faces, are missing.
    """
    shared = Processes.current(recipe.device)
    torch.manual_seed(seed)
    backbone = build_backbone(
        recipe.backbone,
        recipe.weights,
        random=recipe.random,
        reduce_dim=recipe.reduce_dim,
        normalisation=recipe.normalisation,
    )
    started_from = f"{backbone.weights_name} {backbone.weights_digest}"
    faces = _emotions(recipe.data) if isinstance(recipe.data, EmotionFaces) else _bah(recipe, dataset, crops or out)
    for what, part in (("training", faces.training), ("validation", faces.validation)):
        notes = "".join(f"; {note}" for note in part.notes)
        say(f"{what}: {', '.join(f'{name} {n:,}' for name, n in part.counts().items())}{notes}")
    check_classes(faces.training, "training")
    model = FaceClassifier(backbone, nn.Linear(backbone.dim, len(faces.training.classes)))
    strategy = FaceClassification(
        faces.training,
        recipe.data,
        backbone,
        head_lr_factor=recipe.head_lr_factor,
        seed=seed,
        device=shared.device,
        shard=shared.shard,
    )
    validate = _validation(recipe, faces.validation) if faces.validation.paths else None
    fitted = fit(model, strategy, recipe.loop, folder=out, seed=seed, validate=validate)
    if shared.is_first:
        save_backbone(out, backbone, head=model.head, classes=faces.training.classes, started_from=started_from)
    return fitted.selected_metrics()


def train_for_seed(
    recipe: BackboneRecipe, request: TrainRequest, dataset: Dataset | None, folder: Path, seed: int
) -> dict[str, float]:
    """Train one seed of ``bah-mllm train``; crops of faces are shared by the seeds.

    Raises:
        BahError: As ``train_backbone``; ConfigError also where emotions are asked of a data set of videos.
    """
    if recipe.has_own_data and request.data is not None:
        raise ConfigError(
            f"The recipe {recipe.name} trains on the folders that it names, not on a data set of videos.",
            remedy="Leave --data out; the folders go into --set data.rafdb=DIR and so on.",
        )
    return train_backbone(recipe, dataset, folder, seed=seed, crops=request.out / "faces")


def _emotions(data: EmotionFaces) -> _Parts:
    named = {"rafdb": data.rafdb, "affectnet": data.affectnet, "affwild2": data.affwild2}
    roots = {name: Path(root) for name, root in named.items() if root is not None}
    if not roots:
        raise ConfigError(
            "Training on emotions needs a folder of RAF-DB, AffectNet or Aff-Wild2, and the recipe names none.",
            remedy="Add --set data.rafdb=DIR, --set data.affectnet=DIR or --set data.affwild2=DIR.",
        )
    return _Parts(*(emotion_faces(roots, data.classes, is_train=is_train) for is_train in (True, False)))


def _bah(recipe: BackboneRecipe, dataset: Dataset | None, crops: Path) -> _Parts:
    if dataset is None or not isinstance(recipe.data, BahFaces):
        raise ConfigError(f"The recipe {recipe.name} trains on videos.", remedy="Name their folder with --data ROOT.")
    training = training_videos(dataset, recipe.train_splits)
    validation = validation_videos(dataset, recipe.validation_splits)
    shipped = recipe.data.crops_root(dataset.root)
    bare = [video for video in (*training, *validation) if not find_shipped(shipped, video.video_id)]
    shared = Processes.current(recipe.device)
    if bare and shared.is_first:
        notes = write_crops(bare, crops, frame_step=recipe.data.frame_step, detector=recipe.data.detector)
        for note in notes[:5]:
            say(f"note: {note}")
    shared.wait()
    step = recipe.data.frame_step
    return _Parts(*(bah_faces(dataset, part, [shipped, crops], frame_step=step) for part in (training, validation)))


def _validation(recipe: BackboneRecipe, faces: LabelledFaces) -> Callable[[FaceClassifier], Mapping[str, float | None]]:
    """Return what judges the model after each epoch: as frames of BAH are judged, or as emotions are."""

    def validate(model: FaceClassifier) -> dict[str, float | None]:
        p = predict_faces(model, faces, batch_images=recipe.data.batch_images, workers=recipe.data.workers)
        is_read = ~np.isnan(p[:, 0])
        labels, p = faces.labels[is_read], p[is_read]
        if isinstance(recipe.data, BahFaces):
            found = point_metrics(labels, p[:, 1], names=VALIDATION_METRICS)
            return {f"val_{name}": value for name, value in found.items()}
        return _emotion_metrics(labels, p)

    return validate


def _emotion_metrics(labels: np.ndarray, p: np.ndarray) -> dict[str, float | None]:
    from sklearn.metrics import f1_score  # noqa: TID251 - of seven emotions: ours are of two classes

    if not len(labels):
        return {"val_accuracy": None, "val_macro_f1": None}
    hard = p.argmax(axis=1)
    present = np.unique(labels)
    macro_f1 = float(f1_score(labels, hard, labels=present, average="macro", zero_division=0.0))
    return {"val_accuracy": float((hard == labels).mean()), "val_macro_f1": macro_f1}
