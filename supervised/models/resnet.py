"""ResNet-18 to ResNet-152 without their classifier, with torchvision's parameter names.

Written out rather than taken from transformers because the weights published for BAH, and those of torchvision, carry
torchvision's names: they load as they are. ``from_transformers`` renames those of ``transformers.ResNetModel``.

References:
    He et al., Deep residual learning for image recognition, CVPR 2016, Table 1; the stride of a bottleneck is in its
    3 x 3 convolution, as in torchvision ("v1.5") and transformers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ResNet", "from_transformers", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

_BLOCKS = {  # layers -> blocks of the four stages, and whether they are bottlenecks (Table 1)
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def _conv(n_in: int, n_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)


class _Block(nn.Module):
    """Two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 with four times the width at the end; plus the input."""

    def __init__(self, n_in: int, width: int, stride: int, *, is_bottleneck: bool) -> None:
        super().__init__()
        n_out = 4 * width if is_bottleneck else width
        if is_bottleneck:
            self.conv1 = _conv(n_in, width, 1)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = _conv(width, width, 3, stride)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = _conv(width, n_out, 1)
            self.bn3 = nn.BatchNorm2d(n_out)
        else:
            self.conv1 = _conv(n_in, width, 3, stride)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = _conv(width, n_out, 3)
            self.bn2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU()
        self.downsample: nn.Module | None = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(_conv(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))
        self.is_bottleneck = is_bottleneck

    def forward(self, image: Float[Tensor, "batch n_in height width"]) -> Float[Tensor, "batch n_out h w"]:
        hidden = self.relu(self.bn1(self.conv1(image)))
        hidden = self.bn2(self.conv2(hidden))
        if self.is_bottleneck:
            hidden = self.bn3(self.conv3(self.relu(hidden)))
        shortcut = image if self.downsample is None else self.downsample(image)
        out: Tensor = self.relu(hidden + shortcut)
        return out


class ResNet(nn.Module):
    """Normalised images -> their mean features: 512 wide up to 34 layers, 2048 above.

    Args:
        n_layers: 18, 34, 50, 101 or 152.

    Attributes:
        dim: Width of the features.
    """

    input_px = 112  # the paper's aligned faces; published code: scaled to 124, 112 cut out
    resize_px = 124

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        blocks, is_bottleneck = _BLOCKS[n_layers]
        self.dim = 2048 if is_bottleneck else 512
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        n_in = 64
        for stage, n_blocks in enumerate(blocks):
            width = 64 * 2**stage
            stride = 1 if stage == 0 else 2
            layers = []
            for number in range(n_blocks):
                layers.append(_Block(n_in, width, stride if number == 0 else 1, is_bottleneck=is_bottleneck))
                n_in = 4 * width if is_bottleneck else width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """Return the features of normalised images of any size; 112 x 112 in the paper's pipeline."""
        hidden = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
        return hidden.mean(dim=(2, 3))


_NORM = {"convolution": "conv", "normalization": "bn"}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of ``transformers.ResNetModel`` under torchvision's names.

    Names that are not of a ResNet's body (``classifier.1.weight`` ...) are left out.
    """
    renamed = {}
    for name, value in state.items():
        bare = name.removeprefix("resnet.")
        if stem := re.fullmatch(r"embedder\.embedder\.(convolution|normalization)\.(\w+)", bare):
            renamed[f"{_NORM[stem[1]]}1.{stem[2]}"] = value
        elif block := re.fullmatch(
            r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(.+)\.(convolution|normalization)\.(\w+)", bare
        ):
            stage, number, part, kind, parameter = block.groups()
            if part == "shortcut":
                place = f"downsample.{0 if kind == 'convolution' else 1}"
            else:
                place = f"{_NORM[kind]}{int(part.removeprefix('layer.')) + 1}"
            renamed[f"layer{int(stage) + 1}.{number}.{place}.{parameter}"] = value
    return renamed


resnet18 = partial(ResNet, 18)
resnet34 = partial(ResNet, 34)
resnet50 = partial(ResNet, 50)
resnet101 = partial(ResNet, 101)
resnet152 = partial(ResNet, 152)
