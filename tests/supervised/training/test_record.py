"""``train.json``: what it must hold, what an older one still gives, and when a folder is not gone on with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bah_mllm.core.errors import RunError
from supervised.flows.train import train
from supervised.reading import parse_recipe
from supervised.training.record import read_record, seed_folder
from supervised.training.requests import TrainRequest

# As version 0.1.0 wrote it at first, before records told of stand-ins and of imported weights.
FIRST = """
{"recipe": {"kind": "fusion", "name": "tiny", "source": "a test", "features": {"audio": "a", "text": "t"},
 "standardise": ["audio"], "train_splits": ["train"], "val_split": "val",
 "model": {"name": "can", "variant": "corrected", "options": {}},
 "data": {"window_frames": 32, "hop_frames": 16, "batch_windows": 4, "supervision": "frame", "class_weights": null,
  "undersample": null, "label_smoothing": 0.0, "flip": false},
 "loop": {"epochs": 1, "accumulate": 1, "optimizer": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": false,
  "weight_decay": 0.0, "schedule": "constant", "lr_min": 0.0, "step_epochs": 50, "gamma": 0.1, "warmup_epochs": 0.0,
  "precision": "fp32", "clip_norm": null, "select": "val_auroc", "patience_epochs": null, "min_epochs": 1,
  "freeze_normalisation": false, "device": "cpu", "tensorboard": false},
 "prediction": {"window_frames": null, "hop_frames": null}},
 "data": {"path": "BAH_DB", "name": "BAH_DB", "edition": null, "is_synthetic": false,
  "videos": "032984edda07a00a0e9766d8f9e0857691fdc0b36a935822da69b93a5ada3f03"},
 "features": {"path": "features", "sets": [
  {"name": "a", "modality": "audio", "dim": 8, "has_flipped": false, "settings": {}},
  {"name": "t", "modality": "text", "dim": 6, "has_flipped": false, "settings": {}}],
  "content": "6daa5a1061efd95e188bc9a65d2d398f91412b99ec4bfc68a20102950eb1d865"},
 "cues": null, "cues_digest": null, "seeds": [0],
 "validation": {"0": {"epoch": 0.0, "val_f1": 0.25, "val_ap": 0.75}},
 "summary": {"val_f1": {"mean": 0.25, "sd": null, "n": 1}, "val_ap": {"mean": 0.75, "sd": null, "n": 1}},
 "packages": {"numpy": "1.26.4"}}
"""


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A folder with a record of long ago."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "train.json").write_text(FIRST)
    return out


def again(planted: tuple[Path, Path], out: Path, *seeds: int, **changed: object):
    recipe = parse_recipe({**json.loads(FIRST)["recipe"], **changed}, where="a test")
    return train(recipe, TrainRequest(str(planted[0]), out, planted[1], None, seeds))


def test_a_record_of_long_ago_is_read(first):
    record = read_record(first)
    assert (record.kind, record.seeds, record.is_imported) == ("fusion", (0,), False)
    assert record.validation == {0: {"epoch": 0.0, "val_f1": 0.25, "val_ap": 0.75}}
    assert [one.name for one in record.features.sets] == ["a", "t"]


def test_a_training_of_long_ago_is_gone_on_with_and_its_results_are_kept(planted_root, first):
    record = again(planted_root, first, 1)
    assert record.seeds == (0, 1)
    assert record.validation[0] == {"epoch": 0.0, "val_f1": 0.25, "val_ap": 0.75}
    assert set(record.validation[1]) >= {"epoch", "val_f1", "val_ap", "val_auroc"}
    assert (record.summary["val_ap"].n, record.summary["val_auroc"].n) == (2, 1)
    assert (seed_folder(first, 1) / "model.safetensors").exists()
    assert read_record(first) == record


def test_another_device_goes_on_and_another_window_is_refused(planted_root, first):
    recipe = json.loads(FIRST)["recipe"]
    again(planted_root, first, 1, loop=recipe["loop"] | {"device": "auto"})
    with pytest.raises(RunError, match=r"recipe\.data\.window_frames = 32, but now recipe\.data\.window_frames = 64"):
        again(planted_root, first, 1, data=recipe["data"] | {"window_frames": 64})


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("data", "videos"), "0" * 64, "the digest of the data set's labels"),
        (("features", "content"), "0" * 64, "the digest of the features"),
        (("cues_digest",), "0" * 64, "the digest of the cues"),
        (("features", "sets", 0, "dim"), 9, "feature sets.a.dim = 9, but now feature sets.a.dim = 8"),
    ],
)
def test_a_training_on_anything_else_is_not_gone_on_with(planted_root, first, place, value, told):
    content = json.loads(FIRST)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (first / "train.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=re.escape(told)) as caught:
        again(planted_root, first, 0)
    assert "--out" in caught.value.remedy


def test_a_folder_of_foreign_files_is_not_trained_into(planted_root, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds files but no train\.json \(thesis\.txt\)"):
        again(planted_root, tmp_path / "out", 0)


def test_weights_that_were_trained_elsewhere_are_not_trained_over(planted_root, first):
    (first / "train.json").write_text(json.dumps(json.loads(FIRST) | {"is_imported": True}))
    with pytest.raises(RunError, match="trained elsewhere"):
        again(planted_root, first, 0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is damaged, line 1: no valid JSON"),
        ("[]", "is damaged"),
        (FIRST.replace('"seeds": [0],', ""), "is damaged: seeds: Field required"),
        (
            FIRST.replace('"val_f1": 0.25, "val_ap"', '"val_f1": "high", "val_ap"', 1),
            "is damaged: validation.0.val_f1",
        ),
    ],
)
def test_a_damaged_record_says_where(first, content, told):
    (first / "train.json").write_text(content)
    with pytest.raises(RunError, match=re.escape(told)):
        read_record(first)


def test_a_folder_without_a_record_holds_nothing_trained(tmp_path):
    with pytest.raises(RunError, match=r"holds nothing trained: there is no train\.json"):
        read_record(tmp_path)


def test_means_and_deviations_are_over_the_seeds_in_which_a_metric_is_defined(first):
    record = read_record(first).with_seed(1, {"epoch": 3.0, "val_f1": 0.75, "val_ap": float("nan")})
    assert record.validation[1] == {"epoch": 3.0, "val_f1": 0.75}
    assert (record.summary["val_f1"].mean, record.summary["val_f1"].n) == (0.5, 2)
    assert record.summary["val_f1"].sd == pytest.approx(0.5 / 2**0.5)
    assert (record.summary["val_ap"].mean, record.summary["val_ap"].sd, record.summary["val_ap"].n) == (0.75, None, 1)
