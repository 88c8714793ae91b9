"""Importing what the published code saved: every tensor lands where it belongs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from supervised.models import FeatureModel, load_feature_model
from supervised.models.published_weights import import_weights

State = Callable[..., dict[str, Tensor]]
Saved = Callable[..., Path]
Imported = Callable[[str], tuple[FeatureModel, dict[str, Tensor]]]

OURS = {"video": "visual", "vggish": "audio", "bert": "text"}
LFAN = {"video": [256, 256, 128, 128], "vggish": [64, 64, 32, 32], "bert": [256, 256, 128, 128]}
PARAMETERS = {"lfan": 5_001_378, "can": 5_816_514, "mt": 5_983_810, "jmt": 6_347_586}


@pytest.fixture
def imported(tmp_path: Path, published_state: State, saved: Saved) -> Imported:
    """Import random weights of a model, and return it with them."""

    def load(model: str) -> tuple[FeatureModel, dict[str, Tensor]]:
        state = published_state(model)
        file = saved(tmp_path / "best-model", state, config=model.upper())
        import_weights(file, model=model, out=tmp_path / "ours")
        return load_feature_model(tmp_path / "ours"), state

    return load


@pytest.mark.parametrize("model", PARAMETERS)
def test_published_weights_fill_the_faithful_model_whole(model: str, tmp_path: Path, imported: Imported) -> None:
    loaded, _ = imported(model)
    assert sum(parameter.numel() for parameter in loaded.parameters()) == PARAMETERS[model]
    assert loaded.spec.name == model
    assert loaded.spec.variant == "faithful"
    assert loaded.dims == {"visual": 512, "audio": 128, "text": 768}
    assert loaded.window_frames == (24 if model == "lfan" else None)
    features = {name: torch.randn(2, 24, dim) for name, dim in loaded.dims.items()}
    assert loaded(features, torch.ones(2, 24, dtype=torch.bool)).isfinite().all()


def published_lfan(state: dict[str, Tensor], features: dict[str, Tensor]) -> Tensor:
    """Return LFAN's logits from the published names alone, shapes (batch, frames, ...)."""
    out = {}
    for modality, widths in LFAN.items():
        hidden = features[OURS[modality]].transpose(1, 2)
        for i in range(len(widths)):
            block = f"temporal.{modality}.network.{i}"
            inputs = hidden
            for conv in ("conv1", "conv2"):
                direction, gain = state[f"{block}.{conv}.weight_v"], state[f"{block}.{conv}.weight_g"]
                weight = gain * direction / direction.flatten(1).norm(dim=1)[:, None, None]
                padded = nn.functional.pad(hidden, (4 * 2**i, 0))
                hidden = nn.functional.conv1d(padded, weight, state[f"{block}.{conv}.bias"], dilation=2**i)
                hidden = nn.functional.leaky_relu(hidden)
            if f"{block}.downsample.weight" in state:
                inputs = nn.functional.conv1d(
                    inputs, state[f"{block}.downsample.weight"], state[f"{block}.downsample.bias"]
                )
            hidden = nn.functional.leaky_relu(hidden + inputs)
        norm = [state[f"bn.{modality}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        out[modality] = nn.functional.batch_norm(hidden, *norm).transpose(1, 2)
    attention_name = "fusion.layers.self_attn"
    parts = []
    for modality in LFAN:
        name = f"{attention_name}.qkv_proj.{modality}"
        projected = nn.functional.linear(out[modality], state[f"{name}.weight"], state[f"{name}.bias"])
        parts.append(projected.reshape(*projected.shape[:2], 2, 48))
    query, key, value = torch.stack(parts, dim=3).split(16, dim=-1)  # batch, frames, heads, modalities, 16
    values = torch.softmax(query @ key.transpose(-1, -2) / 4, dim=-1) @ value + value
    values = nn.functional.linear(
        values.flatten(2), state[f"{attention_name}.o_proj.weight"], state[f"{attention_name}.o_proj.bias"]
    )
    follower = nn.functional.layer_norm(
        values, (96,), state["fusion.layers.norm1.weight"], state["fusion.layers.norm1.bias"]
    )
    both = torch.cat((out["video"], follower), dim=-1)
    return nn.functional.linear(both, state["regressor.weight"], state["regressor.bias"])


def test_an_imported_lfan_scores_as_its_weights_say(tmp_path: Path, imported: Imported) -> None:
    loaded, state = imported("lfan")
    features = {name: torch.randn(2, 24, dim) for name, dim in loaded.dims.items()}
    with torch.no_grad():
        got = loaded(features, torch.ones(2, 24, dtype=torch.bool))
    expected = published_lfan(state, features)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("model", "theirs", "ours"),
    [
        ("can", "fuse.attn.1.weight", "project.audio.weight"),
        ("can", "fuse.weights.bias", "weigh.bias"),
        ("can", "conv_c.weight", "unused.weight"),
        ("can", "bn.bert.running_var", "streams.norm.text.running_var"),
        ("can", "bn1.running_mean", "norm.running_mean"),
        ("can", "fc1.bias", "mix.bias"),
        ("mt", "fuse.CA_av.in_proj_weight", "cross.audio_visual.in_proj_weight"),
        ("mt", "fuse.final_encoder.layers.0.layer_norm2.bias", "answers_encoder.norm2.bias"),
        ("mt", "fuse.augment_audio_feats_dim.weight", "project.weight"),
        ("jmt", "fuse.jr_encoder.layers.0.feed_forward.2.weight", "encoders.joint.feedforward.2.weight"),
        ("jmt", "fuse.visual_encoder.layers.0.attention.in_proj_bias", "encoders.visual.attention.in_proj_bias"),
        ("jmt", "fuse.CA_va.in_proj_bias", "cross.visual_audio.in_proj_bias"),
        ("jmt", "fuse.CA_jrv.out_proj.weight", "cross.joint_visual.out_proj.weight"),
        ("jmt", "fuse.CA_vjr.out_proj.weight", "cross.visual_joint.out_proj.weight"),
        ("jmt", "fuse.CA_jra.out_proj.weight", "cross.joint_audio.out_proj.weight"),
        ("jmt", "fuse.CA_ajr.out_proj.weight", "cross.audio_joint.out_proj.weight"),
        ("jmt", "fuse.final_self_attention.out_proj.bias", "answers_attention.out_proj.bias"),
        ("jmt", "fuse.reduce_feats_dim.weight", "joint.weight"),
        ("jmt", "temporal.vggish.network.2.conv2.weight_g",
         "streams.temporal.audio.network.2.conv2.parametrizations.weight.original0"),
        ("jmt", "temporal.video.network.0.downsample.weight", "streams.temporal.visual.network.0.downsample.weight"),
        ("jmt", "fc2.bias", "classifier.bias"),
    ],
)  # fmt: skip
def test_every_part_lands_where_it_belongs(
    model: str, theirs: str, ours: str, tmp_path: Path, imported: Imported
) -> None:
    loaded, state = imported(model)
    assert torch.equal(loaded.state_dict()[ours], state[theirs])


def test_missing_unknown_and_misshaped_tensors_are_listed(tmp_path: Path, published_state: State, saved: Saved) -> None:
    state = published_state("can")
    del state["fuse.weights.weight"]
    state["fuse.scale.weight"] = torch.zeros(3)
    state["fc2.weight"] = torch.zeros(7, 384)
    file = saved(tmp_path / "best-model", state)
    with pytest.raises(DataError) as caught:
        import_weights(file, model="can", out=tmp_path / "ours")
    assert "1 missing (weigh.weight)" in caught.value.problem
    assert "1 unknown (fuse.scale.weight)" in caught.value.problem
    assert "1 of another shape (fc2.weight is (7, 384), not (2, 384))" in caught.value.problem
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("model", ["lfan", "can", "mt"])
def test_weights_of_another_model_are_refused_with_and_without_its_config(
    model: str, tmp_path: Path, published_state: State, saved: Saved
) -> None:
    state = published_state("jmt")
    with pytest.raises(ConfigError, match=f"are of the model jmt, not {model}") as caught:
        import_weights(saved(tmp_path / "a", state, config="JMT"), model=model, out=tmp_path / "ours")
    assert caught.value.remedy == "Use --model jmt."
    with pytest.raises(DataError, match=rf"do not fit {model}: .*\d+ unknown \(.*fuse\."):
        import_weights(saved(tmp_path / "b", state), model=model, out=tmp_path / "ours", window_frames=24)


def test_the_window_of_lfan_comes_from_the_flag_or_the_config(
    tmp_path: Path, published_state: State, saved: Saved
) -> None:
    state = published_state("lfan")
    bare = saved(tmp_path / "bare", state)
    with pytest.raises(ConfigError, match="window of these weights of lfan is unknown") as caught:
        import_weights(bare, model="lfan", out=tmp_path / "ours")
    assert "--window-frames" in caught.value.remedy
    import_weights(bare, model="lfan", out=tmp_path / "ours", window_frames=99)
    assert load_feature_model(tmp_path / "ours").window_frames == 99


def test_a_subset_of_the_modalities_is_told_from_the_weights(
    tmp_path: Path, published_state: State, saved: Saved
) -> None:
    state = published_state("lfan", without="vggish")
    import_weights(saved(tmp_path / "best-model", state), model="lfan", out=tmp_path / "ours", window_frames=24)
    assert load_feature_model(tmp_path / "ours").dims == {"visual": 512, "text": 768}


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))


def test_nothing_in_a_file_is_executed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for i, write in enumerate(
        (lambda p: torch.save(_Evil(), p), lambda p: p.write_bytes(pickle.dumps(_Evil(), protocol=2)))
    ):
        path = tmp_path / str(i) / "model.pt"
        path.parent.mkdir()
        write(path)
        with pytest.raises(DataError, match=r"model\.pt"):
            import_weights(path, model="can", out=tmp_path / "ours")
    assert "executed" not in capfd.readouterr().out


def test_a_file_of_something_else_is_refused(tmp_path: Path, saved: Saved) -> None:
    with pytest.raises(PrerequisiteError, match="no file of weights"):
        import_weights(tmp_path, model="can", out=tmp_path / "ours")
    file = saved(tmp_path / "backbone", {"model.conv1.weight": torch.zeros(3)})
    with pytest.raises(DataError, match="no temporal convolutions over video, vggish, bert"):
        import_weights(file, model="can", out=tmp_path / "ours")
    with pytest.raises(ConfigError, match="no published weights of a model 'tcn'"):
        import_weights(file, model="tcn", out=tmp_path / "ours")
