"""Temporal convolutions over one modality, alone (the model ``tcn``) or as the first stage of every fusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from supervised.models.base import FeatureModel, only_modality
from supervised.models.normalisation import MaskedBatchNorm1d

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["CAN_WIDTHS", "KERNEL_FRAMES", "LFAN_WIDTHS", "Tcn", "TemporalConvolutions", "TemporalStreams"]

KERNEL_FRAMES = 5  # published code, default configuration
# Channels of the blocks by modality, as in the published code: LFAN's (also of the single-modality rows) ...
LFAN_WIDTHS = {"visual": (256, 256, 128, 128), "audio": (64, 64, 32, 32), "text": (256, 256, 128, 128)}
# ... and those of CAN, MT and JMT.
CAN_WIDTHS = {"visual": (256, 256, 128, 128, 128), "audio": (128, 128, 64, 64), "text": (256, 256, 128, 128)}


class _Block(nn.Module):
    """Two dilated convolutions with a residual; what enters and leaves is zero in the padding."""

    def __init__(
        self, dim: int, width: int, *, dilation_frames: int, kernel_frames: int, dropout: float, is_causal: bool
    ) -> None:
        super().__init__()
        reach = (kernel_frames - 1) * dilation_frames
        self.padding = (reach, 0) if is_causal else (reach // 2, reach - reach // 2)
        # PyTorch's initialisation: the reference means Xavier's, but sets it where its weight normalisation undoes it.
        self.conv1, self.conv2 = (
            weight_norm(nn.Conv1d(inputs, width, kernel_frames, dilation=dilation_frames)) for inputs in (dim, width)
        )
        self.downsample = None
        if dim != width:
            self.downsample = nn.Conv1d(dim, width, 1)
            nn.init.xavier_uniform_(self.downsample.weight, gain=math.sqrt(2))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "batch dim frames"], is_padding: Bool[Tensor, "batch 1 frames"]
    ) -> Float[Tensor, "batch width frames"]:
        hidden = values
        for convolution in (self.conv1, self.conv2):
            hidden = functional.leaky_relu(convolution(functional.pad(hidden, self.padding)))
            hidden = self.dropout(hidden).masked_fill(is_padding, 0)
        residual = values if self.downsample is None else self.downsample(values)
        return functional.leaky_relu(hidden + residual).masked_fill(is_padding, 0)


class TemporalConvolutions(nn.Module):
    """Blocks of dilated, weight-normalised convolutions: block i looks 2**i frames apart.

    Padding is held at zero in every layer, so that a window's frames do not depend on it. The receptive field is
    1 + 2 (kernel_frames - 1) (2**n_blocks - 1) frames: all of them past where causal, centred otherwise.

    Args:
        dim: Width of the features.
        widths: Channels of each block.
        kernel_frames: Taps of each convolution; odd.
        dropout: Share of activations dropped after each convolution.
        is_causal: Whether a frame sees only itself and earlier ones.

    References:
        Bai, Kolter, Koltun 2018, as set up in the published code of the BAH baselines.
    """

    def __init__(
        self, dim: int, widths: Sequence[int], *, kernel_frames: int, dropout: float, is_causal: bool = True
    ) -> None:
        super().__init__()
        inputs = [dim, *widths[:-1]]
        self.network = nn.ModuleList(
            _Block(
                before,
                after,
                dilation_frames=2**i,
                kernel_frames=kernel_frames,
                dropout=dropout,
                is_causal=is_causal,
            )
            for i, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )

    def forward(
        self, values: Float[Tensor, "batch frames dim"], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return one row a frame; zeros in the padding."""
        is_padding = ~is_real[:, None, :]
        hidden = values.transpose(1, 2).masked_fill(is_padding, 0)
        for block in self.network:
            hidden = block(hidden, is_padding)
        return hidden.transpose(1, 2)


class TemporalStreams(nn.Module):
    """Temporal convolutions and a normalisation for each modality, side by side.

    Args:
        dims: Modality -> width of its features.
        widths: Modality -> channels of its blocks.
        kernel_frames: Taps of each convolution; odd.
        dropout: Share of activations dropped after each convolution.
        is_causal: Whether a frame sees only itself and earlier ones.

    Attributes:
        out_dims: Modality -> width of what comes out.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        widths: Mapping[str, Sequence[int]],
        *,
        kernel_frames: int,
        dropout: float,
        is_causal: bool = True,
    ) -> None:
        super().__init__()
        self.temporal = nn.ModuleDict()
        self.norm = nn.ModuleDict()
        self.out_dims = {modality: widths[modality][-1] for modality in dims}
        for modality, dim in dims.items():
            self.temporal[modality] = TemporalConvolutions(
                dim, widths[modality], kernel_frames=kernel_frames, dropout=dropout, is_causal=is_causal
            )
            self.norm[modality] = MaskedBatchNorm1d(self.out_dims[modality])

    def forward(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> dict[str, Float[Tensor, "batch frames width"]]:
        """Return one row a frame by modality; zeros in the padding."""
        return {
            modality: self.norm[modality](convolutions(features[modality], is_real), is_real)
            for modality, convolutions in self.temporal.items()
        }


class Tcn(FeatureModel):
    """Temporal convolutions over one modality, and a linear classifier: the single-modality baselines.

    Args:
        dims: The one modality and the width of its features.
        widths: Channels of the blocks; the published code's for this modality where None.
        kernel_frames: Taps of each convolution; odd.
        dropout: Share of activations dropped after each convolution.
        is_causal: Whether a frame sees only itself and earlier ones, as in the paper; annotators saw all.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        widths: Sequence[int] | None = None,
        kernel_frames: int = KERNEL_FRAMES,
        dropout: float = 0.1,
        is_causal: bool = True,
    ) -> None:
        super().__init__(dims)
        self.modality = only_modality("tcn", dims)
        self.streams = TemporalStreams(
            dims,
            {self.modality: widths or LFAN_WIDTHS[self.modality]},
            kernel_frames=kernel_frames,
            dropout=dropout,
            is_causal=is_causal,
        )
        self.classifier = nn.Linear(self.streams.out_dims[self.modality], 2)

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the convolved features of every frame."""
        return self.streams(features, is_real)[self.modality]
