"""Channel attention (CAN): the channels of all modalities are weighed at every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from supervised.models.base import FeatureModel
from supervised.models.normalisation import MaskedBatchNorm1d
from supervised.models.tcn import CAN_WIDTHS, KERNEL_FRAMES, TemporalStreams

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Can"]


class Can(FeatureModel):
    """Convolved streams, projected to one width, weighed by a softmax over all channels, mixed and normalised.

    Args:
        dims: Modality -> width of its features, in order; one to three.
        widths: Modality -> channels of its blocks; the published code's where None.
        kernel_frames: Taps of each convolution; odd.
        dropout: Share of activations dropped in the convolutions.
        is_causal: Whether a frame sees only itself and earlier ones, as in the paper; annotators saw all.
        width: Channels of each modality in the fusion.

    References:
        Zhang et al. 2022 (arXiv 2203.13031), as set up in the published code of the BAH baselines. Differs from the
        reference because a bias before a normalisation and an unused convolution learn nothing: both are left out.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        widths: Mapping[str, Sequence[int]] | None = None,
        kernel_frames: int = KERNEL_FRAMES,
        dropout: float = 0.2,
        is_causal: bool = True,
        width: int = 128,
    ) -> None:
        super().__init__(dims)
        self.streams = TemporalStreams(
            dims, CAN_WIDTHS | dict(widths or {}), kernel_frames=kernel_frames, dropout=dropout, is_causal=is_causal
        )
        total = width * len(dims)
        self.project = nn.ModuleDict({modality: nn.Linear(d, width) for modality, d in self.streams.out_dims.items()})
        self.weigh = nn.Linear(total, total)
        self.mix = nn.Linear(total, total, bias=False)
        self.norm = MaskedBatchNorm1d(total)
        self.classifier = nn.Linear(total, 2)

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the mixed channels of every frame."""
        streams = self.streams(features, is_real)
        channels = torch.cat([layer(streams[modality]) for modality, layer in self.project.items()], dim=-1)
        weighed = functional.softmax(self.weigh(channels), dim=-1) * channels
        return functional.leaky_relu(self.norm(self.mix(weighed), is_real))
