"""The recipe of a backbone: which one, what it starts from, on which faces and how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from supervised.faces.emotion_sets import BASIC_EMOTIONS
from supervised.models.backbone_weights import Normalisation
from supervised.training.loop import LoopSettings
from supervised.training.recipe import TrainingRecipe

__all__ = ["BackboneRecipe", "BahFaces", "EmotionFaces"]


class _Faces(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    batch_images: int = Field(ge=2)
    workers: int = Field(default=0, ge=0)


class EmotionFaces(_Faces):
    """Pre-training on pictures of basic emotions: at least one of the three folders.

    Args:
        task: ``emotions``.
        rafdb: Folder of RAF-DB's basic part.
        affectnet: Folder of AffectNet.
        affwild2: Folder of Aff-Wild2 with the annotations of expressions and the aligned faces.
        classes: Emotions that are told apart; others are left out.
        batch_images: Faces of a batch, over all processes.
        workers: Processes that read pictures; 0 reads in the training process.
    """

    task: Literal["emotions"]
    rafdb: str | None = None
    affectnet: str | None = None
    affwild2: str | None = None
    classes: tuple[str, ...] = Field(default=BASIC_EMOTIONS, min_length=2)


class BahFaces(_Faces):
    """Fine-tuning on the labelled frames of a data set of videos.

    Args:
        task: ``bah``.
        faces: Folder with ``cropped-aligned-faces``; where None, that of the data set. Videos without crops there get
            some: faces are found, aligned and kept in ``faces`` beside the trained models.
        detector: Finds those faces: ``auto``, ``retinaface`` or ``mediapipe``.
        frame_step: Train on every so many frames; faces are also looked for in those only.
        undersample: Negative frames for each positive one, drawn anew each epoch; None keeps all.
        batch_images: Faces of a batch, over all processes.
        workers: Processes that read pictures; 0 reads in the training process.
    """

    task: Literal["bah"]
    faces: str | None = None
    detector: Literal["auto", "retinaface", "mediapipe"] = "auto"
    frame_step: int = Field(default=1, ge=1)
    undersample: float | None = Field(default=None, gt=0)

    def crops_root(self, of_data_set: Path) -> Path:
        """Return the folder below which crops of faces lie, if there are any: the one named, or the data set's."""
        return of_data_set if self.faces is None else Path(self.faces).expanduser()


class BackboneRecipe(TrainingRecipe):
    """A backbone trained on pixels.

    Args:
        kind: ``backbone``.
        name: Of the recipe; it names the system in tables.
        source: Where the numbers are from.
        backbone: Key of ``supervised.models.backbones.BACKBONES``.
        weights: What it starts from, as ``build_backbone`` takes it: a folder of an earlier stage, a file, a hub name.
        random: Start from random values where there are no weights, or where they lack the reduction.
        reduce_dim: Width to reduce features to; None takes that of the weights.
        normalisation: None takes that of the weights.
        train_splits: Of the data set of videos; sets of emotions have their own.
        val_split: Split that epochs are judged on.
        head_lr_factor: What the classifier's learning rate is multiplied by.
        data: On which faces.
        loop: How.
    """

    kind: Literal["backbone"]
    backbone: str
    weights: str | None = None
    random: bool = False
    reduce_dim: int | None = Field(default=None, ge=1)
    normalisation: Normalisation | None = None
    val_split: str = "val"
    head_lr_factor: float = Field(default=1.0, gt=0)
    data: Annotated[EmotionFaces | BahFaces, Field(discriminator="task")]
    loop: LoopSettings

    @property
    def validation_splits(self) -> tuple[str, ...]:
        """The split that epochs are judged on."""
        return (self.val_split,)

    @property
    def device(self) -> str:
        """``auto`` or ``cpu``."""
        return self.loop.device

    @property
    def has_own_data(self) -> bool:
        """Whether the recipe names the folders it trains on, rather than taking a data set of videos."""
        return isinstance(self.data, EmotionFaces)
