"""Segments and thresholds in the terminal."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from bah_mllm.core.records import Level
from bah_mllm.evaluation import EventRule, Labels, VideoLabels, evaluate_rows, nested_thresholds
from bah_mllm.predictions import PredictionRow
from bah_mllm.report import print_events, print_thresholds


def make(*, fps: float | None = 5.0):
    rng = np.random.default_rng(1)
    videos, rows = [], []
    for n in range(8):
        frames = np.repeat(rng.integers(0, 2, 4), 5).astype(np.int8)
        videos.append(VideoLabels(f"v{n}", f"p{n}", split="test", label=n % 2, frames=frames, fps=fps))
        rows += [
            PredictionRow(
                system="[red]s",
                video_id=f"v{n}",
                participant_id="x",
                level=Level.FRAME,
                start_frame=k,
                stop_frame=k + 5,
                window_frames=5,
                p_positive=float(rng.random()),
            )
            for k in range(0, 20, 5)
        ]
    return rows, Labels(tuple(videos))


def printed(function, found) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    function(found, console=console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    return text


def test_segments_are_printed_with_their_rule():
    rule = EventRule(threshold=0.4, max_gap_frames=3, min_frames=2)
    evaluation = evaluate_rows(*make(), level="frame", split="test", n_draws=30, events=rule)
    text = printed(print_events, evaluation)
    assert "score > 0.4, gaps of up to 3 frames closed, at least 2 frames long" in text
    assert f"{evaluation.rows[0].events.metrics['segment_f1_30'].value:.3f}" in text
    assert f"{evaluation.rows[0].events.metrics['false_alarms_per_minute'].value:.3f}" in text
    assert "all-positive" in text
    assert "[red]s" in text


def test_what_needs_a_frame_rate_is_left_out_with_a_word():
    rows, labels = make(fps=None)
    text = printed(print_events, evaluate_rows(rows, labels, level="frame", split="test", n_draws=0))
    assert "no frame rate is known" in text
    assumed = EventRule(assumed_fps=24.0)
    text = printed(print_events, evaluate_rows(rows, labels, level="frame", split="test", n_draws=0, events=assumed))
    assert "count as 24 frames a second" in text


def test_at_video_level_there_are_no_segments():
    assert "frame level only" in printed(print_events, evaluate_rows(*make(), level="video", split="test", n_draws=0))


def test_thresholds_are_printed_with_their_optimism():
    rows, labels = make()
    found = nested_thresholds(rows, labels, level="video", split="test", n_draws=30)
    text = printed(print_thresholds, found)
    assert f"{found[0].optimism:+.3f}" in text
    assert f"{found[0].nested['macro_f1']:.3f}".removeprefix("0") in text
    few = Labels(labels.videos[:4])
    assert "fewer than 5" in printed(
        print_thresholds, nested_thresholds(rows, few, level="video", split="test", n_draws=0)
    )
