"""The one registry of what can be trained, predicted with and adapted: a recipe's ``kind`` decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Where the parts of a kind are, as "module:Object", loaded when they are needed.

    Args:
        recipe: A ``supervised.training.recipe.Recipe``.
        train: A function of (recipe, request, dataset, folder, seed) that trains into the folder and returns the kept
            model's metrics; None where ``bah-mllm train`` does not take the kind.
        predict: A function of (recipe, record, request, dataset, folder) that returns a ``Predictor``; None likewise.
        weights: Name of the file in a seed's folder that decides about its predictions.
    """

    recipe: str
    train: str | None = None
    predict: str | None = None
    weights: str = "model.safetensors"


KINDS: Mapping[str, Kind] = {
    "fusion": Kind(
        "supervised.fusion.recipe:FusionRecipe",
        "supervised.fusion.train:train_fusion",
        "supervised.fusion.predict:fusion_predictor",
    ),
    "light": Kind(
        "supervised.light.recipe:LightRecipe",
        "supervised.light.train:train_for_seed",
        "supervised.light.predict:light_predictor",
        weights="model.skops",
    ),
    "backbone": Kind(
        "supervised.faces.recipe:BackboneRecipe",
        "supervised.faces.train:train_for_seed",
        "supervised.faces.predict:backbone_predictor",
    ),
    "adaptation": Kind("supervised.adaptation.recipe:AdaptationRecipe"),
}
