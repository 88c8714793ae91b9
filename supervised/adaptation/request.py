"""What is adapted, to whom, from what."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from supervised.adaptation.protocol import TargetSplitName
from supervised.adaptation.recipe import AdaptationRecipe

__all__ = ["AdaptRequest"]


class AdaptRequest(BaseModel):
    """What is adapted, to whom, from what.

    Args:
        recipe: The method.
        data: Root of a data set; None is the demo set.
        out: Run folder.
        features: Folder that ``bah-mllm features`` wrote.
        source: Folder of a trained model; None trains one as the recipe says.
        split: Split whose participants are the targets.
        target_split: How a target's frames are divided: ``frame`` as in the paper, ``segment`` or ``video``.
        targets: Participants; None is everybody in the split.
        seed: Of everything random.
        workers: Processes; results do not depend on their number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: AdaptationRecipe
    data: str | None = None
    out: Path
    features: Path
    source: Path | None = None
    split: str | None = None
    target_split: TargetSplitName = "frame"
    targets: tuple[str, ...] | None = None
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=1, ge=1)
