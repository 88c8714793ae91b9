"""Segments as events: runs, their pairing, and onsets."""

from __future__ import annotations

import numpy as np
import pytest

from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows
from bah_mllm.evaluation.events import event_scores, find_runs
from bah_mllm.predictions import PredictionRow


def score(true: str, predicted: str, *, video: str | None = None, fps: float = 10.0):
    """Score frames written as 0 and 1; ``video`` names the video of each frame by a digit."""
    whose = np.array([int(digit) for digit in video or "0" * len(true)])
    frame = np.concatenate([np.arange(n) for n in np.bincount(whose)])
    is_true, is_predicted = (np.array([digit == "1" for digit in text]) for text in (true, predicted))
    return event_scores(is_true, is_predicted, video=whose, frame=frame, fps=np.full(whose.max() + 1, fps))


def test_a_run_ends_at_a_negative_a_gap_and_the_end_of_a_video():
    positive = np.array([True, True, False, True, True, True, True])
    video = np.array([0, 0, 0, 0, 0, 1, 1])
    frame = np.array([0, 1, 2, 3, 7, 8, 9])
    runs = find_runs(positive, video, frame)
    assert list(zip(*runs, strict=True)) == [(0, 0, 2), (0, 3, 4), (0, 7, 8), (1, 8, 10)]


def test_no_frames_hold_no_runs():
    assert len(find_runs(np.zeros(0, dtype=bool), np.zeros(0, dtype=int), np.zeros(0, dtype=int)).start) == 0


@pytest.mark.parametrize(
    ("true", "predicted", "at_30", "at_50"),
    [
        ("0111100", "0111100", 1.0, 1.0),
        ("0111100", "0001111", 1.0, 0.0),  # 2 of 6 frames in common
        ("1111111", "1100000", 0.0, 0.0),  # 2 of 7
        ("1111000", "1111111", 1.0, 1.0),  # 4 of 7
        ("1111100", "1101100", 2 / 3, 0.0),  # two halves of 2 of 5: one pair, one left over
        ("0111000", "0000000", 0.0, 0.0),
        ("0000000", "0111000", 0.0, 0.0),
        ("0000000", "0000000", None, None),
    ],
)
def test_segments_are_paired_one_to_one_by_their_overlap(true, predicted, at_30, at_50):
    found = score(true, predicted)
    assert (found.segment_f1_30, found.segment_f1_50) == (at_30, at_50)


def test_segments_of_different_videos_are_never_paired():
    assert score("111000", "000111", video="000111").segment_f1_30 == 0.0


def test_a_segment_goes_to_its_best_partner():
    # The long prediction overlaps both true segments; the short one fits the second exactly.
    found = score("1111100111", "1111110111")
    assert found.segment_f1_30 == 1.0
    assert found.onset_error_s == 0.0


def test_the_onset_error_is_the_median_distance_of_starts_in_seconds():
    assert score("0011110000", "1111110000", fps=10.0).onset_error_s == pytest.approx(0.2)
    assert score("0011110000", "1111110000", fps=float("nan")).onset_error_s is None
    assert score("0000000011", "1100000000").onset_error_s is None


def test_results_hold_event_scores_at_frame_level_only():
    frames = np.array([0, 0, 1, 1, 1, 1, 0, 0], dtype=np.int8)
    labels = Labels((VideoLabels("v1", "a", split="test", label=1, frames=frames, fps=4.0),))
    rows = [
        PredictionRow(
            system="s",
            video_id="v1",
            participant_id="a",
            level=Level.FRAME,
            start_frame=start,
            stop_frame=start + 1,
            p_positive=0.9 if 3 <= start < 6 else 0.1,
        )
        for start in range(8)
    ]
    (result,) = evaluate_rows(rows, labels, level="frame", split="test", n_draws=0).rows
    assert (result.segment_f1_50, result.onset_error_s) == (1.0, 0.25)
    (result, _) = evaluate_rows(rows, labels, level="video", split="test", n_draws=0).rows
    assert result.segment_f1_50 is None
