"""What is trained for the supervised tables: an arm a line, and its training and prediction under a name of its own.

An arm's folder is named after its recipe and a digest of all its settings, so that tables which need the same model
share it, and the same command goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bah_mllm.paper.experiments import ExperimentRequest
from supervised.features.store import FeatureStore
from supervised.flows.predict import predict
from supervised.flows.train import train
from supervised.fusion.recipe import FusionRecipe
from supervised.reading import read_recipe
from supervised.training.requests import PredictRequest, TrainRequest

__all__ = ["Arm", "Trained", "backbones", "fusions", "modalities", "recipe_of", "train_and_predict"]

_FUSIONS = ("lfan", "can", "mt", "jmt")
_SUBSETS = (
    ("visual",),
    ("audio",),
    ("text",),
    ("visual", "audio"),
    ("visual", "text"),
    ("audio", "text"),
    ("visual", "audio", "text"),
)


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of a table.

    Args:
        label: As the table shows it.
        published: The paper's name of the same system, or None.
        recipe: What is trained.
    """

    label: str
    published: str | None
    recipe: FusionRecipe


@dataclass(frozen=True, slots=True)
class Trained:
    """Where an arm's models and rows are.

    Args:
        folder: Of the models of all seeds, as ``train`` writes it.
        runs: Run folder of each seed, in the order asked for.
    """

    folder: Path
    runs: Sequence[Path]


def train_and_predict(recipe: FusionRecipe, request: ExperimentRequest, out: Path) -> Trained:
    """Train a recipe with all seeds and predict with it; what is there is not made again.

    Args:
        recipe: What is trained.
        request: Data, features and seeds.
        out: Folder of all arms of all experiments.

    Raises:
        BahError: Data, features and recipe do not go together.
    """
    way = {} if recipe.published_way is None else {"published_way": recipe.published_way}
    settings = json.dumps({**recipe.model_dump(mode="json"), **way}, sort_keys=True)
    folder = out / f"{recipe.name}-{hashlib.sha256(settings.encode()).hexdigest()[:10]}"
    trained, device = folder / "trained", recipe.loop.device
    train(recipe, TrainRequest(request.data, trained, request.features, None, request.seeds))
    runs: list[Path] = []
    for seed in request.seeds:  # one by one, so that a run lies in the same place whatever seeds are asked for
        run = folder / f"run-{request.split or 'test'}" / f"seed-{seed}"
        asked = PredictRequest(trained, request.data, request.split, run, request.features, None, (seed,), device)
        runs += predict(asked)
    return Trained(trained, runs)


def recipe_of(request: ExperimentRequest, name: str, *overrides: str) -> FusionRecipe:
    """Return a recipe as the user wants it, but for what makes the arm."""
    return cast("FusionRecipe", read_recipe(name, [*request.overrides, *overrides]))


def backbones(request: ExperimentRequest, store: FeatureStore) -> list[Arm]:
    """Return every visual set of the store, without and with context, in the paper's order of backbones."""
    order = ("apvit", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    names = {"apvit": "APViT", **{name: name.replace("resnet", "ResNet") for name in order[1:]}}

    def backbone(feature_set: str) -> str | None:
        return next((one for one in sorted(order, key=len, reverse=True) if f"-{one}" in feature_set), None)

    sets = [name for name in store.names() if store.info(name).modality == "visual"]
    sets.sort(key=lambda name: (order.index(backbone(name) or "") if backbone(name) else len(order), name))
    arms = []
    for one in sets:
        known = backbone(one)
        for recipe, context in (("frame_visual", "no context"), ("tcn_visual", "TCN")):
            published = None if known is None else f"visual {names[known]} {context}"
            arms.append(Arm(f"{one}, {context}", published, recipe_of(request, recipe, f'features.visual="{one}"')))
    return arms


def modalities(request: ExperimentRequest, store: FeatureStore) -> list[Arm]:  # noqa: ARG001 - as the others
    """Return the multimodal recipe with every subset of its modalities."""
    whole = recipe_of(request, "lfan")
    return [Arm(" + ".join(some), f"LFAN {'+'.join(some)}", whole.restricted_to(some)) for some in _SUBSETS]


def fusions(request: ExperimentRequest, store: FeatureStore) -> list[Arm]:  # noqa: ARG001 - as the others
    """Return every fusion, corrected and faithful to the published code."""
    arms = []
    for variant in ("corrected", "faithful"):
        for name in _FUSIONS:
            recipe = recipe_of(request, name, f'model.variant="{variant}"')
            arms.append(Arm(f"{name.upper()} {variant}", f"fusion {name.upper()}", recipe))
    return arms
