"""Training, figure 12, the tables of adaptation and ``evaluate`` say the same of the same answers, None included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import nn

import bah_mllm
from bah_mllm.core.records import Level, Status
from bah_mllm.dataset import Dataset, open_dataset
from bah_mllm.paper.context_figure import judge_frames
from bah_mllm.paper.experiments import ExperimentRequest
from supervised.adaptation.summary import judge_target
from supervised.fusion.train import validation_metrics
from supervised.reading import read_recipe
from supervised.records import VideoFeatures
from supervised.training.data import LoadedVideos, Standard
from supervised.training.predicting import VALIDATION_METRICS, Predicted, RunAbout, write_predictions

N_FRAMES = 6  # of each of two videos, of a participant each
MIXED = [1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0]
VARIED = [0.9004, 0.2003, 0.4002, 0.6004, 0.1001, 0.3003, 0.2502, 0.7001, 0.8004, 0.4504, 0.0502, 0.5503]
CASES: Mapping[str, tuple[list[int], list[float]]] = {
    "both classes": (MIXED, VARIED),
    "all positive": ([1] * 12, VARIED),
    "all negative": ([0] * 12, VARIED),
    "constant above the threshold": (MIXED, [0.7003] * 12),
    "constant at the threshold": (MIXED, [0.5] * 12),
    "constant on one class": ([1] * 12, [0.7003] * 12),
    "empty": ([], []),
}
Judge = Callable[[Path, list[int], list[float]], Mapping[str, float | None]]


class _FeatureIsLogit(nn.Module):
    """Says of a frame what its only feature says."""

    window_frames = None

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, features: Mapping[str, torch.Tensor], is_real: torch.Tensor) -> torch.Tensor:
        logit = features["visual"][..., 0].double()
        return torch.stack([torch.zeros_like(logit), logit], dim=-1)


def _videos(labels: list[int], p: list[float]) -> list[VideoFeatures]:
    videos = []
    for number in range(len(p) // N_FRAMES):
        span = slice(number * N_FRAMES, (number + 1) * N_FRAMES)
        own = np.array(p[span])
        videos.append(
            VideoFeatures(
                video_id=str(number),
                participant_id=str(number),
                question=None,
                split=None,
                n_frames=N_FRAMES,
                label=None,
                frame_labels=np.array(labels[span], dtype=np.int8),
                features={"visual": np.log(own / (1 - own)).astype(np.float32)[:, None]},
                is_valid={"visual": np.ones(N_FRAMES, dtype=bool)},
            )
        )
    return videos


def _training(folder: Path, labels: list[int], p: list[float]) -> Mapping[str, float | None]:
    recipe = read_recipe("tcn_visual", ["prediction.window_frames=4"])
    standard = Standard({"visual": np.zeros(1, np.float32)}, {"visual": np.ones(1, np.float32)})
    loaded = LoadedVideos(_videos(labels, p), {}, [])
    return validation_metrics(_FeatureIsLogit(), recipe, standard, loaded)


def _adaptation(folder: Path, labels: list[int], p: list[float]) -> Mapping[str, float | None]:
    return judge_target(np.array(labels, dtype=np.int64), np.array(p, dtype=np.float64))


def _dataset(folder: Path, labels: list[int]) -> Dataset:
    """Return two videos in BAH's layout, of participants 91000 and 91001; without labels they have no frames."""
    for part in ("split", "split-frames"):
        (folder / part).mkdir()
        (folder / part / "class_id.yaml").write_text("With A-H: 1\nNo A-H: 0\n")
    for number in range(2):
        person = 91000 + number
        name = f"Videos/{person}/Visite_1/{person}_Question_1_2025-01-01_10-00-00_Video.mp4"
        own = labels[number * N_FRAMES : (number + 1) * N_FRAMES] or [0] * N_FRAMES
        with (folder / "split" / "test.txt").open("a") as file:
            file.write(f"{name},{max(own)},made up\n")
        with (folder / "split-frames" / "test.txt").open("a") as file:
            file.writelines(f"{name}/frame-{k}.jpg,{label}\n" for k, label in enumerate(own))
    return open_dataset(folder)


def _run(folder: Path, labels: list[int], p: list[float]) -> Path:
    """Write the answers as rows; where there are none, every video fails."""
    dataset = _dataset(folder, labels)
    videos = dataset.videos("test")
    parts = {
        video.video_id: Predicted(np.array(p[number * N_FRAMES : (number + 1) * N_FRAMES]))
        if p
        else Predicted(None, Status.NO_FEATURES, "none")
        for number, video in enumerate(videos)
    }
    about = RunAbout("made up", Level.FRAME, str(folder), "test", {})
    write_predictions(folder / "run", dataset, videos, lambda video: parts[video.video_id], about)
    return folder / "run"


def _figure_12(folder: Path, labels: list[int], p: list[float]) -> Mapping[str, float | None]:
    request = ExperimentRequest(settings={"data": str(folder)})
    found = judge_frames(_run(folder, labels, p), request)
    return {metric: found.metric(metric) for metric in VALIDATION_METRICS}


def _evaluate(folder: Path, labels: list[int], p: list[float]) -> Mapping[str, float | None]:
    rows = bah_mllm.evaluate(_run(folder, labels, p), n_draws=0).to_json()["rows"]
    return next(row for row in rows if row["aggregation"] == "coverage")


def _expected(labels: list[int], p: list[float]) -> dict[str, float | None]:
    """Return the metrics by scikit-learn, None by what they mean: without items, or rankings of one class."""
    if not labels:
        return dict.fromkeys(("f1", "wf1", "macro_f1", "ap", "auroc"))
    hard, both = np.array(p) > 0.5, len(set(labels)) == 2
    both_labels = {"labels": [0, 1], "zero_division": 0}
    return {
        "f1": float(f1_score(labels, hard, zero_division=0)),
        "wf1": float(f1_score(labels, hard, average="weighted", **both_labels)),
        "macro_f1": float(f1_score(labels, hard, average="macro", **both_labels)),
        "ap": float(average_precision_score(labels, p)) if both else None,
        "auroc": float(roc_auc_score(labels, p)) if both else None,
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("judge", [_training, _figure_12, _adaptation, _evaluate])
def test_everybody_who_judges_says_what_scikit_learn_says(judge: Judge, case: str, tmp_path: Path) -> None:
    labels, p = CASES[case]
    found, expected = judge(tmp_path, labels, p), _expected(labels, p)
    assert {metric: found[metric] for metric in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_all_four_agree_in_every_metric(case: str, tmp_path: Path) -> None:
    labels, p = CASES[case]
    said = []
    for judge in (_training, _figure_12, _adaptation, _evaluate):
        (folder := tmp_path / judge.__name__).mkdir()
        found = judge(folder, labels, p)
        said.append({metric: found[metric] for metric in VALIDATION_METRICS})
    assert said[1:] == [pytest.approx(said[0], abs=1e-12)] * 3
