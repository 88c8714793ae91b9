"""What a training leaves on disk after every epoch, so that a killed one goes on from there to the same weights.

::

    FOLDER/checkpoint.pt              model, optimiser, strategy and progress after the last whole epoch
           selected-<n>.safetensors   weights of the epoch that is kept so far
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from bah_mllm.core.errors import RunError
from bah_mllm.core.files import write_atomically
from supervised.models.tensor_files import DAMAGED
from supervised.records import Strategy

__all__ = ["Checkpoints", "TrainingState"]

_CHECKPOINT = "checkpoint.pt"


@dataclass(slots=True)
class TrainingState:
    """How far a training is.

    Args:
        next_epoch: From 0.
        history: One entry for each epoch that is done.
        best: Selection metric of the epoch that is kept; None where it was undefined so far.
        selected_epoch: The epoch that is kept; -1 before the first.
        is_finished: Nothing is left to train.
    """

    next_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    selected_epoch: int = -1
    is_finished: bool = False

    @property
    def is_last_selected(self) -> bool:
        """Whether the epoch that was done last is the one that is kept."""
        return self.selected_epoch == self.next_epoch - 1


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoints:
    """The files of one training, and the objects whose states they hold.

    Args:
        folder: Made where it is not there.
        model: Read and written in place, as all that follow.
        optimizer: Of the model.
        scaler: Of losses in fp16.
        strategy: Batches and losses.
    """

    folder: Path
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    strategy: Strategy

    def save(self, progress: TrainingState) -> None:
        """Write the state after an epoch, and its weights where it is the one that is kept."""
        from safetensors.torch import save

        selected = self._selected_file(progress)
        if progress.is_last_selected:
            # Of its own epoch, and before the checkpoint that names it: a kill in between loses an epoch, no weights.
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.state_dict().items()}
            write_atomically(selected, save(weights))
        checkpoint = {
            "progress": asdict(progress),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "strategy": self.strategy.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(self.folder / _CHECKPOINT, buffer.getvalue())
        for old in self.folder.glob("selected-*.safetensors"):
            if old != selected:
                old.unlink()

    def resume(self) -> TrainingState:
        """Take the state of an earlier start and return its progress; that of a beginning where there was none.

        Raises:
            RunError: The checkpoint is damaged or belongs to another model.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _CHECKPOINT
        if not path.exists():
            return TrainingState()
        device = next(self.model.parameters()).device
        try:
            checkpoint = cast("dict[str, Any]", torch.load(path, map_location=device, weights_only=True))
            self.model.load_state_dict(checkpoint["model"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            self.scaler.load_state_dict(checkpoint["scaler"])
            self.strategy.load_state_dict(checkpoint["strategy"])
            return TrainingState(**checkpoint["progress"])
        except DAMAGED as error:
            raise RunError(
                f"The checkpoint {path} is damaged, or of another model ({type(error).__name__}).",
                remedy="Train elsewhere with --out, or delete the folder to begin anew.",
            ) from None

    def load_selected(self, progress: TrainingState) -> None:
        """Leave the weights of the epoch that is kept in the model.

        Raises:
            RunError: Their file is missing, damaged or of another model.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        damaged: tuple[type[Exception], ...] = (*DAMAGED, SafetensorError)
        path, device = self._selected_file(progress), next(self.model.parameters()).device
        try:
            self.model.load_state_dict(load_file(path, device=str(device)))
        except damaged:
            raise RunError(
                f"The selected weights {path} are missing, damaged or of another model.",
                remedy="Train elsewhere with --out, or delete the folder to begin anew.",
            ) from None

    def _selected_file(self, progress: TrainingState) -> Path:
        return self.folder / f"selected-{progress.selected_epoch}.safetensors"
