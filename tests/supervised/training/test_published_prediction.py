"""Faithful models go over videos as the published code does. Expected scores: that code's steps, written out here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bah_mllm.cli.app import invoke
from supervised.fusion.recipe import FusionRecipe
from supervised.models import build_model
from supervised.reading import read_recipe
from supervised.records import VideoFeatures
from supervised.training.data import Standard
from supervised.training.predicting import frame_probabilities
from tests.supervised.made_up import MADE_UP_DIMS, made_up_videos

WINDOW_FRAMES = 24


def faithful(name: str) -> nn.Module:
    """Return random weights with logits far enough from 0 that ways of averaging can be told."""
    torch.manual_seed(3)
    options = {"window_frames": WINDOW_FRAMES} if name == "lfan" else {}
    model = build_model(name, MADE_UP_DIMS, variant="faithful", **options)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight *= 2
    return model.eval()


def video_of(n_frames: int) -> VideoFeatures:
    return made_up_videos(1, seed=n_frames, n_frames=n_frames)[0]


def logits_of(model: nn.Module, video: VideoFeatures, frames: Tensor) -> Tensor:
    """Return the model's logits of some frames of a video, alone in their batch."""
    rows = {name: torch.from_numpy(values)[frames][None] for name, values in video.features.items()}
    with torch.no_grad():
        logits: Tensor = model(rows, torch.ones(1, len(frames), dtype=torch.bool))[0]
    return logits


def scores_of_the_published_code(model: nn.Module, video: VideoFeatures, *, name: str, hop: int) -> np.ndarray:
    """Return p of every real frame: padding of short videos, then windows and stitched logits (LFAN), or one pass."""
    frames = torch.arange(max(video.n_frames, WINDOW_FRAMES)).clamp(max=video.n_frames - 1)  # its padding
    length = len(frames)
    windows = [torch.arange(length)]
    if name == "lfan" and length > WINDOW_FRAMES:
        steps = (length - WINDOW_FRAMES) // hop + 1
        windows = [torch.arange(step * hop, step * hop + WINDOW_FRAMES) for step in range(steps)]
        if windows[-1][-1] < length - 1:
            windows.append(torch.arange(length - WINDOW_FRAMES, length))
    out, freqs = torch.zeros(length, 2), torch.zeros(length, 1)
    for window in windows:
        out[window] = out[window] + logits_of(model, video, frames[window])
        freqs[window] += 1
    return np.asarray(torch.softmax(out / freqs, dim=1)[: video.n_frames, 1])


def scores_by_recipe(model: nn.Module, video: VideoFeatures, name: str, *overrides: str) -> np.ndarray:
    windows = ["model.variant=faithful", f"data.window_frames={WINDOW_FRAMES}", *overrides]
    recipe = read_recipe(name, windows)
    assert isinstance(recipe, FusionRecipe)
    return frame_probabilities(model, video, standard=Standard(), **recipe.over_videos)


@pytest.mark.parametrize("hop", [7, 10, 24])
@pytest.mark.parametrize("n_frames", [1, 9, 23, 24, 25, 31, 48, 59, 101])
def test_faithful_lfan_averages_logits_of_windows_that_end_with_the_video(n_frames, hop):
    model, video = faithful("lfan"), video_of(n_frames)
    expected = scores_of_the_published_code(model, video, name="lfan", hop=hop)
    found = scores_by_recipe(model, video, "lfan", f"data.hop_frames={hop}")
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["can", "mt", "jmt"])
@pytest.mark.parametrize("n_frames", [1, 9, 23, 24, 25, 101])
def test_other_faithful_fusions_take_whole_videos_and_repeat_the_last_frame_of_short_ones(n_frames, name):
    model, video = faithful(name), video_of(n_frames)
    expected = scores_of_the_published_code(model, video, name=name, hop=1)
    np.testing.assert_allclose(scores_by_recipe(model, video, name), expected, atol=1e-5)


def test_the_ways_can_be_told_apart():
    video = video_of(59)
    lfan, jmt = faithful("lfan"), faithful("jmt")
    expected = scores_of_the_published_code(lfan, video, name="lfan", hop=10)
    for others in ("data.hop_frames=24", "prediction={window_frames=24, hop_frames=3}"):
        assert np.abs(scores_by_recipe(lfan, video, "lfan", others) - expected).max() > 1e-3
    short = video_of(9)
    alone = torch.softmax(logits_of(jmt, short, torch.arange(9)), dim=1)[:, 1].numpy()
    assert np.abs(alone - scores_by_recipe(jmt, short, "jmt")).max() > 1e-3


@pytest.mark.parametrize("name", ["can", "mt", "jmt"])
def test_windows_that_a_user_asks_for_do_not_change_each_others_scores(name):
    model, video = faithful(name), video_of(60)
    found = [
        frame_probabilities(model, video, standard=Standard(), window_frames=16, hop_frames=8, batch_windows=n)
        for n in (1, 8)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    starts = [*range(0, 60 - 16 + 1, 8), 60 - 16]
    covering = [[start for start in starts if start <= k < start + 16] for k in range(60)]
    logits = {start: logits_of(model, video, torch.arange(start, start + 16)) for start in starts}
    mean = torch.stack([torch.stack([logits[s][k - s] for s in several]).mean(0) for k, several in enumerate(covering)])
    np.testing.assert_allclose(found[0], torch.softmax(mean, dim=1)[:, 1].numpy(), atol=1e-5)


Train = Callable[..., int]


@pytest.fixture
def where(paper_root: tuple[Path, Path], tmp_path: Path) -> dict[str, list[str]]:
    root, features = paper_root
    data = ["--data", str(root)]
    quick = ["data.window_frames=24", "data.hop_frames=12", "loop.epochs=1", "model.variant=faithful"]
    sets = [word for one in quick for word in ("--set", one)]
    return {
        "train": [*data, "--features", str(features), "--out", str(tmp_path / "out"), *sets],
        "predict": ["predict", str(tmp_path / "out"), *data, "--out", str(tmp_path / "run")],
    }


@pytest.mark.parametrize("name", ["lfan", "mt"])
def test_rows_and_trainings_of_the_former_way_are_not_gone_on_with(name, where, monkeypatch, capsys):
    train = ["train", "--recipe", name, *where["train"]]
    with monkeypatch.context() as before:
        before.setattr(FusionRecipe, "published_way", None)
        assert invoke(train) == 0
        assert invoke(where["predict"]) == 0
    capsys.readouterr()
    assert invoke(where["predict"]) == 2
    assert "was made with model.published_way = None" in capsys.readouterr().err
    assert invoke(train) == 2
    assert "was made with the published way over videos = None" in capsys.readouterr().err


def test_a_faithful_training_is_gone_on_with_and_its_rows_too(where):
    train = ["train", "--recipe", "lfan", *where["train"]]
    for _ in range(2):
        assert invoke(train) == 0
        assert invoke(where["predict"]) == 0


@pytest.mark.parametrize(("name", "is_noted"), [("mt", True), ("lfan", False)])
def test_rows_of_windows_say_that_the_published_code_takes_whole_videos(name, is_noted, where, tmp_path):
    windows = ["--set", "prediction={window_frames=24, hop_frames=12}"]
    assert invoke(["train", "--recipe", name, *where["train"], *windows]) == 0
    assert invoke(where["predict"]) == 0
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert any("predicted in windows of 24 frames" in note for note in notes) == is_noted


def test_corrected_models_go_over_videos_as_the_recipe_says():
    recipe = read_recipe("lfan", ["prediction={window_frames=24, hop_frames=12}"])
    assert isinstance(recipe, FusionRecipe)
    assert recipe.over_videos == {"window_frames": 24, "hop_frames": 12, "least_frames": None}
    assert recipe.published_way is None
