"""What a recipe is to the flows, whatever its kind; each kind adds its own parts (``supervised.kinds``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Recipe", "TrainingRecipe"]


class Recipe(BaseModel):
    """What every recipe says.

    Args:
        kind: Key of ``supervised.kinds.KINDS``; decides what else the recipe says.
        name: It names the system in tables.
        source: Where the numbers are from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: str
    name: str
    source: str

    @property
    def system(self) -> str:
        """What tables call the results."""
        return self.name


class TrainingRecipe(Recipe):
    """A recipe of ``bah-mllm train``: what the flow asks of it.

    Args:
        train_splits: Splits to train on.
    """

    train_splits: tuple[str, ...] = ("train",)

    @property
    def validation_splits(self) -> tuple[str, ...]:
        """Splits whose labels choose an epoch, where the data set has them."""
        return ()

    @property
    def feature_sets(self) -> Mapping[str, str]:
        """Modality to the name of the feature set that is trained on; empty where none is."""
        return {}

    @property
    def reads_words(self) -> bool:
        """Whether transcripts and questions are trained on, not features alone."""
        return False

    @property
    def has_own_data(self) -> bool:
        """Whether the recipe names the folders it trains on, rather than taking a data set of videos."""
        return False

    @property
    def published_way(self) -> dict[str, Any] | None:
        """How videos are gone over where that is the published code's way, not ours: it decides about every score."""
        return None

    @property
    def prediction_notes(self) -> tuple[str, ...]:
        """What must stand above tables of what is predicted."""
        return ()

    @property
    def device(self) -> str:
        """``auto`` or ``cpu``."""
        return "auto"
