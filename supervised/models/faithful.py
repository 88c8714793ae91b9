"""The fusions as the published code has them, faults included: for repeating its figures and reading its weights.

All of them treat padding as frames. LFAN takes windows of one length only. CAN carries a convolution that it never
uses. MT and JMT ignore text, whose convolutions they run all the same; and their last attention runs over time and the
batch instead of over the answers of a frame, so that a prediction depends on its batch-mates, and all answers but the
last get no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from bah_mllm.core.errors import ConfigError
from supervised.models.base import FeatureModel
from supervised.models.can import Can
from supervised.models.lfan import Lfan
from supervised.models.normalisation import MaskedBatchNorm1d
from supervised.models.tcn import CAN_WIDTHS, KERNEL_FRAMES, TemporalStreams

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["FaithfulCan", "FaithfulJmt", "FaithfulLfan", "FaithfulMt"]

_WIDTH = 128  # of a stream in MT and JMT


class FaithfulLfan(Lfan):
    """LFAN of the published code.

    Args:
        dims: Modality -> width of its features, in order.
        window_frames: The only length that it takes; this and what follows are options of that code too.
        kernel_frames: Taps of each convolution.
        modal_dim: Width of each modality in the attention; a multiple of ``n_heads``.
        n_heads: Heads of the attention.
    """

    has_lone_attention = True
    is_published = True

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        window_frames: int = 300,
        kernel_frames: int = KERNEL_FRAMES,
        modal_dim: int = 32,
        n_heads: int = 2,
    ) -> None:
        super().__init__(dims, kernel_frames=kernel_frames, modal_dim=modal_dim, n_heads=n_heads)
        self.window_frames = window_frames

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the leader's stream beside the followers' attention for every frame, padding included.

        Raises:
            ConfigError: The window has another length.
        """
        if is_real.shape[1] != self.window_frames:
            raise ConfigError(
                f"The faithful lfan takes windows of {self.window_frames} frames only, got {is_real.shape[1]}.",
                remedy="Set the option window_frames of the model to the window, or use the variant corrected.",
            )
        return super().embed(features, torch.ones_like(is_real))


class FaithfulCan(Can):
    """CAN of the published code, with its unused convolution and the bias that its normalisation undoes.

    Args:
        dims: Modality -> width of its features, in order.
    """

    is_published = True

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__(dims)
        total = self.mix.out_features
        self.mix = nn.Linear(total, total)
        self.unused = nn.Conv1d(total, total // len(dims), 1)

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the mixed channels of every frame, padding included."""
        return super().embed(features, torch.ones_like(is_real))


class _Encoder(nn.Module):
    """One post-norm transformer layer over the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(_WIDTH, 1)
        self.feedforward = nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH))
        self.norm1 = nn.LayerNorm(_WIDTH)
        self.norm2 = nn.LayerNorm(_WIDTH)

    def forward(self, tokens: Float[Tensor, "tokens batch width"]) -> Float[Tensor, "tokens batch width"]:
        tokens = self.norm1(tokens + _attend(self.attention, tokens, tokens))
        return self.norm2(tokens + self.feedforward(tokens))


def _attend(
    attention: nn.MultiheadAttention,
    queries: Float[Tensor, "queries batch width"],
    tokens: Float[Tensor, "tokens batch width"],
) -> Float[Tensor, "queries batch width"]:
    attended: Tensor = attention(queries, tokens, tokens, need_weights=False)[0]
    return attended


class FaithfulMt(FeatureModel):
    """MT of the published code: video and audio only, attention over time and batch.

    Args:
        dims: Modality -> width of its features; visual and audio, and text in vain.

    Raises:
        ConfigError: Visual or audio is missing.
    """

    name = "mt"
    is_published = True
    mixes_windows = True
    # Asker and asked; the last answer is all that the published code lets through.
    questions: tuple[tuple[str, str], ...] = (("visual", "audio"), ("audio", "visual"))

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__(dims)
        if not {"visual", "audio"} <= set(dims):
            raise ConfigError(
                f"The faithful {self.name} reads visual and audio features, not {', '.join(dims)}.",
                remedy="Name both, or use the variant corrected.",
            )
        self.streams = TemporalStreams(dims, CAN_WIDTHS, kernel_frames=KERNEL_FRAMES, dropout=0.2)
        self.project = nn.Linear(self.streams.out_dims["audio"], _WIDTH)
        self.joint = nn.Linear(2 * _WIDTH, _WIDTH)  # unused in MT
        names = dict.fromkeys(asker for asker, _ in self.questions)
        self.encoders = nn.ModuleDict({name: _Encoder() for name in names})
        self.cross = nn.ModuleDict(
            {f"{asker}_{asked}": nn.MultiheadAttention(_WIDTH, 1) for asker, asked in self.questions}
        )
        self.answers_encoder = _Encoder()
        self.answers_attention = nn.MultiheadAttention(_WIDTH, 1)
        self.mix = nn.Linear(_WIDTH, _WIDTH)
        self.norm = MaskedBatchNorm1d(_WIDTH)
        self.classifier = nn.Linear(_WIDTH, 2)

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the last answer's view of every frame of the batch."""
        everywhere = torch.ones_like(is_real)
        streams = {name: values.transpose(0, 1) for name, values in self.streams(features, everywhere).items()}
        streams["audio"] = self.project(streams["audio"])
        if "joint" in self.encoders:
            streams["joint"] = self.joint(torch.cat((streams["visual"], streams["audio"]), dim=-1))
        encoded = {name: encoder(streams[name]) for name, encoder in self.encoders.items()}
        answers = [
            _attend(self.cross[f"{asker}_{asked}"], encoded[asker], encoded[asked]) for asker, asked in self.questions
        ]
        # The fault: frames and batch stand where the attention expects its tokens, the answers where the batch goes.
        tokens = self.answers_encoder(torch.stack(answers, dim=2).flatten(0, 1))
        attended = _attend(self.answers_attention, tokens, tokens)
        fused = attended[:, -1].unflatten(0, is_real.T.shape).transpose(0, 1)
        return functional.leaky_relu(self.norm(self.mix(fused), everywhere))


class FaithfulJmt(FaithfulMt):
    """JMT of the published code: ``FaithfulMt`` with a joint stream of video and audio.

    Args:
        dims: Modality -> width of its features; visual and audio, and text in vain.
    """

    name = "jmt"
    questions = (
        *FaithfulMt.questions,
        ("joint", "visual"),
        ("visual", "joint"),
        ("joint", "audio"),
        ("audio", "joint"),
    )
