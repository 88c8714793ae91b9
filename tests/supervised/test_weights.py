"""Importing what the published code saved. Its key names and shapes are written out here, as that code has them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from bah_mllm.dataset import open_dataset
from bah_mllm.predictions import read_run
from supervised.features.store import FeatureSet, FeatureStore
from supervised.models import FeatureModel, load_feature_model
from supervised.models.backbones import build_backbone
from supervised.models.published_weights import import_weights

Call = Callable[..., tuple[int, str, str]]
Shapes = dict[str, tuple[int, ...]]

INPUTS = {"video": 512, "vggish": 128, "bert": 768}
OURS = {"video": "visual", "vggish": "audio", "bert": "text"}
LFAN = {"video": [256, 256, 128, 128], "vggish": [64, 64, 32, 32], "bert": [256, 256, 128, 128]}
OTHERS = {"video": [256, 256, 128, 128, 128], "vggish": [128, 128, 64, 64], "bert": [256, 256, 128, 128]}
PARAMETERS = {"lfan": 5_001_378, "can": 5_816_514, "mt": 5_983_810, "jmt": 6_347_586}

# The numpy number that the published code puts into its configuration, which no safe reader takes.
CONFIG = """amp: true
best_epoch: !!python/object/apply:numpy.core.multiarray.scalar
- !!python/object/apply:numpy.dtype
  args:
  - i8
  - false
  - true
- !!binary |
  AQAAAAAAAAA=
modal_dim: 32
modality:
- video
- vggish
- bert
- EXPR_continuous_label
model_name: {model}
num_heads: 2
t0: 2025-05-01 12:00:00.123456
tcn_kernel_size: 5
window_length: 24
"""


def linear(name: str, n_in: int, n_out: int) -> Shapes:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def batch_norm(name: str, width: int) -> Shapes:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in names} | {f"{name}.num_batches_tracked": ()}


def layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def streams(channels: dict[str, list[int]]) -> Shapes:
    shapes: Shapes = {}
    for modality, widths in channels.items():
        n_in = INPUTS[modality]
        for i, width in enumerate(widths):
            block = f"temporal.{modality}.network.{i}"
            for conv, second, inputs in (("conv1", "net.0", n_in), ("conv2", "net.4", width)):
                for name in (conv, second):
                    shapes[f"{block}.{name}.bias"] = (width,)
                    shapes[f"{block}.{name}.weight_g"] = (width, 1, 1)
                    shapes[f"{block}.{name}.weight_v"] = (width, inputs, 5)
            if n_in != width:
                shapes |= {f"{block}.downsample.weight": (width, n_in, 1), f"{block}.downsample.bias": (width,)}
            n_in = width
        shapes |= batch_norm(f"bn.{modality}", widths[-1])
    return shapes


def attention(name: str) -> Shapes:
    return {f"{name}.in_proj_weight": (384, 128), f"{name}.in_proj_bias": (384,)} | linear(f"{name}.out_proj", 128, 128)


def encoder(name: str) -> Shapes:
    layer = f"{name}.layers.0"
    return {
        **attention(f"{layer}.attention"),
        **linear(f"{layer}.feed_forward.0", 128, 128),
        **linear(f"{layer}.feed_forward.2", 128, 128),
        **layer_norm(f"{layer}.layer_norm1", 128),
        **layer_norm(f"{layer}.layer_norm2", 128),
    }


def published_shapes(model: str) -> Shapes:
    if model == "lfan":
        shapes = {"spatial.visual.backbone.input_layer.0.weight": (64, 3, 3, 3)} | streams(LFAN)
        for modality, widths in LFAN.items():
            shapes |= linear(f"fusion.layers.self_attn.qkv_proj.{modality}", widths[-1], 96)
        shapes |= linear("fusion.layers.self_attn.o_proj", 96, 96) | layer_norm("fusion.layers.norm1", 96)
        return shapes | linear("regressor", 224, 2)
    shapes = streams(OTHERS)
    if model == "can":
        for i, widths in enumerate(OTHERS.values()):
            shapes |= linear(f"fuse.attn.{i}", widths[-1], 128)
        shapes |= linear("fuse.weights", 384, 384) | {"conv_c.weight": (128, 384, 1), "conv_c.bias": (128,)}
        return shapes | batch_norm("bn1", 384) | linear("fc1", 384, 384) | linear("fc2", 384, 2)
    shapes |= encoder("fuse.visual_encoder") | encoder("fuse.audio_encoder") | encoder("fuse.final_encoder")
    crossings = ["CA_va", "CA_av"]
    if model == "jmt":
        shapes |= encoder("fuse.jr_encoder")
        crossings += ["CA_jra", "CA_ajr", "CA_vjr", "CA_jrv"]
    for crossing in crossings:
        shapes |= attention(f"fuse.{crossing}")
    shapes |= linear("fuse.reduce_feats_dim", 256, 128) | linear("fuse.augment_audio_feats_dim", 64, 128)
    shapes |= attention("fuse.final_self_attention") | batch_norm("bn1", 128)
    return shapes | linear("fc1", 128, 128) | linear("fc2", 128, 2)


def published_state(model: str) -> dict[str, Tensor]:
    """Return random values under the published names; the second names of a convolution hold the same values."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for name, shape in published_shapes(model).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif ".net." in name:
            state[name] = state[name.replace("net.0", "conv1").replace("net.4", "conv2")]
        else:
            values = torch.randn(shape, generator=generator)
            state[name] = values.abs() + 0.1 if name.endswith(("running_var", "weight_g")) else 0.1 * values
    return state


def saved(folder: Path, state: dict[str, Tensor], *, config: str | None = None) -> Path:
    folder.mkdir(parents=True)
    torch.save(state, folder / "model.pt")
    if config is not None:
        (folder / "config.yml").write_text(CONFIG.format(model=config))
    return folder / "model.pt"


def imported(tmp_path: Path, model: str) -> tuple[FeatureModel, dict[str, Tensor]]:
    state = published_state(model)
    file = saved(tmp_path / "best-model", state, config=model.upper())
    import_weights(file, model=model, out=tmp_path / "ours")
    return load_feature_model(tmp_path / "ours"), state


@pytest.mark.parametrize("model", PARAMETERS)
def test_published_weights_fill_the_faithful_model_whole(model: str, tmp_path: Path) -> None:
    loaded, _ = imported(tmp_path, model)
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


def test_an_imported_lfan_scores_as_its_weights_say(tmp_path: Path) -> None:
    loaded, state = imported(tmp_path, "lfan")
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
def test_every_part_lands_where_it_belongs(model: str, theirs: str, ours: str, tmp_path: Path) -> None:
    loaded, state = imported(tmp_path, model)
    assert torch.equal(loaded.state_dict()[ours], state[theirs])


def test_missing_unknown_and_misshaped_tensors_are_listed(tmp_path: Path) -> None:
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
def test_weights_of_another_model_are_refused_with_and_without_its_config(model: str, tmp_path: Path) -> None:
    state = published_state("jmt")
    with pytest.raises(ConfigError, match=f"are of the model jmt, not {model}") as caught:
        import_weights(saved(tmp_path / "a", state, config="JMT"), model=model, out=tmp_path / "ours")
    assert caught.value.remedy == "Use --model jmt."
    with pytest.raises(DataError, match=rf"do not fit {model}: .*\d+ unknown \(.*fuse\."):
        import_weights(saved(tmp_path / "b", state), model=model, out=tmp_path / "ours", window_frames=24)


def test_the_window_of_lfan_comes_from_the_flag_or_the_config(tmp_path: Path) -> None:
    state = published_state("lfan")
    bare = saved(tmp_path / "bare", state)
    with pytest.raises(ConfigError, match="window of these weights of lfan is unknown") as caught:
        import_weights(bare, model="lfan", out=tmp_path / "ours")
    assert "--window-frames" in caught.value.remedy
    import_weights(bare, model="lfan", out=tmp_path / "ours", window_frames=99)
    assert load_feature_model(tmp_path / "ours").window_frames == 99


def test_a_subset_of_the_modalities_is_told_from_the_weights(tmp_path: Path) -> None:
    state = {name: value for name, value in published_state("lfan").items() if "vggish" not in name}
    shapes = linear("fusion.layers.self_attn.o_proj", 64, 64) | layer_norm("fusion.layers.norm1", 64)
    shapes |= linear("regressor", 192, 2)
    state |= {name: torch.randn(shape) for name, shape in shapes.items()}
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


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="no file of weights"):
        import_weights(tmp_path, model="can", out=tmp_path / "ours")
    file = saved(tmp_path / "backbone", {"model.conv1.weight": torch.zeros(3)})
    with pytest.raises(DataError, match="no temporal convolutions over video, vggish, bert"):
        import_weights(file, model="can", out=tmp_path / "ours")
    with pytest.raises(ConfigError, match="no published weights of a model 'tcn'"):
        import_weights(file, model="tcn", out=tmp_path / "ours")


def test_the_command_writes_a_folder_and_says_what_is_left_out(bah: Call, tmp_path: Path) -> None:
    saved(tmp_path / "best-model", published_state("lfan"), config="LFAN")
    code, out, err = bah("weights", "import", "best-model", "--model", "lfan", "--out", "trained/authors-lfan")
    assert (code, out) == (0, "trained/authors-lfan\n")
    assert "note: 1 tensors of the frozen backbone of faces are left out" in err
    assert "lfan, 5,001,378 parameters" in err
    spec = json.loads((tmp_path / "trained" / "authors-lfan" / "model.json").read_text())
    assert (spec["name"], spec["variant"], spec["options"]["window_frames"]) == ("lfan", "faithful", 24)
    for gone, model in (("gone/model.pt", "lfan"), ("nofile", "resnet18"), ("gone/away", "resnet18")):
        code, out, err = bah("weights", "import", gone, "--model", model, "--out", "x")
        assert (code, out) == (2, "")
        assert err.splitlines()[0].startswith("error: There is no file of weights")


@pytest.mark.parametrize("names_folder", [True, False])
def test_a_published_backbone_becomes_ours(bah: Call, tmp_path: Path, names_folder: bool) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("resnet18", random=True)
    folder = tmp_path / "authors"
    folder.mkdir()
    state = backbone.state_dict() | {"classifier.1.weight": torch.zeros(2, 512), "classifier.1.bias": torch.zeros(2)}
    torch.save(state, folder / "model.pt")
    (folder / "mini_config.yml").write_text(
        "cl_loss: ce\nmodel:\n  model_type: resnet18\n  reduce_dim: 'None'\nnum_classes: 2\n"
    )
    source = folder if names_folder else folder / "model.pt"
    code, _, err = bah("weights", "import", source, "--model", "resnet18", "--out", "ours")
    assert code == 0, err
    again = build_backbone("resnet18", weights=tmp_path / "ours")
    assert again.weights_digest == backbone.weights_digest


WIDTHS = {"face-resnet152": ("visual", 512), "vggish": ("audio", 128), "bert": ("text", 768)}


@pytest.fixture
def published_widths(planted_root: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A small data set with features as wide as the published models take them."""
    root, _ = planted_root
    store = FeatureStore(tmp_path / "wide")
    rng = np.random.default_rng(0)
    for name, (modality, dim) in WIDTHS.items():
        store.create(FeatureSet(name=name, modality=modality, dim=dim))  # type: ignore[arg-type]
        for video in open_dataset(root).videos():
            store.add(name, video.video_id, rng.normal(3, 2, size=(30, dim)).astype(np.float32), fps=10.0)
    return root, store.root


def test_imported_weights_predict_as_the_published_code_standardises(
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path
) -> None:
    root, features = published_widths
    saved(tmp_path / "best-model", published_state("can"), config="CAN")
    where = ("--features", features, "--data", root)
    assert bah("weights", "import", "best-model", "--model", "can", "--out", "theirs", *where)[0] == 0
    code, _, err = bah("predict", "theirs", "--data", root, "--out", "run")
    assert (code, "can faithful" in err) == (0, True)
    dataset, store = open_dataset(root), FeatureStore(features)
    video = dataset.videos("test")[1]
    fitted = [one.video_id for split in ("train", "val") for one in dataset.videos(split)]
    inputs = {}
    for name, (modality, _) in WIDTHS.items():
        values = np.asarray(store.read(name, video.video_id).values, dtype=np.float64)
        if modality != "visual":  # published code: mean and deviation over training and validation videos
            pooled = np.concatenate([store.read(name, one).values for one in fitted]).astype(np.float64)
            values = (values - pooled.mean(axis=0)) / pooled.std(axis=0, ddof=1)
        inputs[modality] = torch.from_numpy(values.astype(np.float32))[None]
    with torch.no_grad():
        logits = load_feature_model(tmp_path / "theirs" / "imported")(inputs, torch.ones(1, 30, dtype=torch.bool))[
            0
        ].double()
    rows = [row for row in read_run(tmp_path / "run") if row.video_id == video.video_id]
    assert [row.system for row in rows] == ["can faithful"] * 30
    np.testing.assert_allclose(
        [row.p_positive for row in rows], torch.softmax(logits, dim=-1)[:, 1].numpy(), rtol=1e-4, atol=1e-6
    )


def test_imported_lfan_covers_each_frame_by_windows_of_its_length(
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path
) -> None:
    root, features = published_widths
    saved(tmp_path / "best-model", published_state("lfan"), config="LFAN")  # windows of 24 frames
    where = ("--features", features, "--data", root)
    assert bah("weights", "import", "best-model", "--model", "lfan", "--out", "theirs", *where)[0] == 0
    assert bah("predict", "theirs", "--data", root, "--out", "run")[0] == 0
    rows = read_run(tmp_path / "run")
    for video in open_dataset(root).videos("test"):
        assert [row.start_frame for row in rows if row.video_id == video.video_id] == list(range(30))
    assert all(row.p_positive is not None for row in rows)


def test_an_import_does_not_overwrite_what_was_trained_nor_is_it_trained_over(
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path
) -> None:
    root, features = published_widths
    saved(tmp_path / "best-model", published_state("can"), config="CAN")
    where = ("--features", features, "--data", root)
    importing = ("weights", "import", "best-model", "--model", "can", "--out")
    assert bah(*importing, "theirs", *where)[0] == 0
    assert bah(*importing, "theirs", *where)[0] == 0  # again is fine
    training = ("train", "--recipe", "can", "--set", "model.variant=faithful", "--set", "loop.epochs=1")
    code, _, err = bah(*training, *where, "--out", "theirs")
    assert (code, "holds weights that were trained elsewhere" in err) == (2, True)
    assert bah(*training, *where, "--out", "ours")[0] == 0
    code, _, err = bah(*importing, "ours", *where)
    assert (code, "A model was trained into ours" in err) == (2, True)


def test_imported_weights_of_some_modalities_take_the_features_of_these(
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path
) -> None:
    root, features = published_widths
    state = {name: value for name, value in published_state("lfan").items() if "vggish" not in name}
    shapes = linear("fusion.layers.self_attn.o_proj", 64, 64) | layer_norm("fusion.layers.norm1", 64)
    state |= {name: torch.randn(shape) for name, shape in (shapes | linear("regressor", 192, 2)).items()}
    saved(tmp_path / "best-model", state, config="LFAN")
    code, _, err = bah(
        "weights", "import", "best-model", "--model", "lfan", "--out", "two", "--features", features, "--data", root
    )
    assert code == 0, err
    assert json.loads((tmp_path / "two" / "train.json").read_text())["recipe"]["standardise"] == ["text"]
    assert bah("predict", "two", "--data", root, "--out", "run")[0] == 0
