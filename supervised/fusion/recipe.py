"""The recipe of a model over features of one or several modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bah_mllm.core.errors import ConfigError
from supervised.records import MODALITIES
from supervised.training.cross_entropy import ClassificationSettings
from supervised.training.loop import LoopSettings
from supervised.training.predicting import OverVideos, PredictionSettings
from supervised.training.recipe import TrainingRecipe

__all__ = ["FusionRecipe", "ModelChoice"]


class ModelChoice(BaseModel):
    """A model of ``supervised.models``.

    Args:
        name: A key of its ``MODELS``.
        variant: ``corrected``, or ``faithful`` to the published code's structure and defects.
        options: What else its builder takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    variant: Literal["corrected", "faithful"] = "corrected"
    options: dict[str, Any] = Field(default_factory=dict)


class FusionRecipe(TrainingRecipe):
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

    kind: Literal["fusion"]
    features: dict[str, str] = Field(min_length=1)
    standardise: tuple[str, ...] = ()
    val_split: str = "val"
    model: ModelChoice
    data: ClassificationSettings
    loop: LoopSettings
    prediction: PredictionSettings = PredictionSettings()

    @property
    def system(self) -> str:
        """What tables call the trained model."""
        return f"{self.name} faithful" if self.model.variant == "faithful" else self.name

    @property
    def validation_splits(self) -> tuple[str, ...]:
        """The split that epochs are judged on."""
        return (self.val_split,)

    @property
    def feature_sets(self) -> Mapping[str, str]:
        """Modality to the name of its feature set."""
        return self.features

    @property
    def device(self) -> str:
        """``auto`` or ``cpu``."""
        return self.loop.device

    def model_options(self) -> dict[str, Any]:
        """Return what the model's builder takes; the faithful LFAN takes the recipe's window, and no other.

        Raises:
            ConfigError: That LFAN is asked to take whole videos, or two lengths of window.
        """
        is_fixed = self.model.name == "lfan" and self.model.variant == "faithful"
        if not is_fixed:
            return self.model.options
        window_frames = self.data.window_frames
        if window_frames is None or self.data.supervision == "video":
            raise ConfigError(
                "The faithful lfan takes windows of one length only, but the recipe takes whole videos.",
                remedy="Set data.window_frames and data.supervision=frame, or model.variant=corrected.",
            )
        if window_frames != self.model.options.get("window_frames", window_frames):
            raise ConfigError(
                f"The recipe has windows of {window_frames} frames, but its model takes "
                f"{self.model.options['window_frames']}.",
                remedy="Leave model.options.window_frames out: it follows data.window_frames.",
            )
        return {"window_frames": window_frames, **self.model.options}

    @property
    def over_videos(self) -> OverVideos:
        """How frames of a video are predicted.

        The faithful models go over videos as in the published code, but for what ``prediction`` says: LFAN with the
        windows and the hop of training, the others at once, shorter videos padded to the windows of training.
        """
        window_frames, hop_frames, least_frames = self.prediction.window_frames, self.prediction.hop_frames, None
        if self.model.variant == "faithful" and self.model.name == "lfan":
            hop_frames = hop_frames or self.data.hop_frames
        elif self.model.variant == "faithful" and window_frames is None:
            least_frames = self.data.window_frames
        return OverVideos(window_frames=window_frames, hop_frames=hop_frames, least_frames=least_frames)

    @property
    def published_way(self) -> dict[str, Any] | None:
        """How videos are gone over where the model is faithful and trained on frames; None elsewhere."""
        if self.model.variant != "faithful" or self.data.supervision == "video":
            return None
        return {"averaged": "logits", "last_window": "ends with the video", **self.over_videos}

    @property
    def prediction_notes(self) -> tuple[str, ...]:
        """That a faithful fusion was not shown whole videos."""
        n = self.prediction.window_frames
        if self.published_way is None or self.model.name == "lfan" or n is None:
            return ()
        return (f"predicted in windows of {n} frames, one by one; of whole videos, as published, scores differ",)

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
