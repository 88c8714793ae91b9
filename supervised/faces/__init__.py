"""Training of face backbones on pixels: emotions, then A/H; and their frame by frame predictions, without context.

Reading order: ``recipe``, ``train`` (the flow), ``faces`` and ``emotion_sets`` (pictures), ``classification`` (the
strategy on the one loop), ``classifier`` (what is trained, and predicts).
"""

from supervised.faces.classifier import FaceClassifier, load_classifier, predict_backbone
from supervised.faces.recipe import BackboneRecipe
from supervised.faces.train import predictor, train_backbone, train_for_seed

__all__ = [
    "BackboneRecipe",
    "FaceClassifier",
    "load_classifier",
    "predict_backbone",
    "predictor",
    "train_backbone",
    "train_for_seed",
]
