"""Batch normalisation over real frames: padding enters no statistics, and statistics can be frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["MaskedBatchNorm1d", "freeze_statistics"]


class MaskedBatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` over the real frames of padded windows; its state dictionary is the same.

    In training, mean and variance are those of the real frames alone, as if these stood in one long sequence; the
    running statistics see nothing else. With fewer than two real frames (no variance), the running statistics are used
    and kept.

    Args:
        num_features: Channels.
    """

    is_frozen = False

    def train(self, mode: bool = True) -> MaskedBatchNorm1d:  # noqa: FBT001, FBT002 - PyTorch's signature
        """Set the mode; frozen statistics stay those of evaluation."""
        super().train(mode and not self.is_frozen)
        return self

    def forward(
        self, values: Float[Tensor, "batch frames channels"], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames channels"]:
        """Return the normalised frames; zeros in the padding."""
        real = values[is_real] if self.training else None
        if real is None or len(real) < 2:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return ((values - self.running_mean) * scale + self.bias).masked_fill(~is_real[..., None], 0)
        normalised = super().forward(real)
        return torch.zeros_like(values, dtype=normalised.dtype).masked_scatter(is_real[..., None], normalised)


def freeze_statistics(model: nn.Module, *, is_frozen: bool = True) -> None:
    """Let every normalisation of a model use its running statistics in training too, and leave them as they are.

    Scale and shift stay trainable. The reference means to freeze its backbone this way, but ``model.train()`` undoes it
    every epoch; here ``train()`` respects it.
    """
    for module in model.modules():
        if isinstance(module, MaskedBatchNorm1d):
            module.is_frozen = is_frozen
            module.train(model.training)
