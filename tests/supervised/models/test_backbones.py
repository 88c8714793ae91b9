import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from supervised.models.apvit import APViT
from supervised.models.backbones import (
    BACKBONES,
    Backbone,
    build_backbone,
    freeze,
    load_head,
    save_backbone,
)
from supervised.models.ir50 import ir_stage
from supervised.models.tensor_files import load_tensors


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


@pytest.mark.parametrize("name", ["resnet18", "ir50", "apvit"])
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


class TestWeights:
    def test_random_weights_must_be_asked_for(self):
        with pytest.raises(PrerequisiteError, match="resnet18 needs weights"):
            build_backbone("resnet18")

    def test_random_weights_are_announced(self, capsys):
        build_backbone("tiny", random=True)
        assert "WARNING: tiny has random weights" in capsys.readouterr().err

    def test_a_backbone_is_a_stand_in_as_long_as_a_part_of_it_is_random(self, tmp_path):
        random = build_backbone("tiny", random=True)
        save_backbone(tmp_path / "random", random)
        whole = build_backbone("tiny", tmp_path / "random")  # weights of any name, if they are all there
        reduced = build_backbone("tiny", tmp_path / "random", reduce_dim=8, random=True)
        assert (random.is_stand_in, whole.is_stand_in, reduced.is_stand_in) == (True, False, True)

    def test_a_name_close_to_one_is_suggested(self):
        with pytest.raises(ConfigError, match="no backbone named 'resnet81'") as error:
            build_backbone("resnet81", random=True)
        assert "resnet18" in error.value.remedy

    def test_saved_ones_come_back_with_their_reduction_classifier_and_digest(self, tmp_path):
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

    def test_digests_differ_where_a_value_does(self):
        backbone = build_backbone("tiny", random=True)
        before = backbone.weights_digest
        backbone.state_dict()["model.layers.0.0.weight"][0, 0, 0, 0] += 1
        assert backbone.weights_digest != before

    @pytest.mark.parametrize(
        ("model_type", "reduce_dim", "name"), [("resnet18", 64, "resnet18"), ("APVIT", "None", "apvit")]
    )
    def test_a_folder_of_the_authors_is_read(self, tmp_path, model_type, reduce_dim, name):
        theirs = Backbone(name, reduce_dim=64 if reduce_dim == 64 else None)
        head = "classifier.1" if name == "resnet18" else "model.classification_head.fc"
        state = {**theirs.state_dict(), f"{head}.weight": torch.ones(2, theirs.dim), f"{head}.bias": torch.zeros(2)}
        torch.save(state, tmp_path / "model.pt")
        apvit = "  apvit_k: 160\n  apvit_r: 0.9\n  apvit_attn_method: SUM_ABS_1\n  apvit_apply_self_att: false\n"
        (tmp_path / "mini_config.yml").write_text(
            f"num_classes: 2\ncl_loss: CE\nmodel:\n  model_type: {model_type}\n  reduce_dim: {reduce_dim}\n{apvit}"
        )
        ours = build_backbone(name, tmp_path)
        assert ours.dim == theirs.dim
        assert ours.normalisation == "half"
        assert ours.weights_digest == theirs.weights_digest
        assert load_head(name, tmp_path).layer.weight.shape == (2, theirs.dim)

    def test_a_published_apvit_with_another_attention_is_refused(self, tmp_path):
        torch.save({}, tmp_path / "model.pt")
        (tmp_path / "mini_config.yml").write_text("model: {model_type: apvit, apvit_attn_method: PARAM_G_ATT}\n")
        with pytest.raises(DataError, match="PARAM_G_ATT"):
            build_backbone("apvit", tmp_path)

    def test_the_file_of_the_published_ir50_is_read(self, tmp_path):
        body = Backbone("ir50").model.state_dict()
        state = {f"backbone.{key}": value for key, value in body.items()} | {"logits.weight": torch.ones(8, 512)}
        torch.save(state, tmp_path / "res50_ir.pth")
        assert torch.equal(
            build_backbone("ir50", tmp_path / "res50_ir.pth").model.body[7].res_layer[1].weight,
            body["body.7.res_layer.1.weight"],
        )

    def test_a_face_recogniser_starts_the_extractor_of_apvit(self, tmp_path, capsys):
        body = Backbone("ir50").model.state_dict()
        torch.save(body, tmp_path / "ir50.pth")
        backbone = build_backbone("apvit", tmp_path / "ir50.pth", random=True)
        assert "model.vit of apvit is random" in capsys.readouterr().err
        assert backbone.is_stand_in
        # the third stage starts after 3 + 4 units
        assert torch.equal(backbone.model.extractor.body[2][13].res_layer[3].weight, body["body.20.res_layer.3.weight"])
        with pytest.raises(DataError, match="missing"):
            build_backbone("apvit", tmp_path / "ir50.pth")

    def test_a_file_of_torchvision_is_read_without_its_classifier(self, tmp_path):
        state = dict(Backbone("resnet18").model.state_dict())
        old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}  # of 2017
        save_file({**old, "fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}, tmp_path / "r.safetensors")
        backbone = build_backbone("resnet18", tmp_path / "r.safetensors")
        assert not backbone.is_stand_in
        assert torch.equal(backbone.model.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
        assert backbone.normalisation == "imagenet"

    def test_a_reduction_that_weights_lack_must_be_asked_for(self, tmp_path, capsys):
        save_backbone(tmp_path, Backbone("tiny"))
        with pytest.raises(DataError, match=r"6 missing \(layer_reduce_dim.layer.1.weight"):
            build_backbone("tiny", tmp_path, reduce_dim=8)
        assert build_backbone("tiny", tmp_path, reduce_dim=8, random=True).dim == 8
        assert "layer_reduce_dim of tiny is random" in capsys.readouterr().err

    def test_weights_that_do_not_fit_are_listed(self, tmp_path):
        state = Backbone("tiny").state_dict()
        state["model.layers.1.0.weight"] = torch.zeros(1)
        del state["model.layers.0.1.bias"]
        state["model.layers.9.bias"] = torch.zeros(1)
        save_file(state, tmp_path / "w.safetensors")
        with pytest.raises(DataError) as error:
            build_backbone("tiny", tmp_path / "w.safetensors", random=True)
        assert error.value.problem == (
            "The weights w.safetensors do not fit tiny: 1 missing (model.layers.0.1.bias); "
            "1 of another shape (model.layers.1.0.weight); 1 unknown (model.layers.9.bias)."
        )

    def test_weights_of_another_backbone_are_refused(self, tmp_path):
        save_backbone(tmp_path, Backbone("tiny"))
        with pytest.raises(ConfigError, match="of the backbone tiny, not resnet18"):
            build_backbone("resnet18", tmp_path)

    def test_a_file_that_would_run_code_is_refused(self, tmp_path):
        torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
        with pytest.raises(DataError, match="cannot be read as tensors"):
            build_backbone("tiny", tmp_path / "model.pt")

    @pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html>\n<html>", b"PK\x03\x04torn", b"\x00" * 40])
    def test_a_file_of_something_else_is_refused(self, tmp_path, content):
        for name in ("model.pt", "model.safetensors"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match="cannot be read as tensors"):
                load_tensors(tmp_path / name)

    @pytest.mark.parametrize("content", ["{", "[]", '{"name": "tiny"}'])
    def test_a_damaged_folder_says_so(self, tmp_path, content):
        save_backbone(tmp_path, Backbone("tiny"))
        (tmp_path / "backbone.json").write_text(content)
        with pytest.raises(DataError, match=r"backbone.json .* is damaged"):
            build_backbone("tiny", tmp_path)

    def test_a_place_without_weights_says_so(self, tmp_path):
        with pytest.raises(PrerequisiteError, match="no weights of tiny"):
            build_backbone("tiny", tmp_path)
        save_backbone(tmp_path, Backbone("tiny"))
        with pytest.raises(DataError, match="have no classifier"):
            load_head("tiny", tmp_path)

    def test_a_hub_name_out_of_reach_says_so(self):
        with pytest.raises(PrerequisiteError, match="nor such a ResNet on the hub"):
            build_backbone("resnet18", "nobody/no-such-resnet")

    @pytest.mark.parametrize("place", ["gone/resnet18.pt", "gone.safetensors", "./gone/folder", "a/b/c", "gone"])
    def test_a_path_that_is_not_there_is_never_looked_for_on_the_hub(self, place, monkeypatch):
        monkeypatch.setattr("transformers.ResNetModel.from_pretrained", None)  # calling it would be a TypeError
        with pytest.raises(PrerequisiteError, match="no weights of resnet18 at"):
            build_backbone("resnet18", place)

    def test_an_unknown_backbone_is_answered_with_the_names(self):
        with pytest.raises(ConfigError, match="no backbone named 'resnet99'") as caught:
            build_backbone("resnet99")
        assert caught.value.remedy.startswith("Did you mean 'resnet")
        assert all(name in caught.value.remedy for name in BACKBONES)
