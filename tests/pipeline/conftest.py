"""Runs of the scripted engine on a small data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bah_mllm.predictions import PredictionRow

Call = Callable[..., tuple[int, str, str]]


N_FRAMES = {1: 50, 4: 130, 2: 24, 7: 61, 3: 8, 5: 90}  # by question


def results(rows: list[PredictionRow]) -> list[tuple[object, ...]]:
    return [(*row.key, row.p_positive, row.status, row.short_clip, row.logp) for row in rows]


def run_arguments(root: Path, out: Path, *more: object, model: object = "video") -> list[object]:
    return ["run", "--data", root, "--split", "test", "--engine", "scripted", "--model", model, "--out", out, *more]


def script(tmp_path: Path, **settings: object) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"sees_video": True, **settings}))
    return path


def question_of(row: PredictionRow) -> int:
    return int(row.video_id.split("Question_")[1][0])
