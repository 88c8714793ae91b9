"""Training by cross-entropy over single faces, with random crops, flips and under-sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bah_mllm.core.errors import DataError
from bah_mllm.core.saying import say
from supervised.faces.classifier import FaceClassifier
from supervised.faces.pictures import LabelledFaces, read_batches
from supervised.faces.recipe import BahFaces, EmotionFaces
from supervised.models.backbones import Backbone
from supervised.records import StepLoss
from supervised.training.processes import Shard

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

__all__ = ["FaceClassification", "PixelBatch"]


class PixelBatch(NamedTuple):
    """Augmented faces.

    Attributes:
        image: Values 0 to 255, shape (batch, 3, px, px).
        labels: Shape (batch,).
    """

    image: UInt8[Tensor, "batch 3 px px"]
    labels: Int64[Tensor, " batch"]


class FaceClassification:
    """A ``Strategy`` over pictures: what is drawn at random depends on seed and epoch only.

    Args:
        faces: To train on; every class must occur.
        data: The recipe's part about them: batches and, for BAH, under-sampling.
        backbone: Its sizes say how faces are scaled and cut out.
        head_lr_factor: What the classifier's learning rate is multiplied by.
        seed: Of order, draws, crops and flips.
        device: Where batches go.
        shard: The part of each batch that this process takes.
    """

    def __init__(
        self,
        faces: LabelledFaces,
        data: BahFaces | EmotionFaces,
        backbone: Backbone,
        *,
        head_lr_factor: float = 1.0,
        seed: int = 0,
        device: torch.device | None = None,
        shard: Shard | None = None,
    ) -> None:
        self._faces, self._batch_images, self._workers, self._seed = faces, data.batch_images, data.workers, seed
        self._resize_px, self._input_px = backbone.resize_px, backbone.input_px
        self._head_lr_factor, self._device, self._shard = head_lr_factor, device, shard or Shard()
        undersample = data.undersample if isinstance(data, BahFaces) else None
        self._negative = np.flatnonzero(faces.labels == 0)
        self._positive = np.flatnonzero(faces.labels != 0)
        self._n_negative = len(self._negative)
        if undersample is not None:
            self._n_negative = max(1, min(self._n_negative, round(undersample * len(self._positive))))
        self._n_unreadable = 0

    def parameter_groups(self, model: FaceClassifier) -> list[dict[str, Any]]:
        """Return backbone and classifier, each with its share of the learning rate."""
        return [
            {"params": [one for one in model.backbone.parameters() if one.requires_grad]},
            {"params": list(model.head.parameters()), "lr_factor": self._head_lr_factor},
        ]

    def n_batches(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Return how many batches an epoch has."""
        return math.ceil((self._n_negative + len(self._positive)) / self._batch_images)

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        """Nothing to prepare."""

    def chosen(self, epoch: int) -> Int64[np.ndarray, " chosen"]:
        """Return the faces of an epoch in their order: all positives, and the negatives drawn for it."""
        rng = np.random.default_rng([self._seed, epoch])
        negative = rng.choice(self._negative, size=self._n_negative, replace=False)
        return rng.permutation(np.concatenate([negative, self._positive]))

    def batches(self, epoch: int) -> Iterator[PixelBatch]:
        """Yield this process's part of each batch; batches differ by one face at most.

        Raises:
            DataError: Not one picture could be read.
        """
        order = self.chosen(epoch)
        rng = np.random.default_rng([self._seed, epoch, 1])
        corners = rng.integers(self._resize_px - self._input_px + 1, size=(len(self._faces.paths), 2))
        is_flipped = rng.random(len(self._faces.paths)) < 0.5
        whole = [part.tolist() for part in np.array_split(order, self.n_batches(epoch))]
        parts = [part[self._shard.rank :: self._shard.world] for part in whole]
        n_read = n_unreadable = 0
        for batch in read_batches(self._faces, parts, side_px=self._resize_px, workers=self._workers):
            n_read, n_unreadable = n_read + len(batch.number), n_unreadable + batch.n_unreadable
            image = _cut(batch.faces, corners[batch.number], is_flipped[batch.number], self._input_px)
            labels = torch.from_numpy(self._faces.labels[batch.number])
            yield PixelBatch(image.to(self._device), labels.to(self._device))
        if not n_read:
            raise DataError(
                f"None of {n_unreadable:,} pictures of faces can be read.", remedy="Check the folders of pictures."
            )
        if n_unreadable > self._n_unreadable:
            say(
                f"note: {n_unreadable:,} of {n_read + n_unreadable:,} pictures show no face or cannot be read: left out"
            )
            self._n_unreadable = n_unreadable

    def weight(self, batch: PixelBatch) -> float:
        """Return the number of faces; a single one cannot train batch norms, and is skipped."""
        return float(len(batch.labels)) if len(batch.labels) > 1 else 0.0

    def loss(self, model: FaceClassifier, batch: PixelBatch) -> StepLoss:
        """Return the mean cross-entropy; the accuracy is logged beside it."""
        logits = model.classify(model.backbone.embed(batch.image.float())).float()
        accuracy = (logits.argmax(dim=1) == batch.labels).float().mean()
        return StepLoss(nn.functional.cross_entropy(logits, batch.labels), {"accuracy": float(accuracy)})

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: all follows from seed and epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


def _cut(
    faces: UInt8[Tensor, "batch side side 3"],
    corners: Int64[np.ndarray, "batch 2"],
    is_flipped: np.ndarray,
    px: int,
) -> UInt8[Tensor, "batch 3 px px"]:
    """Return the square of each face whose top left corner is given, mirrored where asked for."""
    cut = [face[top : top + px, left : left + px] for face, (top, left) in zip(faces, corners.tolist(), strict=True)]
    if not cut:
        return torch.zeros((0, 3, px, px), dtype=torch.uint8)
    image = torch.stack(cut).permute(0, 3, 1, 2)
    return torch.where(torch.from_numpy(is_flipped)[:, None, None, None], image.flip(-1), image)
