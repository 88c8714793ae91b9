"""Building models by name, what they refuse, and keeping them on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from supervised.models import FAITHFUL, MODELS, build_model, load_feature_model, save_model

DIMS = {"audio": 7, "visual": 12}


def build(name: str, variant: str = "corrected") -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, {"audio": 7} if name in ("tcn", "mlp") else DIMS, variant=variant)


def test_the_names_are_those_of_the_papers_models() -> None:
    assert set(MODELS) == {"mlp", "tcn", "lfan", "can", "mt", "jmt"}
    assert set(FAITHFUL) == {"lfan", "can", "mt", "jmt"}


@pytest.mark.parametrize(
    ("name", "variant"), [*((name, "corrected") for name in MODELS), *((name, "faithful") for name in FAITHFUL)]
)
def test_a_saved_model_comes_back_to_the_bit(name: str, variant: str, tmp_path: Path) -> None:
    model = build(name, variant)
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2)
    save_model(tmp_path / "model", model)
    again = load_feature_model(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    assert again.spec == model.spec
    assert list(again.dims) == list(model.dims)
    assert not again.training
    n_frames = model.window_frames or 9
    features = {modality: torch.randn(2, n_frames, dim) for modality, dim in DIMS.items()}
    is_real = torch.ones(2, n_frames, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(again(features, is_real), model.eval()(features, is_real))


def test_options_are_kept(tmp_path: Path) -> None:
    model = build_model("jmt", DIMS, width=24, n_heads=3, dropout=0.3, is_causal=False, widths={"audio": [6, 5]})
    save_model(tmp_path, model)
    again = load_feature_model(tmp_path)
    assert again.spec.options == {
        "width": 24, "n_heads": 3, "dropout": 0.3, "is_causal": False, "widths": {"audio": [6, 5]}
    }  # fmt: skip
    assert again.streams.out_dims == {"audio": 5, "visual": 128}
    assert again.classifier.in_features == 24


def test_the_first_modality_leads_lfan() -> None:
    assert build_model("lfan", {"audio": 7, "visual": 12}).classifier.in_features == 32 + 64
    assert build_model("lfan", {"visual": 12, "audio": 7}).classifier.in_features == 128 + 64


@pytest.mark.parametrize(
    ("name", "dims", "options", "problem"),
    [
        ("lfn", DIMS, {}, "no corrected model named 'lfn'"),
        ("tcn", {"audio": 7}, {"variant": "faithful"}, "no faithful model named 'tcn'"),
        pytest.param("lfan", DIMS, {"variant": "fixed"}, "no variant 'fixed'", marks=pytest.mark.malformed),
        ("lfan", DIMS, {"heads": 3}, r"lfan \(corrected\) has no option heads"),
        ("can", DIMS, {"variant": "faithful", "dropout": 0.5}, r"can \(faithful\) has no option dropout"),
        ("lfan", DIMS, {"n_heads": 3}, "3 heads cannot share a width of 32"),
        ("jmt", DIMS, {"n_heads": 3}, "3 heads cannot share a width of 128"),
        ("can", DIMS, {"dropout": 1.5}, "can cannot have the options"),
        ("can", DIMS, {"widths": {"audio": []}}, "can cannot have the options"),
        ("tcn", DIMS, {}, r"tcn takes one modality, not 2 \(audio, visual\)"),
        ("mlp", DIMS, {}, r"mlp takes one modality, not 2 \(audio, visual\)"),
        ("can", {}, {}, "modalities none"),
        ("can", {"video": 3}, {}, "modalities video"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, dims: dict, options: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_model(name, dims, **options)


def test_a_folder_without_a_whole_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="holds no whole model"):
        load_feature_model(tmp_path)
    save_model(tmp_path, build("can"))
    state = load_file(tmp_path / "model.safetensors")
    del state["mix.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(PrerequisiteError, match=r"(?s)is damaged.*mix\.weight"):
        load_feature_model(tmp_path)
    spec = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(spec | {"name": "gone"}))
    with pytest.raises(ConfigError, match="no corrected model named 'gone'"):
        load_feature_model(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(PrerequisiteError, match="is damaged"):
        load_feature_model(tmp_path)


def test_the_mlp_is_a_trunk_a_bottleneck_and_a_weight_normed_classifier() -> None:
    torch.manual_seed(0)
    model = build_model("mlp", {"text": 6}, hidden=5, bottleneck=4, batch_norm=True).eval()
    values = torch.randn(2, 3, 6)
    norm, classifier = model.norm, model.classifier
    with torch.no_grad():
        norm.running_mean.normal_()
        hidden = torch.relu(values @ model.hidden.weight.T + model.hidden.bias)
        embedding = (hidden @ model.bottleneck.weight.T - norm.running_mean) / (1 + 1e-5) ** 0.5
        gain, direction = classifier.parametrizations.weight.original0, classifier.parametrizations.weight.original1
        logits = embedding @ (gain * direction / direction.norm(dim=1, keepdim=True)).T + classifier.bias
        torch.testing.assert_close(model({"text": values}, torch.ones(2, 3, dtype=torch.bool)), logits)
    assert model.bottleneck.bias is None
    assert build_model("mlp", {"text": 6}).bottleneck.bias is not None
