"""APViT: a vision transformer over convolutional features that drops the least attended patches, twice.

References:
    Xue et al., Vision Transformer with Attentive Pooling for Robust Facial Expression Recognition, IEEE Transactions on
    Affective Computing 2022; sizes and parameter names as in the published BAH code, whose weights load as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from supervised.models.ir50 import ir_stage, ir_stem

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

__all__ = ["APViT", "from_ir50"]

_UNITS = (3, 4, 14)  # of IR-50's first three stages
_FIRST_UNITS = (0, *accumulate(_UNITS))
_N_PATCHES = 196  # 14 x 14: 112 pixels, halved by each of the three stages
_DIM = 768
_N_HEADS = 8
_N_BLOCKS = 8
_MLP_RATIO = 3


def _largest(score: Float[Tensor, "batch tokens"], n_keep: int) -> Int64[Tensor, "batch kept"]:
    """Return where the largest scores are, in the tokens' own order."""
    return score.topk(n_keep, dim=1, sorted=False).indices.sort(dim=1).values


def _take(tokens: Float[Tensor, "batch tokens dim"], index: Int64[Tensor, "batch kept"]) -> Tensor:
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))


class _Extractor(nn.Module):
    """The first three stages of IR-50, here all strided: (batch, 3, 112, 112) -> (batch, 256, 14, 14)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = ir_stem()
        self.body = nn.ModuleList(
            nn.Sequential(*ir_stage(n_in, n_out, n_units, stride=2))
            for n_in, n_out, n_units in zip((64, 64, 128), (64, 128, 256), _UNITS, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, image: Float[Tensor, "batch 3 112 112"]) -> Float[Tensor, "batch 256 14 14"]:
        hidden = self.input_layer(image)
        for stage in self.body:
            hidden = stage(hidden)
        return hidden


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(_DIM, 3 * _DIM, bias=False)
        self.proj = nn.Linear(_DIM, _DIM)

    def forward(self, tokens: Float[Tensor, "batch tokens dim"]) -> tuple[Tensor, Float[Tensor, "batch patches"]]:
        """Return what is attended to, and how much the class token attends to every patch (before the softmax)."""
        n_batch, n_tokens, _ = tokens.shape
        split = self.qkv(tokens).reshape(n_batch, n_tokens, 3, _N_HEADS, _DIM // _N_HEADS)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        score = query @ key.transpose(-2, -1) * (_DIM // _N_HEADS) ** -0.5
        mixed = (score.softmax(dim=-1) @ value).transpose(1, 2).reshape(n_batch, n_tokens, _DIM)
        return self.proj(mixed), score[:, :, 0, 1:].sum(dim=1)


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(_DIM, _MLP_RATIO * _DIM)
        self.fc2 = nn.Linear(_MLP_RATIO * _DIM, _DIM)

    def forward(self, tokens: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(tokens)))
        return out


class _Block(nn.Module):
    """A pre-norm transformer block that keeps a share of the patches after its attention, and the class token.

    Args:
        keep_rate: Share of the patches to keep, rounded down, at least one.
    """

    def __init__(self, keep_rate: float) -> None:
        super().__init__()
        self.keep_rate = keep_rate
        self.norm1 = nn.LayerNorm(_DIM, eps=1e-6)
        self.attn = _Attention()
        self.norm2 = nn.LayerNorm(_DIM, eps=1e-6)
        self.mlp = _Mlp()

    def forward(self, tokens: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch kept dim"]:
        attended, patch_score = self.attn(self.norm1(tokens))
        tokens = tokens + attended
        n_patches = patch_score.shape[1]
        n_keep = max(int(n_patches * self.keep_rate), 1)
        if n_keep < n_patches:
            patches = _take(tokens[:, 1:], _largest(patch_score, n_keep))
            tokens = torch.cat([tokens[:, :1], patches], dim=1)
        return tokens + self.mlp(self.norm2(tokens))


class _PoolingViT(nn.Module):
    def __init__(self, n_keep: int, keep_rate: float) -> None:
        super().__init__()
        self.n_keep = n_keep
        self.projs = nn.ModuleList([nn.Conv2d(256, _DIM, 1)])
        self.cls_token = nn.Parameter(torch.zeros(1, 1, _DIM))
        self.patch_pos_embed = nn.Parameter(torch.zeros(1, _N_PATCHES, _DIM))
        self.cls_pos_embed = nn.Parameter(torch.zeros(1, 1, _DIM))
        rates = [1.0] * (_N_BLOCKS // 2) + [keep_rate] * (_N_BLOCKS // 2)
        self.blocks = nn.ModuleList(_Block(rate) for rate in rates)
        self.norm = nn.LayerNorm(_DIM, eps=1e-6)
        nn.init.trunc_normal_(self.patch_pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Float[Tensor, "batch 256 14 14"]) -> Float[Tensor, "batch dim"]:
        patches = self.projs[0](image).flatten(2).transpose(1, 2)
        strength = patches.abs().sum(dim=2)  # before the position is added, which says nothing of the face
        tokens = patches + self.patch_pos_embed
        if self.n_keep < _N_PATCHES:
            tokens = _take(tokens, _largest(strength, self.n_keep))
        first = (self.cls_token + self.cls_pos_embed).expand(len(tokens), -1, -1)
        tokens = torch.cat([first, tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]


class APViT(nn.Module):
    """Normalised 112 x 112 faces -> 768 features: the class token after the last block.

    Args:
        n_keep: Patches of the 196 that enter the transformer: those whose projected features sum to most in magnitude.
        keep_rate: Share of the patches that each of the last four blocks keeps: those that the class token attends to
            most, summed over heads.

    Attributes:
        dim: Width of the features, 768.
    """

    dim = _DIM
    input_px = 112  # published code: scaled to 124, 112 cut out
    resize_px = 124

    def __init__(self, n_keep: int = 160, keep_rate: float = 0.9) -> None:
        super().__init__()
        self.extractor = _Extractor()
        self.vit = _PoolingViT(n_keep, keep_rate)

    def forward(self, image: Float[Tensor, "batch 3 112 112"]) -> Float[Tensor, "batch dim"]:
        """Return the features."""
        out: Tensor = self.vit(self.extractor(image))
        return out


def from_ir50(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the extractor's part of the weights of a face recogniser IR-50, from which the paper's APViT starts.

    Units are numbered through there, and by stage here; its fourth stage and output are left out.
    """
    renamed = {}
    for name, value in state.items():
        if name.startswith("input_layer."):
            renamed[f"extractor.{name}"] = value
        elif name.startswith("body."):
            _, number, rest = name.split(".", maxsplit=2)
            stage = bisect_right(_FIRST_UNITS, int(number)) - 1
            if stage < len(_UNITS):
                renamed[f"extractor.body.{stage}.{int(number) - _FIRST_UNITS[stage]}.{rest}"] = value
    return renamed
