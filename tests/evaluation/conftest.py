"""Rows and labels made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows
from bah_mllm.predictions import PredictionRow


def frames(*labels: int) -> np.ndarray:
    return np.array(labels, dtype=np.int8)


def frame_row(
    video: str, start: int | None, stop: int | None, p: float | None = None, **other: object
) -> PredictionRow:
    fields = {"system": "s", "participant_id": "x", "window_frames": 4, **other}
    return PredictionRow(video_id=video, level=Level.FRAME, start_frame=start, stop_frame=stop, p_positive=p, **fields)


def video_row(video: str, p: float | None = None, **other: object) -> PredictionRow:
    fields = {"system": "s", "participant_id": "x", **other}
    return PredictionRow(video_id=video, level=Level.VIDEO, p_positive=p, **fields)


def video(name: str, label: int | None = None, *, person: str = "a", split: str = "test", **other) -> VideoLabels:
    return VideoLabels(name, person, split=split, label=label, **other)


@pytest.fixture
def two_videos() -> Labels:
    return Labels(
        (
            video("v1", 1, person="a", frames=frames(0, 0, 1, 1, 0, 0), question=1),
            video("v2", 0, person="b", frames=frames(0, 0, 0, 0), question=2),
        )
    )


def judge(rows, labels, level="frame", **other):
    return evaluate_rows(rows, labels, level=level, split=other.pop("split", "test"), n_draws=0, **other)
