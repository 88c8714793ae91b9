"""`bah-mllm weights import`, and predicting with what it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bah_mllm.dataset import open_dataset
from bah_mllm.predictions import read_run
from supervised.features.store import FeatureSet, FeatureStore
from supervised.models import load_feature_model
from supervised.models.backbones import build_backbone
from supervised.training.data import load_standard

Call = Callable[..., tuple[int, str, str]]
State = Callable[..., dict[str, Tensor]]
Saved = Callable[..., Path]
WIDTHS = {"face-resnet152": ("visual", 512), "vggish": ("audio", 128), "bert": ("text", 768)}


def test_the_command_writes_a_folder_and_says_what_is_left_out(
    bah: Call, tmp_path: Path, published_state: State, saved: Saved
) -> None:
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
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path, published_state: State, saved: Saved
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
        model = load_feature_model(tmp_path / "theirs" / "imported")
        logits = model(inputs, torch.ones(1, 30, dtype=torch.bool))[0].double()
    rows = [row for row in read_run(tmp_path / "run") if row.video_id == video.video_id]
    assert [row.system for row in rows] == ["can faithful"] * 30
    np.testing.assert_allclose(
        [row.p_positive for row in rows], torch.softmax(logits, dim=-1)[:, 1].numpy(), rtol=1e-4, atol=1e-6
    )


def test_imported_lfan_goes_over_videos_by_the_windows_and_the_hop_of_its_training(
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path, published_state: State, saved: Saved
) -> None:
    root, features = published_widths
    saved(tmp_path / "best-model", published_state("lfan"), config="LFAN")  # windows of 24 frames, a hop of 10
    where = ("--features", features, "--data", root)
    assert bah("weights", "import", "best-model", "--model", "lfan", "--out", "theirs", *where)[0] == 0
    assert bah("predict", "theirs", "--data", root, "--out", "run")[0] == 0
    rows = read_run(tmp_path / "run")
    for video in open_dataset(root).videos("test"):
        assert [row.start_frame for row in rows if row.video_id == video.video_id] == list(range(30))
    model, standard = (
        load_feature_model(tmp_path / "theirs" / "imported"),
        load_standard(tmp_path / "theirs" / "seed-0"),
    )
    store, video = FeatureStore(features), open_dataset(root).videos("test")[0]
    total, n = torch.zeros(30, 2), torch.zeros(30, 1)
    for start in (0, 6):  # the last window ends with the video; one at 10 would not be whole
        inputs = {}
        for name, (modality, _) in WIDTHS.items():
            whole = standard.apply(modality, store.read(name, video.video_id).values, np.ones(30, dtype=bool))
            inputs[modality] = torch.from_numpy(whole[start : start + 24])[None]
        with torch.no_grad():
            total[start : start + 24] += model(inputs, torch.ones(1, 24, dtype=torch.bool))[0]
        n[start : start + 24] += 1
    expected = torch.softmax(total / n, dim=1)[:, 1]
    found = [row.p_positive for row in rows if row.video_id == video.video_id]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_an_import_does_not_overwrite_what_was_trained_nor_is_it_trained_over(
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path, published_state: State, saved: Saved
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
    bah: Call, published_widths: tuple[Path, Path], tmp_path: Path, published_state: State, saved: Saved
) -> None:
    root, features = published_widths
    state = published_state("lfan", without="vggish")
    saved(tmp_path / "best-model", state, config="LFAN")
    code, _, err = bah(
        "weights", "import", "best-model", "--model", "lfan", "--out", "two", "--features", features, "--data", root
    )
    assert code == 0, err
    assert json.loads((tmp_path / "two" / "train.json").read_text())["recipe"]["standardise"] == ["text"]
    assert bah("predict", "two", "--data", root, "--out", "run")[0] == 0
