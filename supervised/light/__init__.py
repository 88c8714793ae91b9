"""Light baselines at video level: trees and linear models on words, language and cues, and an average of them.

    from supervised.light import cross_validate, predict_light, train_light

See README.md here for members and figures.
"""

from supervised.light.crossval import CrossValidated
from supervised.light.importances import Importance
from supervised.light.predict import LightPrediction, predict_light, predictor
from supervised.light.recipe import LightRecipe
from supervised.light.train import LightReport, cross_validate, train_for_seed, train_light

__all__ = [
    "CrossValidated",
    "Importance",
    "LightPrediction",
    "LightRecipe",
    "LightReport",
    "cross_validate",
    "predict_light",
    "predictor",
    "train_for_seed",
    "train_light",
]
