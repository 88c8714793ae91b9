"""A trained backbone, and what it says about every frame of a video, each judged alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level, Status, Video
from bah_mllm.dataset import Dataset
from supervised.faces.classifier import load_classifier, predict_backbone
from supervised.faces.recipe import BackboneRecipe, BahFaces
from supervised.features.crops import choose_detector, faces_in_video, find_shipped, open_detector, shipped_faces
from supervised.training.predicting import Predicted
from supervised.training.record import TrainRecord
from supervised.training.requests import Predictor, PredictRequest

__all__ = ["backbone_predictor"]


def backbone_predictor(
    recipe: BackboneRecipe,
    record: TrainRecord,  # noqa: ARG001 - as the other predictors
    request: PredictRequest,
    dataset: Dataset,
    folder: Path,
) -> Predictor:
    """Return how a trained backbone predicts the frames of a video, each alone.

    Raises:
        ConfigError: It was trained on emotions.
        DataError: The folder holds no classifier.
    """
    if not isinstance(recipe.data, BahFaces):
        raise ConfigError(
            f"The backbone {recipe.name} tells emotions apart, not A/H.",
            remedy="Fine-tune it: bah-mllm train --recipe finetune_bah --set weights=DIR --data ROOT --out DIR",
        )
    data, shipped = recipe.data, recipe.data.crops_root(dataset.root)
    device = "cuda" if request.device == "auto" and torch.cuda.is_available() else "cpu"
    model = load_classifier(folder).to(device)

    def predict(video: Video) -> Predicted:
        if crops := find_shipped(shipped, video.video_id):
            return Predicted(predict_backbone(model, shipped_faces(crops, max(crops) + 1)))
        if video.path is None:
            return Predicted(None, Status.NO_MEDIA, "neither the video nor crops of its faces are there")
        return Predicted(predict_backbone(model, _found_faces(video.path, data)))

    return Predictor(Level.FRAME, predict)


def _found_faces(path: Path, data: BahFaces) -> Iterator[np.ndarray | None]:
    detector = open_detector(choose_detector(data.detector))
    try:
        for face, _ in faces_in_video(path, detector, detect_every=data.frame_step):
            yield face
    finally:
        detector.close()
