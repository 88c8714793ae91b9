"""Tiny checkpoints, built once, and jobs on made-up frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.core.engine import Engine
from bah_mllm.core.records import Clip, RenderedPrompt, WindowJob
from bah_mllm.core.timeline import Window
from bah_mllm.engines import EngineOptions, load_engine

LABELS = {"Non-Ambivalent": 0, "Ambivalent": 1}
ASK = "Classify the emotion in the video as either 'Non-Ambivalent' or 'Ambivalent'. Respond with only one word:"
DEFINITION = "Definition: having conflicting feelings towards something. "
FRAMES = np.random.default_rng(7).integers(0, 256, (64, 28, 28, 3), dtype=np.uint8)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models gain nothing from threads, and lose much where other processes want the cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the tiny models."""
    from bah_mllm.engines.tiny import tiny_causal_lm, tiny_video_llava

    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "raw": tiny_causal_lm(root / "raw", seed=1),
        "chat": tiny_causal_lm(root / "chat", seed=2, has_chat_template=True),
        "video": tiny_video_llava(root / "video", seed=3),
    }


@pytest.fixture
def load(checkpoints: dict[str, Path]) -> Callable[..., Engine]:
    """Load an engine of a kind: scripted-text, scripted-video, text-raw, text-chat, video-llava."""

    def load_kind(kind: str, **options: object) -> Engine:
        name, _, variety = kind.partition("-")
        if name == "scripted":
            return load_engine("scripted", EngineOptions(**{"model": variety, **options}))
        if name == "text":
            return load_engine("text", EngineOptions(**{"model": str(checkpoints[variety]), **options}))
        return load_engine("video-llava", EngineOptions(**{"model": str(checkpoints["video"]), **options}))

    return load_kind


@pytest.fixture
def make_job() -> Callable[..., WindowJob]:
    """Make a job of 8 frames from ``start``, with the given texts or the four usual prompts."""

    def make(
        start: int = 0,
        texts: list[str] | None = None,
        *,
        video_id: str = "Videos/p1/a.mp4",
        labels: dict[str, int] | None = None,
        frames: np.ndarray = FRAMES,
    ) -> WindowJob:
        said = f"Video transcript: number {start}, {'one two three ' * (start % 5)}four. "
        texts = texts or [ASK, DEFINITION + ASK, said + ASK, said + DEFINITION + ASK]
        indices = tuple(range(start, start + 8))
        return WindowJob(
            video_id=video_id,
            window=Window(start, start + 8),
            clip=Clip(frames[list(indices)], indices, np.array(indices) / 24, is_short=False),
            prompts=tuple(RenderedPrompt(f"p{i}", text, labels or LABELS) for i, text in enumerate(texts)),
        )

    return make
