"""What the flows hand to the kinds, and what they get back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bah_mllm.core.records import Level, Video
from supervised.training.predicting import Predicted

__all__ = ["PredictRequest", "Predictor", "TrainRequest"]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the user asks for besides the recipe.

    Args:
        data: Root of a data set; None is the demo set.
        out: Folder for everything that is trained.
        features: Folder that ``bah-mllm features`` wrote.
        cues: Folder that ``bah-mllm cues extract`` wrote, for recipes that take cues.
        seeds: At least one.
    """

    data: str | None
    out: Path
    features: Path
    cues: Path | None = None
    seeds: Sequence[int] = (0,)


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What the user asks for.

    Args:
        trained: Folder that ``bah-mllm train`` wrote.
        data: Root of a data set; None is the demo set.
        split: Whose videos; None is ``test`` where the data set has splits, else all.
        out: Run folder; with several seeds, a folder of run folders.
        features: Folder of features; None is the one that was trained on.
        cues: Folder of cues; None is the one that was trained on.
        seeds: Which seeds; None is all that were trained.
        device: ``auto`` or ``cpu``.
    """

    trained: Path
    data: str | None
    split: str | None
    out: Path
    features: Path | None = None
    cues: Path | None = None
    seeds: Sequence[int] | None = None
    device: str = "auto"


class Predictor(NamedTuple):
    """How a trained model answers.

    Attributes:
        level: Of its answers.
        predict: A video to what the model says about it; a ``BahError`` becomes a row without an answer.
    """

    level: Level
    predict: Callable[[Video], Predicted]
