"""Recipes: TOML files that say what is trained, on what and how, with the source of every number.

``read_recipe("lfan")`` reads a shipped one, ``read_recipe("mine.toml")`` a file. Overrides (``--set loop.lr=0.01``)
replace single values; the resolved recipe is kept beside what was trained.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.loading import load_named
from supervised.records import MODALITIES
from supervised.training.cross_entropy import ClassificationSettings
from supervised.training.loop import LoopSettings

__all__ = ["KINDS", "FusionRecipe", "ModelChoice", "PredictionSettings", "list_recipes", "parse_recipe", "read_recipe"]

KINDS = {
    "fusion": "supervised.reading:FusionRecipe",
    "light": "supervised.light:LightRecipe",
    "backbone": "supervised.faces:BackboneRecipe",
    "adaptation": "supervised.adaptation:AdaptationRecipe",
}


class ModelChoice(BaseModel):
    """A model of ``supervised.models``.

    Args:
        name: A key of its ``MODELS``.
        variant: ``corrected``, or ``faithful`` to the published code's structure and defects.
        options: What else its builder takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    variant: Literal["corrected", "faithful"] = "corrected"
    options: dict[str, Any] = Field(default_factory=dict)


class PredictionSettings(BaseModel):
    """How a trained model goes over a video.

    Args:
        window_frames: Length of a window; None takes the whole video at once.
        hop_frames: Start to start; overlapping windows are averaged. The window's length where None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_frames: int | None = Field(default=None, ge=1)
    hop_frames: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _no_gaps(self) -> PredictionSettings:
        if self.hop_frames is not None and self.hop_frames > (self.window_frames or 0):
            raise ValueError("hop_frames must be at most window_frames, so that every frame is predicted")
        return self


class FusionRecipe(BaseModel):
    """A model over features of one or several modalities.

    Args:
        kind: ``fusion``.
        name: Of the recipe; with the variant it names the system in tables.
        source: Where the numbers are from.
        features: Modality to the name of its feature set, the leading modality first; a modality that an override
            gives no value (``--set features.text=none``) is left out everywhere.
        standardise: Modalities brought to mean 0 and deviation 1 by the training videos.
        train_splits: Splits to train on.
        val_split: Split that epochs are judged on, where the data set has it.
        model: What is trained.
        data: On what.
        loop: How.
        prediction: How it goes over videos afterwards, and over validation videos in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["fusion"]
    name: str
    source: str
    features: dict[str, str] = Field(min_length=1)
    standardise: tuple[str, ...] = ()
    train_splits: tuple[str, ...] = ("train",)
    val_split: str = "val"
    model: ModelChoice
    data: ClassificationSettings
    loop: LoopSettings
    prediction: PredictionSettings = PredictionSettings()

    def restricted_to(self, modalities: Iterable[str]) -> FusionRecipe:
        """Return the recipe over some of its modalities, in its own order."""
        features = {modality: name for modality, name in self.features.items() if modality in set(modalities)}
        standardise = tuple(modality for modality in self.standardise if modality in features)
        return self.model_copy(update={"features": features, "standardise": standardise})

    @model_validator(mode="before")
    @classmethod
    def _without_modalities(cls, content: Any) -> Any:  # noqa: ANN401 - whatever was written
        features = content.get("features") if isinstance(content, dict) else None
        if not isinstance(features, dict) or None not in features.values():
            return content
        kept = {modality: name for modality, name in features.items() if name is not None}
        standardise = [
            modality for modality in content.get("standardise", ()) if features.get(modality, "") is not None
        ]
        return {**content, "features": kept, "standardise": standardise}

    @model_validator(mode="after")
    def _known_modalities(self) -> FusionRecipe:
        for modality in self.features:
            if modality not in MODALITIES:
                raise ValueError(f"there is no modality {modality!r}: choose from {', '.join(MODALITIES)}")
        for modality in self.standardise:
            if modality not in self.features:
                raise ValueError(f"{modality!r} is standardised but has no feature set")
        return self


def list_recipes() -> tuple[str, ...]:
    """Return the names of the shipped recipes, sorted."""
    return tuple(
        sorted(path.name.removesuffix(".toml") for path in _shipped().iterdir() if path.name.endswith(".toml"))
    )


def read_recipe(name: str, overrides: Sequence[str] = ()) -> BaseModel:
    """Read a recipe.

    Args:
        name: Of a shipped recipe, or the path of a TOML file.
        overrides: ``key.key=value``, the value as TOML has it; a word that is no TOML value is taken as text.

    Returns:
        A model of the class that ``KINDS`` has for the recipe's kind.

    Raises:
        ConfigError: There is no such recipe, or it is malformed; says where.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"There is no recipe file {name!r}.", remedy="Check the path given to --recipe.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"The recipe {name!r} is not UTF-8.", remedy="Save it as UTF-8.") from None
    else:
        if name not in list_recipes():
            near = get_close_matches(name, list_recipes(), n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"There is no recipe named {name!r}.",
                remedy=f"{hint}Choose one of: {', '.join(list_recipes())}; or give a .toml file.",
            )
        text = (_shipped() / f"{name}.toml").read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe {name!r} is not TOML: {error}.", remedy="Mend that line.") from None
    for override in overrides:
        _override(content, override)
    return parse_recipe(content, where=name)


def parse_recipe(content: dict[str, Any], *, where: str) -> BaseModel:
    """Return plain values as a recipe of their kind.

    Raises:
        ConfigError: They are none; says which value is wrong, and where.
    """
    kind = content.get("kind")
    if kind not in KINDS:
        raise ConfigError(
            f"The recipe {where!r} has kind = {kind!r}.", remedy=f"Choose kind from: {', '.join(sorted(KINDS))}."
        )
    recipe_class = cast("type[BaseModel]", load_named(KINDS, kind, kind="recipe"))
    try:
        return recipe_class.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = f" at {'.'.join(str(part) for part in first['loc'])}" if first["loc"] else ""
        got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
        raise ConfigError(
            f"The recipe {where!r} is wrong{at}: {first['msg'].removeprefix('Value error, ')}{got}.",
            remedy="Mend it, or leave that --set out.",
        ) from None


def _shipped() -> Any:  # noqa: ANN401 - a Traversable
    return files("supervised.recipes")


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *tables, last = key.strip().split(".")
    if not equals or not last:
        raise ConfigError(f"--set {override!r} is not key=value.", remedy="Write it as loop.lr=0.01.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    if value == "none":  # TOML has no null
        value = None
    inner = content
    for table in tables:
        inner = inner.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override!r}: {table!r} is no table.", remedy="Check the recipe's sections.")
    inner[last] = value
