"""Multimodal transformers (MT, JMT): streams attend to each other over time, then to one another at every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from supervised.models.base import FeatureModel, check_heads
from supervised.models.normalisation import MaskedBatchNorm1d
from supervised.models.tcn import CAN_WIDTHS, KERNEL_FRAMES, TemporalStreams

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Jmt", "Mt"]

_JOINT = "joint"


class _Attention(nn.Module):
    """Scaled dot-product attention of queries over other tokens.

    Queries, keys and values have no bias: that of the keys cancels in the softmax, that of the values repeats the
    output's.
    """

    def __init__(self, dim: int, n_heads: int, *, has_bias: bool = True) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=has_bias)
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self,
        queries: Float[Tensor, "*any queries dim"],
        tokens: Float[Tensor, "*any tokens dim"],
        *,
        mask: Bool[Tensor, "batch 1 1 tokens"] | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "*any queries dim"]:
        query, key, value = (
            layer(values).unflatten(-1, (self.n_heads, -1)).transpose(-3, -2)
            for layer, values in ((self.query, queries), (self.key, tokens), (self.value, tokens))
        )
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=is_causal)
        return self.out(attended.transpose(-3, -2).flatten(-2))


class _Encoder(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, dim: int, n_heads: int, *, has_bias: bool = True) -> None:
        super().__init__()
        self.attention = _Attention(dim, n_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.norm2 = nn.LayerNorm(dim, bias=has_bias)

    def forward(
        self,
        tokens: Float[Tensor, "*any tokens dim"],
        *,
        mask: Bool[Tensor, "batch 1 1 tokens"] | None = None,
        is_causal: bool = False,
    ) -> Float[Tensor, "*any tokens dim"]:
        tokens = self.norm1(tokens + self.attention(tokens, tokens, mask=mask, is_causal=is_causal))
        return self.norm2(tokens + self.feedforward(tokens))


class Mt(FeatureModel):
    """Each stream is encoded over time, then asks every other one; what they answer meets at every frame.

    The answers of a frame (for n modalities n (n - 1), one a pair and direction; one modality has its own encoding
    only) attend to each other, and the last one's view of all is classified.

    Args:
        dims: Modality -> width of its features, in order; one to three, all of them fused.
        widths: Modality -> channels of its blocks; the published code's where None.
        kernel_frames: Taps of each convolution; odd.
        dropout: Share of activations dropped in the convolutions.
        is_causal: Whether the convolutions see only a frame and earlier ones, as in the paper; annotators saw all.
        is_attention_causal: The same for attention over time; the paper's sees all.
        width: Channels of each stream in the fusion; a multiple of ``n_heads``.
        n_heads: Heads of every attention.

    References:
        Waligora et al. 2024 (arXiv 2403.10488), in the widths of the published code of the BAH baselines. Differs from
        the latter because its last attention runs over time and the batch rather than over the answers of a frame, so
        that most branches learn nothing; because it leaves text out; and because a bias before a normalisation learns
        nothing. That code: variant ``faithful``.
    """

    has_joint = False

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        widths: Mapping[str, Sequence[int]] | None = None,
        kernel_frames: int = KERNEL_FRAMES,
        dropout: float = 0.2,
        is_causal: bool = True,
        is_attention_causal: bool = False,
        width: int = 128,
        n_heads: int = 1,
    ) -> None:
        super().__init__(dims)
        check_heads(width, n_heads)
        self.is_attention_causal = is_attention_causal
        self.streams = TemporalStreams(
            dims, CAN_WIDTHS | dict(widths or {}), kernel_frames=kernel_frames, dropout=dropout, is_causal=is_causal
        )
        self.project = nn.ModuleDict(
            {modality: nn.Linear(d, width) for modality, d in self.streams.out_dims.items() if d != width}
        )
        names = [*dims]
        self.questions = [pair for a, b in combinations(names, 2) for pair in ((a, b), (b, a))]
        self.joint = None
        if self.has_joint:
            self.joint = nn.Linear(width * len(dims), width)
            self.questions += [pair for name in names for pair in ((_JOINT, name), (name, _JOINT))]
            names.append(_JOINT)
        # A lone modality's encoding goes straight to ``mix`` and ``norm``, where a bias would cancel.
        has_bias = bool(self.questions)
        self.encoders = nn.ModuleDict({name: _Encoder(width, n_heads, has_bias=has_bias) for name in names})
        self.cross = nn.ModuleDict({f"{asker}_{asked}": _Attention(width, n_heads) for asker, asked in self.questions})
        self.answers_encoder = self.answers_attention = None
        if self.questions:
            self.answers_encoder = _Encoder(width, n_heads)
            self.answers_attention = _Attention(width, n_heads, has_bias=False)  # its bias would cancel in ``norm``
        self.mix = nn.Linear(width, width, bias=False)
        self.norm = MaskedBatchNorm1d(width)
        self.classifier = nn.Linear(width, 2)

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the fused streams of every frame."""
        streams = self.streams(features, is_real)
        streams |= {modality: layer(streams[modality]) for modality, layer in self.project.items()}
        if self.joint is not None:
            streams[_JOINT] = self.joint(torch.cat([streams[modality] for modality in self.dims], dim=-1))
        fused = self._fuse(streams, is_real)
        return functional.leaky_relu(self.norm(self.mix(fused), is_real))

    def _fuse(
        self, streams: Mapping[str, Float[Tensor, "batch frames width"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        # Padding stands at the end: a causal view of a real frame never meets it.
        is_causal = self.is_attention_causal
        mask = None if is_causal else is_real[:, None, None, :]
        encoded = {
            name: encoder(streams[name], mask=mask, is_causal=is_causal) for name, encoder in self.encoders.items()
        }
        if self.answers_encoder is None or self.answers_attention is None:
            return encoded[self.modalities[0]]
        answers = torch.stack(
            [
                self.cross[f"{asker}_{asked}"](encoded[asker], encoded[asked], mask=mask, is_causal=is_causal)
                for asker, asked in self.questions
            ],
            dim=2,
        )
        tokens = self.answers_encoder(answers)  # at each frame on its own: batch, frames, answers, width
        return self.answers_attention(tokens[:, :, -1:], tokens)[:, :, 0]


class Jmt(Mt):
    """``Mt`` with one more stream, made of all modalities together, which asks each of them and is asked by each.

    For n modalities, n (n - 1) + 2 n answers meet at every frame.
    """

    has_joint = True
