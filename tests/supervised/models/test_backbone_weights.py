"""Weights of backbones from every place they may come from, and what is said where they do not fit."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from supervised.models.backbones import (
    BACKBONES,
    Backbone,
    build_backbone,
    load_head,
    save_backbone,
)
from supervised.models.tensor_files import load_tensors


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

    def test_digests_differ_where_a_value_does(self):
        backbone = build_backbone("tiny", random=True)
        before = backbone.weights_digest
        backbone.state_dict()["model.layers.0.0.weight"][0, 0, 0, 0] += 1
        assert backbone.weights_digest != before

    @pytest.mark.parametrize(
        ("model_type", "reduce_dim", "name"),
        [("resnet18", 64, "resnet18"), pytest.param("APVIT", "None", "apvit", marks=pytest.mark.slow)],
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

    @pytest.mark.slow
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
