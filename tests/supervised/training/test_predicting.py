"""From trained models to rows: overlaps, padding, statuses, resuming, and the commands around it."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bah_mllm.cli.app import invoke
from bah_mllm.core.errors import DataError, RunError
from bah_mllm.core.records import Level, Status
from bah_mllm.dataset import open_dataset
from bah_mllm.predictions import read_manifest, read_run
from supervised.features.store import FeatureStore
from supervised.training.data import Standard
from supervised.training.predicting import (
    Predicted,
    RunAbout,
    frame_probabilities,
    video_probability,
    write_predictions,
)
from tests.supervised.made_up import made_up_videos


class Positional(nn.Module):
    """Scores a frame by its own text feature and by where it stands in its window, so that windows can be told."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, features, is_real):
        place = torch.arange(is_real.shape[1]).expand(is_real.shape) / 10
        z = features["text"][..., 0] + place
        return torch.stack([torch.zeros_like(z), z], dim=-1)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_overlapping_windows_are_averaged_frame_by_frame():
    video = made_up_videos(1, seed=0, n_frames=23)[0]
    p = frame_probabilities(Positional(), video, standard=Standard(), window_frames=8, hop_frames=3, batch_windows=2)
    z = video.features["text"][:, 0].astype(np.float64)
    expected = [
        np.mean([sigmoid(z[k] + (k - start) / 10) for start in range(0, 16, 3) if start <= k < start + 8] or [np.nan])
        for k in range(23)
    ]
    # the last window starts at 15 and is full: 15 + 8 = 23
    np.testing.assert_allclose(p, expected, rtol=1e-5)


def test_a_video_shorter_than_the_window_has_its_own_length():
    video = made_up_videos(1, seed=0, n_frames=5)[0]
    p = frame_probabilities(Positional(), video, standard=Standard(), window_frames=300, hop_frames=100)
    np.testing.assert_allclose(p, sigmoid(video.features["text"][:, 0] + np.arange(5) / 10), rtol=1e-5)


def test_a_videos_probability_is_that_of_its_mean_logit():
    video = made_up_videos(1, seed=0, n_frames=12)[0]
    z = video.features["text"][:, 0] + np.arange(12) / 10
    assert video_probability(Positional(), video, standard=Standard()) == pytest.approx(sigmoid(z.mean()), rel=1e-5)


def about(level=Level.FRAME):
    return RunAbout("made-up", level, None, "train", {"recipe": "x"})


def test_rows_say_each_frame_and_failures_say_why(planted_root, tmp_path):
    dataset = open_dataset(planted_root[0])
    videos = dataset.videos("train")

    def predict(video):
        if video is videos[1]:
            raise DataError("it has no features", remedy="Extract them.")
        if video is videos[2]:
            return Predicted(None, Status.NO_TRANSCRIPT, "nothing is said")
        return Predicted(np.array([0.25, 0.75]))

    counts = write_predictions(tmp_path / "run", dataset, videos, predict, about())
    assert counts == {"ok": 2 * 6, "no_features": 1, "no_transcript": 1}
    rows = [row for row in read_run(tmp_path / "run") if row.video_id == videos[0].video_id]
    assert [(row.start_frame, row.stop_frame, row.p_positive) for row in rows] == [(0, 1, 0.25), (1, 2, 0.75)]


def test_an_interrupted_run_predicts_the_rest_and_the_torn_video_again(planted_root, tmp_path):
    dataset = open_dataset(planted_root[0])
    videos = dataset.videos("train")
    asked = []

    def predict(video):
        if len(asked) == 4:
            raise KeyboardInterrupt
        asked.append(video.video_id)
        return Predicted(np.array([0.25, 0.75]))

    with pytest.raises(KeyboardInterrupt):
        write_predictions(tmp_path / "run", dataset, videos, predict, about())
    journal = tmp_path / "run" / "predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])  # as a kill in the middle of a write leaves it
    first, asked[:] = list(asked), []
    counts = write_predictions(
        tmp_path / "run",
        dataset,
        videos,
        lambda v: asked.append(v.video_id) or Predicted(np.array([0.25, 0.75])),
        about(),
    )
    assert asked == [first[-1], *(video.video_id for video in videos[4:])]
    assert counts == {"ok": 16}


def test_a_video_torn_in_a_later_start_is_predicted_again(planted_root, tmp_path):
    dataset = open_dataset(planted_root[0])
    videos = dataset.videos("train")[:3]
    asked = []

    def predict(video):
        asked.append(video.video_id)
        if len(asked) == 2:
            raise DataError("it has no features", remedy="Extract them.")
        if len(asked) == 5:
            raise KeyboardInterrupt
        return Predicted(np.array([0.25, 0.75]))

    counts = write_predictions(tmp_path / "run", dataset, videos, predict, about())
    assert counts == {"ok": 4, "no_features": 1}
    more = dataset.videos("train")[:4]
    with pytest.raises(KeyboardInterrupt):  # the failed one is done now; then the start ends
        write_predictions(tmp_path / "run", dataset, more, predict, about())
    journal = tmp_path / "run" / "predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    assert asked == [*(v.video_id for v in videos), videos[1].video_id, more[3].video_id]
    counts = write_predictions(tmp_path / "run", dataset, more, predict, about())
    assert asked[5:] == [videos[1].video_id, more[3].video_id]
    assert counts == {"ok": 8}


def test_the_same_folder_refuses_another_system(planted_root, tmp_path):
    dataset = open_dataset(planted_root[0])
    write_predictions(tmp_path / "run", dataset, [], lambda _: Predicted(0.5), about())
    with pytest.raises(RunError, match="level"):
        write_predictions(tmp_path / "run", dataset, [], lambda _: Predicted(0.5), about(Level.VIDEO))


RECIPE = """
kind = "fusion"
name = "tiny"
source = "a test"
standardise = ["audio"]
[features]
audio = "a"
text = "t"
[model]
name = "can"
[data]
window_frames = 32
hop_frames = 16
batch_windows = 4
[loop]
epochs = 4
lr = 0.02
device = "cpu"
select = "val_auroc"
"""


@pytest.mark.slow
def test_train_predict_and_evaluate_go_from_features_to_judged_rows(planted_root, tmp_path, capsys):
    manifest, features = planted_root
    (tmp_path / "tiny.toml").write_text(RECIPE)
    train = ["train", "--recipe", str(tmp_path / "tiny.toml"), "--data", str(manifest), "--features", str(features)]
    assert invoke([*train, "--out", str(tmp_path / "out"), "--seeds", "0:2"]) == 0
    record = json.loads((tmp_path / "out" / "train.json").read_text())
    assert set(record["validation"]) == {"0", "1"}
    assert record["summary"]["val_auroc"]["mean"] == pytest.approx(
        np.mean([record["validation"][seed]["val_auroc"] for seed in "01"])
    )
    assert invoke(["predict", str(tmp_path / "out"), "--data", str(manifest), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    paths = [str(tmp_path / "run" / f"seed-{seed}") for seed in (0, 1)]
    assert invoke(["evaluate", *paths, "--data", str(manifest), "--draws", "0", "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["level"] for row in rows} == {"frame"}
    assert all(row["n_missing"] == 0 for row in rows)
    assert all(row["auroc"] > 0.9 for row in rows if row["aggregation"] == "coverage")
    # the same again: nothing is trained, another setting is refused
    assert invoke([*train, "--out", str(tmp_path / "out"), "--seeds", "0"]) == 0
    assert set(json.loads((tmp_path / "out" / "train.json").read_text())["validation"]) == {"0", "1"}
    assert invoke([*train, "--out", str(tmp_path / "out"), "--set", "loop.lr=0.5"]) == 2
    assert "made with recipe.loop.lr = 0.02, but now recipe.loop.lr = 0.5" in capsys.readouterr().err


def test_training_on_whole_videos_predicts_videos(planted_root, tmp_path, capsys):
    manifest, features = planted_root
    (tmp_path / "tiny.toml").write_text(RECIPE)
    train = ["train", "--recipe", str(tmp_path / "tiny.toml"), "--data", str(manifest), "--features", str(features)]
    overrides = ["--set", "data.supervision=video", "--set", "loop.select=last"]
    assert invoke([*train, *overrides, "--out", str(tmp_path / "out")]) == 0
    assert invoke(["predict", str(tmp_path / "out"), "--data", str(manifest), "--out", str(tmp_path / "run")]) == 0
    rows = read_run(tmp_path / "run")
    assert [row.level for row in rows] == [Level.VIDEO] * 2
    assert all(row.p_positive is not None for row in rows)


def command(planted_root, tmp_path, *more, recipe=RECIPE):
    root, features = planted_root
    (tmp_path / "tiny.toml").write_text(recipe)
    where = ["--data", str(root), "--features", str(features)]
    return invoke(
        [
            "train",
            "--recipe",
            str(tmp_path / "tiny.toml"),
            *where,
            "--out",
            str(tmp_path / "out"),
            "--set",
            "loop.epochs=1",
            *more,
        ]
    )


def predicted(planted_root, tmp_path, *more):
    return invoke(
        ["predict", str(tmp_path / "out"), "--data", str(planted_root[0]), "--out", str(tmp_path / "run"), *more]
    )


def test_a_seed_that_is_finished_can_be_used_although_a_later_one_was_killed(planted_root, tmp_path, monkeypatch):
    from supervised.fusion import train as module

    whole = module.train_fusion

    def killed_in_seed_1(recipe, request, dataset, folder, seed):
        if seed == 1:
            raise KeyboardInterrupt
        return whole(recipe, request, dataset, folder, seed)

    monkeypatch.setattr(module, "train_fusion", killed_in_seed_1)
    assert command(planted_root, tmp_path, "--seeds", "0:2") == 130
    assert predicted(planted_root, tmp_path) == 0
    monkeypatch.undo()
    assert command(planted_root, tmp_path, "--seeds", "1:3") == 0
    record = json.loads((tmp_path / "out" / "train.json").read_text())
    assert record["seeds"] == [0, 1, 2]
    assert set(record["validation"]) == {"0", "1", "2"}
    assert record["summary"]["val_auroc"]["n"] == 3


def test_predicting_a_seed_that_is_not_trained_names_it(planted_root, tmp_path, capsys):
    assert command(planted_root, tmp_path) == 0
    assert predicted(planted_root, tmp_path, "--seeds", "0,4") == 2
    assert "no finished model of seed 4" in capsys.readouterr().err
    assert predicted(planted_root, tmp_path, "--device", "gpu") == 2
    assert "no device 'gpu'" in capsys.readouterr().err


def test_training_on_features_that_changed_is_refused(planted_root, tmp_path, capsys):
    assert command(planted_root, tmp_path) == 0
    video = open_dataset(planted_root[0]).videos("train")[0]
    store = FeatureStore(planted_root[1])
    store.add("t", video.video_id, store.read("t", video.video_id).values + 1, fps=10.0)
    assert command(planted_root, tmp_path) == 2
    assert "was made with the digest of the features = " in capsys.readouterr().err


def test_rows_of_other_weights_are_not_gone_on_with(planted_root, tmp_path, capsys):
    import shutil

    assert command(planted_root, tmp_path) == 0
    assert predicted(planted_root, tmp_path) == 0
    shutil.rmtree(tmp_path / "out")
    video = open_dataset(planted_root[0]).videos("train")[0]
    store = FeatureStore(planted_root[1])
    store.add("t", video.video_id, store.read("t", video.video_id).values + 1, fps=10.0)
    assert command(planted_root, tmp_path) == 0
    assert predicted(planted_root, tmp_path) == 2
    assert "was made with model" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_record_is_an_error_of_two_lines(planted_root, tmp_path, capsys, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train.json").write_text(content)
    for run in (command, predicted):
        assert run(planted_root, tmp_path) == 2
        assert "train.json is damaged" in capsys.readouterr().err


def test_without_a_validation_split_the_remedy_trains(planted_root, tmp_path, capsys):
    for folder in ("split", "split-frames"):
        (planted_root[0] / folder / "val.txt").unlink()
    assert command(planted_root, tmp_path) == 2
    assert "--set loop.select=last" in capsys.readouterr().err
    assert command(planted_root, tmp_path, "--set", "loop.select=last", "--out", str(tmp_path / "other")) == 0


def test_a_data_set_without_splits_trains_on_everything(planted_root, tmp_path, capsys):
    root, features = planted_root
    ids = [video.video_id for video in open_dataset(root).videos()]
    (tmp_path / "all.csv").write_text("path,label\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(ids)))
    overrides = ["data.supervision=video", "loop.select=last"]
    for name in ids:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    more = [word for one in overrides for word in ("--set", one)]
    assert command((tmp_path / "all.csv", features), tmp_path, *more) == 0
    assert predicted((tmp_path / "all.csv", features), tmp_path) == 0
    assert len(read_run(tmp_path / "run")) == 12
    assert command((tmp_path / "all.csv", features), tmp_path, *more, "--set", "model.name=nothing") == 2


def test_a_split_to_train_on_that_is_not_there_is_named(planted_root, tmp_path, capsys):
    assert command(planted_root, tmp_path, "--set", 'train_splits=["training"]') == 2
    assert "no split 'training' to train on (there are: train, val, test)" in capsys.readouterr().err


def test_a_recipe_of_adaptation_is_sent_to_its_own_command(tmp_path, capsys):
    assert invoke(["train", "--recipe", "shot", "--out", str(tmp_path / "out")]) == 2
    assert "bah-mllm adapt" in capsys.readouterr().err


def test_training_videos_without_labels_are_an_error(planted_root, tmp_path, capsys):
    (planted_root[0] / "split-frames" / "train.txt").unlink()
    assert command(planted_root, tmp_path) == 2
    assert "Training needs both classes" in capsys.readouterr().err


def test_a_faithful_lfan_is_refused_whole_videos_and_two_windows(planted_root, tmp_path, capsys):
    faithful = ("--set", "model.name=lfan", "--set", "model.variant=faithful")
    assert command(planted_root, tmp_path, *faithful, "--set", "data.supervision=video") == 2
    assert "windows of one length only" in capsys.readouterr().err
    assert command(planted_root, tmp_path, *faithful, "--set", "model.options.window_frames=9") == 2
    assert "windows of 32 frames, but its model takes 9" in capsys.readouterr().err


def test_without_features_the_error_says_which_command_makes_them(planted_root, tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    code = invoke(
        [
            "train",
            "--recipe",
            str(tmp_path / "tiny.toml"),
            "--data",
            str(planted_root[0]),
            "--out",
            str(tmp_path / "o"),
            "--features",
            str(tmp_path / "none"),
        ]
    )
    assert code == 2
    assert "bah-mllm features" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(planted_root, tmp_path):
    manifest, features = planted_root
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("epochs = 4", "epochs = 12"))

    def command(out):
        return [sys.executable, "-m", "bah_mllm", "train", "--recipe", str(tmp_path / "tiny.toml"), "--data",
                str(manifest), "--features", str(features), "--out", str(tmp_path / out)]  # fmt: skip

    subprocess.run(command("whole"), check=True)
    for n_epochs in (2, 7):
        process = subprocess.Popen(command("killed"))
        log = tmp_path / "killed" / "seed-0" / "log.csv"
        while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) > n_epochs):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command("killed"), check=True)
    whole, killed = (load_file(tmp_path / name / "seed-0" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_rows_of_a_split_that_was_learnt_from_carry_a_note(planted_root, tmp_path, capsys):
    root, features = planted_root
    (tmp_path / "tiny.toml").write_text(RECIPE)
    train = ["train", "--recipe", str(tmp_path / "tiny.toml"), "--data", str(root), "--features", str(features)]
    assert invoke([*train, "--out", str(tmp_path / "out"), "--set", "loop.epochs=1"]) == 0
    for split, is_noted in (("train", True), ("val", True), ("test", False)):
        out = tmp_path / split
        capsys.readouterr()
        assert invoke(["predict", str(tmp_path / "out"), "--data", str(root), "--split", split, "--out", str(out)]) == 0
        assert ("has learnt from" in capsys.readouterr().err) == is_noted
        assert any("has learnt from" in note for note in read_manifest(out).notes) == is_noted
