"""Leader-follower attention (LFAN): modalities attend to each other at every frame; the first one leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from supervised.models.base import FeatureModel, check_heads
from supervised.models.tcn import KERNEL_FRAMES, LFAN_WIDTHS, TemporalStreams

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Lfan"]


class _FollowerAttention(nn.Module):
    """Attention among the modalities of one frame, with the values added again, projected and normalised."""

    def __init__(
        self, dims: Mapping[str, int], *, modal_dim: int, n_heads: int, dropout: float, has_lone_attention: bool
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        # One modality has nothing to weigh it against: queries and keys would never learn.
        self.n_parts = 3 if len(dims) > 1 or has_lone_attention else 1
        self.project = nn.ModuleDict(
            {modality: nn.Linear(dim, self.n_parts * modal_dim) for modality, dim in dims.items()}
        )
        width = modal_dim * len(dims)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        for layer in (*self.project.values(), self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, streams: Mapping[str, Float[Tensor, "batch frames _"]]) -> Float[Tensor, "batch frames width"]:
        projected = [layer(streams[modality]) for modality, layer in self.project.items()]
        # batch, frames, heads, modalities, channels: each head has its query, key and value side by side
        parts = torch.stack(projected, dim=2).unflatten(-1, (self.n_heads, -1)).transpose(2, 3).chunk(self.n_parts, -1)
        value = parts[-1]
        attended = functional.scaled_dot_product_attention(*parts) if self.n_parts == 3 else value
        return self.norm(self.dropout(self.out((attended + value).flatten(2))))


class Lfan(FeatureModel):
    """Convolved streams of the modalities; the first one leads, and joins what attention makes of all of them.

    Args:
        dims: Modality -> width of its features, in order; one to three.
        widths: Modality -> channels of its blocks; the published code's where None.
        kernel_frames: Taps of each convolution; odd.
        dropout: Share of activations dropped in the convolutions and after the attention.
        is_causal: Whether a frame sees only itself and earlier ones, as in the paper; annotators saw all.
        modal_dim: Width of each modality in the attention; a multiple of ``n_heads``.
        n_heads: Heads of the attention.

    References:
        Zhang et al. 2022 (arXiv 2203.13031), as set up in the published code of the BAH baselines.
    """

    has_lone_attention = False  # whether a lone modality gets queries and keys, which then do nothing

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        widths: Mapping[str, Sequence[int]] | None = None,
        kernel_frames: int = KERNEL_FRAMES,
        dropout: float = 0.1,
        is_causal: bool = True,
        modal_dim: int = 32,
        n_heads: int = 2,
    ) -> None:
        super().__init__(dims)
        check_heads(modal_dim, n_heads)
        self.streams = TemporalStreams(
            dims, LFAN_WIDTHS | dict(widths or {}), kernel_frames=kernel_frames, dropout=dropout, is_causal=is_causal
        )
        self.fusion = _FollowerAttention(
            self.streams.out_dims,
            modal_dim=modal_dim,
            n_heads=n_heads,
            dropout=dropout,
            has_lone_attention=self.has_lone_attention,
        )
        self.classifier = nn.Linear(self.streams.out_dims[self.modalities[0]] + modal_dim * len(dims), 2)

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the leader's stream beside the followers' attention for every frame."""
        streams = self.streams(features, is_real)
        return torch.cat((streams[self.modalities[0]], self.fusion(streams)), dim=-1)
