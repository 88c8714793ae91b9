"""Recipes of adaptation: what is adapted, how, and to whom."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from supervised.adaptation.source_free import NrcOptions, ShotOptions
from supervised.adaptation.with_source import MmdOptions, SubjectOptions, SupervisedOptions
from supervised.records import MODALITIES
from supervised.training.loop import LoopSettings
from supervised.training.recipe import Recipe

__all__ = ["METHODS", "AdaptationRecipe", "SourceTraining", "SubjectStage"]

METHODS = ("source_only", "mmd", "sub_based", "shot", "nrc", "oracle")
"""In the order of the paper's Table 22."""


class SourceTraining(SupervisedOptions):
    """How a source model is made where no checkpoint is given.

    Args:
        hidden: Width of its first layer.
        bottleneck: Width of the embedding.
        batch_norm: Whether the embedding is normalised.
        loop: How it is optimised.
    """

    hidden: int = Field(default=256, ge=1)
    bottleneck: int = Field(default=256, ge=1)
    batch_norm: bool = True
    loop: LoopSettings


class SubjectStage(MmdOptions):
    """The subject-based method's own training on the source, from the source model on.

    Args:
        loop: How it is optimised.
    """

    loop: LoopSettings


_OPTIONS: dict[str, type[BaseModel]] = {
    "mmd": MmdOptions,
    "sub_based": SubjectOptions,
    "shot": ShotOptions,
    "nrc": NrcOptions,
    "oracle": SupervisedOptions,
}
# What the public code does where it differs from the method as published; see the options' own documentation.
_FAITHFUL_MMD = {"estimator": "biased", "loaders": "shorter", "detached": True}
_FAITHFUL: dict[str, dict[str, Any]] = {
    "mmd": _FAITHFUL_MMD,
    "sub_based": {
        **_FAITHFUL_MMD,
        "only_confident": True,
        "only_shrink": True,
        "flip_probability": 0.5,
    },
    "shot": {"drop_empty": True},
    "nrc": {"self_reg": False, "nrc_switch": True},  # of its scripts, the one with K = 3 and M = 2
    "oracle": {},
}
# The optimisers of the public codes. NRC's script calls no schedule: its polynomial one is of the script for VisDA.
_FAITHFUL_LOOP: dict[str, dict[str, Any]] = {
    "shot": {"nesterov": True, "schedule": "poly_ahead"},
    "nrc": {"nesterov": True, "schedule": "constant"},
}


class AdaptationRecipe(Recipe):
    """One method of adaptation.

    Args:
        kind: ``adaptation``.
        name: Of the recipe; names the system in tables.
        method: One of ``METHODS``.
        source: Where the numbers are from.
        features: Modality to the name of its feature set; several stand side by side. A source checkpoint brings its
            own.
        standardise: Bring features to mean 0 and deviation 1 over the source; a source checkpoint brings its own.
        source_splits: Splits of the data set that are the source.
        faithful: Take the public code's behaviour where it differs; replaces single options, and the schedule of the
            source-free methods.
        source_training: How the source model is made, where no checkpoint is given.
        subject_stage: For ``sub_based``: its own training on the source.
        loop: How a target is adapted to; none for ``source_only``.
        options: Of the method.
    """

    kind: Literal["adaptation"]
    method: Literal["source_only", "mmd", "sub_based", "shot", "nrc", "oracle"]
    features: dict[str, str] = Field(min_length=1)
    standardise: bool = True
    source_splits: tuple[str, ...] = ("train",)
    faithful: bool = False
    source_training: SourceTraining
    subject_stage: SubjectStage | None = None
    loop: LoopSettings | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit_the_method(self) -> AdaptationRecipe:
        unknown = [modality for modality in self.features if modality not in MODALITIES]
        if unknown:
            raise ValueError(f"there is no modality {unknown[0]!r}: choose from {', '.join(MODALITIES)}")
        needs_loop = self.method != "source_only"
        if needs_loop != (self.loop is not None):
            raise ValueError(f"the method {self.method} {'needs a' if needs_loop else 'has no'} section [loop]")
        if (self.method == "sub_based") != (self.subject_stage is not None):
            raise ValueError("the section [subject_stage] belongs to the method sub_based, which needs it")
        for name, part in (("source_training", self.source_training), ("subject_stage", self.subject_stage)):
            if part is not None and part.loop.select != "last":
                raise ValueError(f"{name}.loop.select can be 'last' only: no part of the source is set aside")
        if needs_loop:
            try:
                self.method_options()
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise ValueError(f"options.{where}: {first['msg']} (got {first['input']!r})") from None
        elif self.options:
            raise ValueError("the method source_only has no options")
        return self

    @property
    def system(self) -> str:
        """What rows and tables call the method."""
        return f"{self.name} faithful" if self.faithful else self.name

    def decisive(self) -> dict[str, Any]:
        """Return all that decides about results, as plain values."""
        taken = self.model_copy(update={"loop": self.target_loop()})
        plain: dict[str, Any] = taken.model_dump(mode="json")
        for loop in (plain["loop"], plain["source_training"]["loop"], (plain["subject_stage"] or {}).get("loop")):
            if loop is not None:
                del loop["device"], loop["tensorboard"]
        return plain

    def method_options(self) -> Any:  # noqa: ANN401 - of the method's class
        """Return the options as the method's strategy takes them."""
        return _OPTIONS[self.method].model_validate(
            {**self.options, **(_FAITHFUL[self.method] if self.faithful else {})}
        )

    def target_loop(self) -> LoopSettings | None:
        """Return how a target is adapted to; None for ``source_only``."""
        if self.loop is None or not self.faithful:
            return self.loop
        return self.loop.model_copy(update=_FAITHFUL_LOOP.get(self.method, {}))

    def pairs_options(self) -> SubjectStage | None:
        """Return how the subject-based method trains on the source; None for other methods."""
        if self.subject_stage is None or not self.faithful:
            return self.subject_stage
        return self.subject_stage.model_copy(update=_FAITHFUL_MMD)
