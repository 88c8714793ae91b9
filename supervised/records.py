"""The records that travel between features, models, training and adaptation.

Conventions: frames are counted from 0 and are those of the decoded video; arrays are (frames, dim), tensors
(batch, frames, dim). A modality is one of ``MODALITIES``, the paper's three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int8, Int64

__all__ = ["IGNORED", "MODALITIES", "Batch", "FrameModel", "StepLoss", "Strategy", "VideoFeatures"]

MODALITIES = ("visual", "audio", "text")
IGNORED = -100  # label of a frame that counts in no loss: padding, or unlabelled


@dataclass(frozen=True, slots=True, eq=False)
class VideoFeatures:
    """One video as the models take it.

    Args:
        video_id: As in the data set.
        participant_id: Who answers.
        question: 1 to 7, or None.
        split: ``train``, ``val`` ... or None.
        n_frames: Frames of the decoded video, at least 1.
        features: By modality, shape (n_frames, dim), float16 or float32; memory-mapped where they come from a store.
        is_valid: By modality, shape (n_frames,): False where the modality says nothing of a frame (no face ...); its
            features there are zeros.
        frame_labels: 1 A/H, 0 none, -1 unlabelled, shape (n_frames,); None where nothing is known.
        label: Of the whole video, or None.
        flipped: By modality, the features of horizontally flipped pictures, where a store has them and they are asked
            for; the same shapes as ``features``.
    """

    video_id: str
    participant_id: str
    question: int | None
    split: str | None
    n_frames: int
    features: Mapping[str, Float[np.ndarray, "frames _"]]
    is_valid: Mapping[str, Bool[np.ndarray, " frames"]]
    frame_labels: Int8[np.ndarray, " frames"] | None
    label: int | None
    flipped: Mapping[str, Float[np.ndarray, "frames _"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows of videos, padded to one length.

    Args:
        features: By modality, float32, shape (batch, frames, dim); zeros in the padding.
        is_real: Shape (batch, frames); False in the padding.
        labels: 0, 1 or ``IGNORED``, shape (batch, frames).
        index: Number of each window in its data, shape (batch,).
    """

    features: dict[str, Float[Tensor, "batch frames _"]]
    is_real: Bool[Tensor, "batch frames"]
    labels: Int64[Tensor, "batch frames"]
    index: Int64[Tensor, " batch"]


class FrameModel(Protocol):
    """A module that scores every frame of a batch of windows; see ``supervised.models``."""

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return what the classifier sees of every frame."""
        ...

    def classify(self, embedding: Float[Tensor, "*any width"]) -> Float[Tensor, "*any 2"]:
        """Return the logits of no A/H and A/H."""
        ...

    def __call__(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames 2"]:
        """Return ``classify(embed(...))``."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StepLoss:
    """What a strategy says about one batch.

    Args:
        total: Mean loss over what counts in the batch, a scalar with gradient.
        parts: Its terms by name, for the log.
    """

    total: Tensor
    parts: Mapping[str, float]


class Strategy(Protocol):
    """What differs between training methods on the one loop (``supervised.training.loop.fit``).

    Everything random in it depends on the seed it was made with and the epoch alone, so that a resumed run goes on
    exactly where it was killed.
    """

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return groups for the optimiser: ``params`` and, where it differs from 1, ``lr_factor``."""
        ...

    def n_batches(self, epoch: int) -> int:
        """Return how many batches an epoch has; epochs are counted from 0."""
        ...

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        """Prepare an epoch: pseudo-labels, banks, modes of layers. The loop has called ``model.train()`` before."""
        ...

    def batches(self, epoch: int) -> Iterator[Any]:
        """Yield the batches of an epoch, each of what ``loss`` takes."""
        ...

    def weight(self, batch: Any) -> float:  # noqa: ANN401 - the strategy's own batches
        """Return how much counts in a batch (labelled frames, say); 0 skips it."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> StepLoss:  # noqa: ANN401
        """Return the loss of a batch: a mean, since the loop weighs batches by ``weight``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that a resumed run needs besides seed and epoch."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what ``state_dict`` returned."""
        ...
