"""Each fusion learns what is planted in made-up features, and nothing where the labels are shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from supervised.models import build_model
from supervised.records import VideoFeatures
from supervised.training.cross_entropy import Classification, ClassificationSettings
from supervised.training.data import Standard
from supervised.training.loop import LoopSettings, fit
from supervised.training.predicting import frame_probabilities
from tests.supervised.made_up import MADE_UP_DIMS, made_up_videos

DATA = ClassificationSettings(window_frames=64, hop_frames=32, batch_windows=8)


@dataclass(frozen=True)
class Budget:
    """How long a fusion trains: JMT, with attentions on top of each other, needs smaller steps and more of them."""

    epochs: int = 8
    lr: float = 0.002
    more: dict[str, Any] = field(default_factory=dict)


BUDGETS = {
    "lfan": Budget(),
    "can": Budget(),
    "mt": Budget(),
    "jmt": Budget(20, 0.001, {"schedule": "cosine", "warmup_epochs": 1}),
}


def held_out_auroc(
    model: str, training: Sequence[VideoFeatures], held_out: Sequence[VideoFeatures], folder: Path
) -> float:
    """Return the AUROC over the frames of videos that the model has not seen."""
    budget = BUDGETS[model]
    torch.manual_seed(0)
    built = build_model(model, MADE_UP_DIMS)
    settings = LoopSettings(
        epochs=budget.epochs, lr=budget.lr, optimizer="adamw", device="cpu", clip_norm=1.0, **budget.more
    )
    fit(built, Classification(training, DATA, seed=0), settings, folder=folder, quiet=True)
    p = [frame_probabilities(built, video, standard=Standard(), window_frames=64, hop_frames=32) for video in held_out]
    labels = [video.frame_labels for video in held_out if video.frame_labels is not None]
    return float(roc_auc_score(np.concatenate(labels), np.concatenate(p)))


@pytest.mark.slow
@pytest.mark.parametrize("planted", ["text", "conjunction"])
@pytest.mark.parametrize("model", BUDGETS)
def test_a_fusion_learns_what_one_modality_or_only_two_together_tell(model: str, planted: Any, tmp_path: Path) -> None:
    training, held_out = (made_up_videos(n, seed=seed, planted=planted) for n, seed in ((24, 1), (12, 2)))
    assert held_out_auroc(model, training, held_out, tmp_path) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("model", BUDGETS)
def test_a_fusion_learns_nothing_from_shuffled_labels(model: str, tmp_path: Path) -> None:
    training, held_out = (
        made_up_videos(n, seed=seed, planted="conjunction", shuffled=True) for n, seed in ((24, 1), (12, 2))
    )
    assert 0.35 <= held_out_auroc(model, training, held_out, tmp_path) <= 0.65


def test_shuffled_labels_are_as_many_but_elsewhere() -> None:
    plain = made_up_videos(6, seed=3, planted="text")
    shuffled = made_up_videos(6, seed=3, planted="text", shuffled=True)
    told = [np.concatenate([v.features["text"][:, 0] > 0 for v in videos]) for videos in (plain, shuffled)]
    labels = [
        np.concatenate([v.frame_labels for v in videos if v.frame_labels is not None]) for videos in (plain, shuffled)
    ]
    assert (told[0] == labels[0]).mean() > 0.95
    assert abs((told[1] == labels[1]).mean() - 0.5) < 0.2
