"""A matrix of differences in the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, compare_all
from bah_mllm.predictions import PredictionRow
from bah_mllm.report import print_matrix

LABELS = Labels(tuple(VideoLabels(f"Videos/v{n}.mp4", f"p{n // 2}", split="test", label=n % 2) for n in range(12)))


def rows(system: str, scores: list[float]) -> list[PredictionRow]:
    return [
        PredictionRow(
            system=system, video_id=f"Videos/v{n}.mp4", participant_id="", level=Level.VIDEO, p_positive=score
        )
        for n, score in enumerate(scores)
    ]


def test_each_pair_stands_once_with_its_difference_agreement_and_changed_videos():
    right = rows("[red]right", [0.9 if n % 2 else 0.1 for n in range(12)])
    wrong_once = rows("wrong once", [0.9 if n % 2 or n == 4 else 0.1 for n in range(12)])
    always = rows("yes", [0.9] * 12)
    matrix = compare_all(right + wrong_once + always, LABELS, level="video", split="test", n_draws=40)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_matrix(matrix, console=console, metric="accuracy")
    text = console.file.getvalue()
    assert "#1 [red]right" in text
    assert "+0.083" in text  # one of twelve
    assert "+0.500" in text
    assert "#1 and #2: 12 items, 92 % equal labels" in text
    assert "changed most: Videos/v4.mp4 (-0.80)" in text
    assert "kappa 0.00" in text  # the constant system
    assert text.count("p 1.000") + text.count("p .") == 3
    assert "are left out: none" in text
    assert "…" not in text
