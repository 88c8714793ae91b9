"""A trained model over features, and what it says about a video."""

from __future__ import annotations

from pathlib import Path

import torch

from bah_mllm.core.errors import RunError
from bah_mllm.core.records import Level, Video
from bah_mllm.dataset import Dataset
from supervised.features.store import FeatureStore
from supervised.fusion.recipe import FusionRecipe
from supervised.models import load_feature_model
from supervised.training.data import load_standard, load_video
from supervised.training.predicting import Predicted, frame_probabilities, video_probability
from supervised.training.record import TrainRecord
from supervised.training.requests import Predictor, PredictRequest

__all__ = ["fusion_predictor"]


def fusion_predictor(
    recipe: FusionRecipe, record: TrainRecord, request: PredictRequest, dataset: Dataset, folder: Path
) -> Predictor:
    """Return how a trained model over features predicts a video.

    Args:
        recipe: That it was trained by.
        record: Of its training: which features it was trained on.
        request: May name another folder of features.
        dataset: Whose videos.
        folder: Of the seed.

    Raises:
        RunError: The weights are missing or damaged, or the features were made otherwise than those trained on.
        DataError: A feature set is not there.
    """
    store = FeatureStore(request.features or Path(record.features.path))
    for trained_on in record.features.sets:
        if store.info(trained_on.name).made_by() != trained_on.made_by():
            raise RunError(
                f"The features {trained_on.name} in {store.root} were made otherwise than those trained on.",
                remedy="Give --features with the same settings and weights.",
            )
    device = torch.device("cuda" if request.device == "auto" and torch.cuda.is_available() else "cpu")
    model = load_feature_model(folder).to(device)
    standard = load_standard(folder)

    def predict(video: Video) -> Predicted:
        loaded = load_video(store, recipe.features, dataset, video).video
        if recipe.data.supervision == "video":
            return Predicted(video_probability(model, loaded, standard=standard))
        return Predicted(frame_probabilities(model, loaded, standard=standard, **recipe.over_videos))

    return Predictor(Level.VIDEO if recipe.data.supervision == "video" else Level.FRAME, predict)
