"""A backbone of three convolutions, for trials on a CPU in seconds: it is in no paper and proves plumbing only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Tiny"]


class Tiny(nn.Module):
    """Normalised 32 x 32 faces -> 64 features; 24 thousand parameters.

    Attributes:
        dim: Width of the features, 64.
    """

    dim = 64
    input_px = 32
    resize_px = 36

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
                )
                for n_in, n_out in ((3, 16), (16, 32), (32, 64))
            )
        )

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 64"]:
        """Return the mean features over the image."""
        out: Tensor = self.layers(image).mean(dim=(2, 3))
        return out
