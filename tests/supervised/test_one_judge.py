"""Training, light baselines, adaptation and ``evaluate`` say the same of the same scores, None included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bah_mllm.core.records import Level, Status
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows
from bah_mllm.predictions import PredictionRow
from supervised.adaptation.summary import judge_target
from supervised.fusion.train import validation_metrics
from supervised.light.crossval import judge
from supervised.reading import read_recipe
from supervised.training.data import LoadedVideos, Standard
from supervised.training.predicting import VALIDATION_METRICS, frame_probabilities
from tests.supervised.made_up import made_up_videos

N_FRAMES = 40
RECIPE = read_recipe("tcn_visual")


class Reading(nn.Module):
    """Scores a frame by one feature times a number: 0 says the same of every frame."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, features, is_real):
        score = features["text"][..., 0] * self.slope
        return torch.stack([torch.zeros_like(score), score], dim=-1)


LABELS = {
    "both classes": np.arange(N_FRAMES) % 3 == 0,
    "all positive": np.ones(N_FRAMES),
    "all negative": np.zeros(N_FRAMES),
    "nothing labelled": np.full(N_FRAMES, -1),
    "some unlabelled": np.arange(N_FRAMES) % 3 - 1,
}


def by_evaluate(labels: np.ndarray, p: np.ndarray) -> dict[str, float | None]:
    """Return the metrics of rows about as many videos as there are frames, and a failed one, from the evaluator."""
    entries = [
        VideoLabels(f"v{n}", f"p{n}", question=None, split="test", label=None if label < 0 else int(label))
        for n, label in enumerate(labels)
    ]
    rows = [
        PredictionRow(system="s", video_id=f"v{n}", participant_id=f"p{n}", level=Level.VIDEO, p_positive=float(one))
        for n, one in enumerate(p)
    ]
    entries.append(VideoLabels("failed", "p", question=None, split="test", label=1))
    rows.append(rows[0].model_copy(update={"video_id": "failed", "p_positive": None, "status": Status.NO_FEATURES}))
    (result,) = evaluate_rows(rows, Labels(tuple(entries)), level="video", split="test", n_draws=0).rows
    return {name: result.metric(name) for name in VALIDATION_METRICS}


@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("case", LABELS)
def test_everybody_judges_alike(case: str, slope: float) -> None:
    labels = LABELS[case].astype(np.int8)
    (video,) = made_up_videos(1, seed=0, n_frames=N_FRAMES)
    video, model = replace(video, frame_labels=labels), Reading(slope)
    p = frame_probabilities(model, video, standard=Standard(), **RECIPE.prediction.model_dump())
    expected = by_evaluate(labels, p)
    assert (expected["ap"] is None) == (len(set(labels[labels >= 0])) < 2)
    assert validation_metrics(model, RECIPE, Standard(), LoadedVideos([video], {}, [])) == expected
    is_known = labels >= 0
    if is_known.any():  # neither a fold nor the test part of a target is judged without
        known, p_known = labels[is_known].astype(np.int64), p[is_known]
        for found in (judge(known, p_known, np.ones(len(known), int)), judge_target(known, p_known)):
            assert {name: found[name] for name in VALIDATION_METRICS} == expected
