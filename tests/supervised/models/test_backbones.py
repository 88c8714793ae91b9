import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bah_mllm.core.errors import DataError
from supervised.models.apvit import APViT
from supervised.models.backbones import (
    Backbone,
    build_backbone,
    freeze,
    load_head,
    save_backbone,
)
from supervised.models.ir50 import ir_stage


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
    middle = image[:, 6:118, 6:118].permute(0, 3, 1, 2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).double(), torch.tensor([0.229, 0.224, 0.225]).double()
    pixels = (middle / 255.0 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(ours(image), ours.embed(middle.float()), rtol=1e-5, atol=1e-5)
        # In float64: 50 layers of random weights enlarge the rounding of float32 beyond any tight tolerance.
        expected = other.double()(pixels).pooler_output.flatten(1)
        got = ours.double().embed(middle.double())
    assert ours.normalisation == "imagenet"
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "n_parameters", "head"),
    [  # counts of the published networks, which include their unused classifier of 8 and 2 classes
        ("ir50", 37_287_624, 512 * 8 + 8),
        ("apvit", 65_205_698, 768 * 2 + 2),
    ],
)
def test_the_other_backbones_have_the_published_sizes(name, n_parameters, head):
    with torch.device("meta"):
        backbone = Backbone(name)
    assert sum(p.numel() for p in backbone.parameters()) + head == n_parameters


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (124, 124), (300, 17)])
def test_faces_of_any_size_give_one_feature_each(size):
    backbone = build_backbone("tiny", random=True)
    assert backbone(faces(3, *size)).shape == (3, 64)


def test_features_of_ir50_have_unit_length():
    torch.manual_seed(0)
    with torch.no_grad():
        feature = build_backbone("ir50", random=True)(faces(3, 60, 60))
    torch.testing.assert_close(feature.square().sum(1), torch.ones(3))


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 4), (4, 6)])
def test_a_strided_unit_of_ir50_adds_every_second_pixel_of_its_input(n_in, n_out):
    torch.manual_seed(0)
    (unit,) = ir_stage(n_in, n_out, 1, stride=2)
    unlike_its_start(unit).eval()
    image = torch.randn(2, n_in, 8, 8)
    weights = dict(unit.state_dict())

    def norm(name, x):
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return ((x.movedim(1, -1) - mean) / (var + 1e-5).sqrt() * scale + shift).movedim(-1, 1)

    hidden = nn.functional.conv2d(norm("res_layer.0", image), weights["res_layer.1.weight"], padding=1)
    hidden = torch.where(hidden > 0, hidden, weights["res_layer.2.weight"][:, None, None] * hidden)
    hidden = norm("res_layer.4", nn.functional.conv2d(hidden, weights["res_layer.3.weight"], stride=2, padding=1))
    shortcut = image[:, :, ::2, ::2]
    if n_in != n_out:
        mixed = torch.einsum("oc,bchw->bohw", weights["shortcut_layer.0.weight"][:, :, 0, 0], shortcut)
        shortcut = norm("shortcut_layer.1", mixed)
    torch.testing.assert_close(unit(image), hidden + shortcut, rtol=1e-4, atol=1e-4)


def test_faces_are_scaled_as_pillow_does():
    image = faces(1, 201, 87)
    resized = build_backbone("tiny", random=True).resize(image)[0].permute(1, 2, 0).numpy()
    expected = np.asarray(Image.fromarray(image[0].numpy()).resize((36, 36), Image.Resampling.BILINEAR))
    assert np.abs(resized - expected).max() < 1.01  # Pillow rounds to whole values, after each of two passes


def test_faces_are_normalised_as_the_published_code_does():
    backbone = build_backbone("tiny", random=True)
    seen = []
    backbone.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = faces(2, 36, 36)
    backbone(image)
    expected = (image[:, 2:34, 2:34].permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.malformed
@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(2, 8, 8, 3),  # not uint8
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),  # channels first
        torch.zeros(8, 8, 3, dtype=torch.uint8),  # no batch
        torch.zeros(2, 0, 8, 3, dtype=torch.uint8),  # no pixel
    ],
)
def test_what_is_no_batch_of_faces_is_refused(wrong):
    with pytest.raises(DataError, match="not uint8"):
        build_backbone("tiny", random=True)(wrong)


@pytest.mark.parametrize("name", ["resnet18", "ir50", pytest.param("apvit", marks=pytest.mark.slow)])
def test_a_face_has_the_same_features_alone_and_in_a_batch(name):
    torch.manual_seed(0)
    backbone = build_backbone(name, random=True)
    batch = faces(3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(backbone(batch)[1:2], backbone(batch[1:2]), rtol=1e-4, atol=1e-5)


def test_a_frozen_backbone_stays_in_inference_mode_inside_a_model_in_training():
    backbone = freeze(build_backbone("tiny", random=True))
    model = nn.Sequential(backbone, nn.Dropout())
    model.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone(faces(4))
    assert model[1].training
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_a_backbone_that_is_not_frozen_trains():
    model = nn.Sequential(build_backbone("tiny", random=True))
    model.train()
    assert all(module.training for module in model.modules())


def test_saved_ones_come_back_with_their_reduction_classifier_and_digest(tmp_path):
    backbone = build_backbone("tiny", random=True, reduce_dim=16, normalisation="imagenet")
    unlike_its_start(backbone)
    head = nn.Linear(16, 2)
    save_backbone(tmp_path / "w", backbone, head=head, classes=("none", "ah"))
    again = build_backbone("tiny", tmp_path / "w")
    image = faces()
    assert torch.equal(again(image), backbone(image))
    assert again.dim == 16
    assert again.weights_digest == backbone.weights_digest
    assert again.settings["weights"] == "w"
    loaded = load_head("tiny", tmp_path / "w")
    assert torch.equal(loaded.layer.weight, head.weight)
    assert loaded.classes == ("none", "ah")


class TestApvit:
    def test_as_many_tokens_as_in_the_paper_reach_every_block(self):
        model = APViT().eval()
        counts = []
        for block in model.vit.blocks:
            block.register_forward_pre_hook(lambda _, inputs: counts.append(inputs[0].shape[1]))
            block.mlp.register_forward_pre_hook(lambda _, inputs: counts.append(inputs[0].shape[1]))
        with torch.no_grad():
            model(torch.randn(1, 3, 112, 112))
        # 160 of 196 patches, then nine tenths after the attention of each of the last four blocks; a class token
        assert counts[0::2] == [161, 161, 161, 161, 161, 145, 130, 117]
        assert counts[1::2] == [161, 161, 161, 161, 145, 130, 117, 105]

    @pytest.mark.slow
    def test_without_pooling_it_is_a_plain_transformer(self):
        torch.manual_seed(0)
        vit = APViT(n_keep=196, keep_rate=1.0).eval().vit
        with torch.no_grad():
            for parameter in vit.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        image = torch.randn(2, 256, 14, 14)
        patches = torch.einsum("oc,bchw->bhwo", vit.projs[0].weight[:, :, 0, 0], image) + vit.projs[0].bias
        first = vit.cls_token + vit.cls_pos_embed
        tokens = torch.cat([first.expand(2, 1, 768), patches.reshape(2, 196, 768) + vit.patch_pos_embed], dim=1)
        for block in vit.blocks:
            tokens = self._encoder_layer(block)(tokens)
        with torch.no_grad():
            torch.testing.assert_close(vit(image), vit.norm(tokens)[:, 0].detach(), rtol=1e-3, atol=1e-3)

    @staticmethod
    def _encoder_layer(block):
        layer = nn.TransformerEncoderLayer(
            768, 8, 3 * 768, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        ).eval()
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": block.attn.qkv.weight,
                "self_attn.in_proj_bias": torch.zeros(3 * 768),
                "self_attn.out_proj.weight": block.attn.proj.weight,
                "self_attn.out_proj.bias": block.attn.proj.bias,
                "linear1.weight": block.mlp.fc1.weight,
                "linear1.bias": block.mlp.fc1.bias,
                "linear2.weight": block.mlp.fc2.weight,
                "linear2.bias": block.mlp.fc2.bias,
                "norm1.weight": block.norm1.weight,
                "norm1.bias": block.norm1.bias,
                "norm2.weight": block.norm2.weight,
                "norm2.bias": block.norm2.bias,
            }
        )
        return layer

    def test_the_strongest_patches_are_kept_with_their_own_positions(self):
        model = APViT(n_keep=2, keep_rate=1.0).eval().vit
        seen = []
        model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        image = torch.zeros(1, 256, 14, 14)
        image[0, :, 9, 3] = 5.0  # strong
        image[0, :, 2, 7] = -3.0  # strong by magnitude, and earlier
        with torch.no_grad():
            nn.init.normal_(model.projs[0].weight)
            nn.init.zeros_(model.projs[0].bias)
            model(image)
            expected = [
                model.projs[0].weight[:, :, 0, 0].sum(1) * value + model.patch_pos_embed[0, row * 14 + column]
                for value, row, column in ((-3.0, 2, 7), (5.0, 9, 3))
            ]
        torch.testing.assert_close(seen[0][0, 1:], torch.stack(expected), rtol=1e-3, atol=1e-3)

    def test_patches_that_the_class_token_attends_to_stay(self):
        block = APViT().vit.blocks[7].eval()
        torch.manual_seed(0)
        tokens = torch.randn(1, 11, 768)
        query, key, _ = block.attn.qkv(block.norm1(tokens))[0].view(11, 3, 8, 96).unbind(1)
        score = torch.einsum("hd,thd->t", query[0], key)[1:]
        dropped = int(score.argmin()) + 1
        with torch.no_grad():
            kept = block(tokens)
            block.keep_rate = 1.0
            everything = block(tokens)
        torch.testing.assert_close(kept[0], everything[0, [t for t in range(11) if t != dropped]])
