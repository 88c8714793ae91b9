"""Training by cross-entropy: on frames, or on whole videos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import Tensor, nn

from bah_mllm.core.errors import DataError
from supervised.records import IGNORED, Batch, StepLoss, VideoFeatures
from supervised.training.data import Standard, TrainingWindow, make_batch, training_windows
from supervised.training.processes import Shard

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int8

__all__ = ["Classification", "ClassificationSettings", "video_logits"]


def video_logits(
    logits: Float[Tensor, "batch frames 2"], is_real: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch 2"]:
    """Return the mean of the logits over the real frames of each window: the video's logits where it is whole."""
    weights = is_real.to(logits.dtype).unsqueeze(-1)
    return (logits * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


class ClassificationSettings(BaseModel):
    """What is trained on: the part ``[data]`` of a recipe.

    Args:
        window_frames: Length of a window; None takes whole videos. Shorter videos are padded with zeros that count
            nowhere (the published code repeats their last frame and trains on it).
        hop_frames: Start to start; the window's length where None. A longer hop leaves frames out.
        batch_windows: Windows of a batch, over all processes.
        supervision: ``frame``, or ``video``: the mean logits of whole videos answer for their labels; windows and hops
            mean nothing then.
        class_weights: Weights of no A/H and A/H; ``balanced`` weighs them inversely to how often they occur.
        undersample: Negative frames (or videos) kept for each positive one, drawn anew each epoch; None keeps all. The
            paper under-samples frames one to one where a backbone is fine-tuned (section 4.2).
        label_smoothing: 0 to 1.
        flip: Take the features of flipped pictures for half of the windows, where there are any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    window_frames: int | None = Field(default=None, ge=1)
    hop_frames: int | None = Field(default=None, ge=1)
    batch_windows: int = Field(ge=1)
    supervision: Literal["frame", "video"] = "frame"
    class_weights: tuple[PositiveFloat, PositiveFloat] | Literal["balanced"] | None = None
    undersample: float | None = Field(default=None, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    flip: bool = False


class Classification:
    """A ``Strategy``: cross-entropy over the labelled frames of windows, or over whole videos.

    Args:
        videos: With labels; frames or videos without are left out of the loss.
        settings: What is trained on.
        seed: Of the order of windows, of under-sampling and of flips.
        standard: How features are standardised.
        device: Where batches go.
        shard: The part of each batch that this process takes.
        n_frames: Length that batches are padded to, for models that take one length only.

    Raises:
        DataError: Not both classes occur.
    """

    def __init__(
        self,
        videos: Sequence[VideoFeatures],
        settings: ClassificationSettings,
        *,
        seed: int,
        standard: Standard | None = None,
        device: torch.device | None = None,
        shard: Shard | None = None,
        n_frames: int | None = None,
    ) -> None:
        self._videos = list(videos)
        self._settings, self._seed, self._standard = settings, seed, standard or Standard()
        self._device, self._shard, self._n_frames = device, shard or Shard(), n_frames
        self._labels = [self._labels_of(video) for video in self._videos]
        counts = np.sum([[(one == value).sum() for value in (0, 1)] for one in self._labels], axis=0).reshape(-1)
        if len(counts) == 0 or 0 in counts:
            raise DataError(
                f"Training needs both classes, but of its {settings.supervision}s "
                f"{', '.join(f'{int(n)} are {label}' for label, n in enumerate(counts)) or 'none is labelled'}.",
                remedy="Give a training split with labels of both classes (`bah-mllm data check` lists them).",
            )
        self._windows = [
            TrainingWindow(number, window)
            for number, video in enumerate(self._videos)
            for window in training_windows(
                video.n_frames,
                window_frames=None if settings.supervision == "video" else settings.window_frames,
                hop_frames=settings.hop_frames,
            )
            if (self._labels[number] >= 0).any()
        ]
        self._keep = 1.0 if settings.undersample is None else min(1.0, settings.undersample * counts[1] / counts[0])
        weights = settings.class_weights
        if weights == "balanced":
            kept = (counts[0] * self._keep, counts[1])
            weights = (sum(kept) / (2 * kept[0]), sum(kept) / (2 * kept[1]))
        self._class_weights = torch.tensor((1.0, 1.0) if weights is None else weights, device=device)

    def _labels_of(self, video: VideoFeatures) -> Int8[np.ndarray, " frames"]:
        """Return a label a frame; with supervision by video, the video's label in its first frame."""
        labels = np.full(video.n_frames, -1, dtype=np.int8)
        if self._settings.supervision == "video":
            labels[0] = -1 if video.label is None else video.label
        elif video.frame_labels is not None:
            labels[:] = video.frame_labels
        return labels

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return all trainable parameters as one group."""
        return [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad]}]

    def n_batches(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Return how many batches an epoch has."""
        return math.ceil(len(self._windows) / self._settings.batch_windows)

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        """Nothing to prepare."""

    def batches(self, epoch: int) -> Iterator[Batch | None]:
        """Yield this process's part of each batch; None where a small batch leaves it none."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._windows))
        labels = [self._thinned(one, rng) for one in self._labels]
        flipped = rng.random(len(self._windows)) < (0.5 if self._settings.flip else 0.0)
        for start in range(0, len(order), self._settings.batch_windows):
            part = order[start : start + self._settings.batch_windows][self._shard.rank :: self._shard.world]
            yield self._batch(part, labels, flipped) if len(part) else None

    def _thinned(self, labels: Int8[np.ndarray, " frames"], rng: np.random.Generator) -> Int8[np.ndarray, " frames"]:
        if self._keep >= 1:
            return labels
        is_dropped = (labels == 0) & (rng.random(len(labels)) >= self._keep)
        return np.where(is_dropped, np.int8(-1), labels)

    def _batch(self, part: np.ndarray, labels: Sequence[np.ndarray], flipped: np.ndarray) -> Batch:
        windows = [self._windows[number] for number in part]
        batch = make_batch(
            self._videos,
            windows,
            index=[int(number) for number in part],
            standard=self._standard,
            labels=[labels[number][window.start : window.stop] for number, window in windows],
            flipped=flipped[part].tolist(),
            n_frames=self._n_frames,
        )
        return Batch(
            {modality: values.to(self._device) for modality, values in batch.features.items()},
            batch.is_real.to(self._device),
            batch.labels.to(self._device),
            batch.index,
        )

    def weight(self, batch: Batch | None) -> float:
        """Return the sum of the class weights of what is labelled."""
        if batch is None:
            return 0.0
        labels = batch.labels[batch.labels != IGNORED]
        return float(self._class_weights[labels].sum().item())

    def loss(self, model: nn.Module, batch: Batch) -> StepLoss:
        """Return the weighted mean cross-entropy over what is labelled."""
        logits = model(batch.features, batch.is_real)
        targets = batch.labels
        if self._settings.supervision == "video":
            logits, targets = video_logits(logits, batch.is_real), batch.labels[:, 0]
        loss = nn.functional.cross_entropy(
            logits.reshape(-1, 2).float(),
            targets.reshape(-1),
            weight=self._class_weights,
            ignore_index=IGNORED,
            label_smoothing=self._settings.label_smoothing,
        )
        return StepLoss(loss, {})

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: all follows from seed and epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""
