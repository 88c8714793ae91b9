"""The IR-50 of face recognition: alone as in the published code's default, or its first three stages under APViT.

References:
    Deng et al., ArcFace, CVPR 2019 (the "improved residual" unit: BN-conv-PReLU-conv-BN, without an activation after
    the sum). The 40-pixel network with unit-norm features is the one of the ABAW3 entry that the published BAH code
    builds on (file res50_ir_0.887.pth, the first stage not strided); parameters are named as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["IR50", "ir_stage", "ir_stem"]


class _Unit(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        if n_in == n_out:
            self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(n_in),
            nn.Conv2d(n_in, n_out, 3, 1, 1, bias=False),
            nn.PReLU(n_out),
            nn.Conv2d(n_out, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )

    def forward(self, image: Float[Tensor, "batch n_in height width"]) -> Float[Tensor, "batch n_out h w"]:
        out: Tensor = self.res_layer(image) + self.shortcut_layer(image)
        return out


def ir_stem() -> nn.Sequential:
    """Return what stands before the stages: 3 -> 64 channels at full size."""
    return nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))


def ir_stage(n_in: int, n_out: int, n_units: int, *, stride: int) -> list[nn.Module]:
    """Return the units of a stage; the first one has the stride."""
    return [_Unit(n_in, n_out, stride), *(_Unit(n_out, n_out, 1) for _ in range(n_units - 1))]


class IR50(nn.Module):
    """Normalised 40 x 40 faces -> 512 features of unit length.

    Attributes:
        dim: Width of the features, 512.
    """

    dim = 512
    input_px = 40  # published code: scaled to 48, 40 cut out
    resize_px = 48

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = ir_stem()
        self.body = nn.Sequential(
            *ir_stage(64, 64, 3, stride=1),
            *ir_stage(64, 128, 4, stride=2),
            *ir_stage(128, 256, 14, stride=2),
            *ir_stage(256, 512, 3, stride=2),
        )
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * 5 * 5, 512),
            nn.BatchNorm1d(512),
        )

    def forward(self, image: Float[Tensor, "batch 3 40 40"]) -> Float[Tensor, "batch 512"]:
        """Return the features, each of Euclidean norm 1."""
        return nn.functional.normalize(self.output_layer(self.body(self.input_layer(image))))
