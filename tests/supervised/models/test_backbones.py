import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from supervised.models.backbones import build_backbone, freeze, load_head, save_backbone
from supervised.models.resnet import from_transformers


def faces(n=2, height=112, width=112, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, height, width, 3), generator=generator, dtype=torch.uint8)


def unlike_its_start(module):
    """Give batch norms statistics and scales that differ, so that a mixed-up one shows."""
    generator = torch.Generator().manual_seed(1)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif not value.is_floating_point():
            assert name.endswith("num_batches_tracked")
    return module


@pytest.mark.parametrize(
    ("name", "n_parameters", "dim"),
    [  # torchvision's published counts less the classifier
        ("resnet18", 11_176_512, 512),
        ("resnet34", 21_284_672, 512),
        ("resnet50", 23_508_032, 2048),
        ("resnet101", 42_500_160, 2048),
        ("resnet152", 58_143_808, 2048),
    ],
)
def test_every_resnet_has_the_size_of_the_published_one(name, n_parameters, dim):
    with torch.device("meta"):
        from supervised.models.backbones import Backbone

        backbone = Backbone(name)
    assert sum(p.numel() for p in backbone.parameters()) == n_parameters
    assert backbone.dim == dim


@pytest.mark.parametrize(
    ("name", "layer_type", "depths", "widths"),
    [
        ("resnet18", "basic", [2, 2, 2, 2], [64, 128, 256, 512]),
        ("resnet50", "bottleneck", [3, 4, 6, 3], [256, 512, 1024, 2048]),
    ],
)
def test_a_resnet_computes_what_that_of_transformers_does(tmp_path, name, layer_type, depths, widths):
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    other = unlike_its_start(
        ResNetModel(ResNetConfig(depths=depths, hidden_sizes=widths, layer_type=layer_type))
    ).eval()
    other.save_pretrained(tmp_path)
    ours = build_backbone(name, tmp_path)
    image = faces(height=124, width=124)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = ((image[:, 6:118, 6:118] / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = other(pixels).pooler_output.flatten(1)
        got = ours(image)
    assert ours.normalisation == "imagenet"
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
