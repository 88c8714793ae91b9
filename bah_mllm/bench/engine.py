"""Exact scores of all prompts of a window, which share its frames, against a reply to each."""

from __future__ import annotations

import numpy as np

from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.bench.timing import process_seconds
from bah_mllm.core.records import Clip, RenderedPrompt, WindowJob
from bah_mllm.core.timeline import Window
from bah_mllm.engines import EngineOptions, load_engine
from bah_mllm.engines.models import get_model
from bah_mllm.prompting import PromptValues, find_prompt, render_prompt

__all__ = ["bench_engine"]

_PROMPTS = ("simple", "def1", "def2", "transcript_def1", "transcript_def2")
_TRANSCRIPT = "I know that I should go to bed earlier, and I want to, but the evening is the only time that is mine."


def bench_engine(request: BenchRequest) -> Figures:
    """Measure exact scores of five prompts a window against a reply of six tokens to each, on a tiny Video-LLaVA.

    Random weights: the ratios show which work is shared; those of a 7B model on a GPU differ.
    """
    get_model("tiny-video-llava")
    options = EngineOptions(model="tiny-video-llava", device="cpu")
    rng = np.random.default_rng(request.seed)
    prompts = tuple(render_prompt(find_prompt(name), PromptValues(transcript=_TRANSCRIPT), ()) for name in _PROMPTS)
    scoring = load_engine("video-llava", options)
    jobs = [_job(rng, scoring.capabilities.frame_size_px, n, prompts) for n in range(6)]

    def fresh(prefix: str, batch: list[WindowJob]) -> list[WindowJob]:
        """Return the jobs under other video ids and pixels: nothing is answered from memory."""
        return [_job(rng, scoring.capabilities.frame_size_px, n, job.prompts, prefix) for n, job in enumerate(batch)]

    score_s = process_seconds(lambda: [scoring.score([job]) for job in fresh("a", jobs)])
    before = dict(scoring.counters)
    for job in fresh("b", jobs):
        scoring.score([job])
    counters = {
        name: scoring.counters[name] - before[name] for name in ("vision_encodes", "prefix_prefills", "tokens_fed")
    }
    naive = load_engine("video-llava", options)

    def generate_one_by_one() -> None:
        for job in fresh("c", jobs):
            for n, prompt in enumerate(job.prompts):
                # Another id for each prompt: the naive way encodes the video anew.
                naive.generate([WindowJob(f"{job.video_id}-{n}", job.window, job.clip, (prompt,))], max_new_tokens=6)

    generate_s = process_seconds(generate_one_by_one)
    return {
        "n_windows": len(jobs),
        "n_prompts": len(prompts),
        "generate_6_tokens_over_score": generate_s / score_s,
        "score_s": score_s,
        "generate_s": generate_s,
        "counters_of_scoring": counters,
    }


def _job(
    rng: np.random.Generator, size_px: int, n: int, prompts: tuple[RenderedPrompt, ...], prefix: str = "w"
) -> WindowJob:
    frames = rng.integers(0, 256, (8, size_px, size_px, 3), dtype=np.uint8)
    clip = Clip(frames, tuple(range(8)), np.arange(8) / 24, is_short=False)
    return WindowJob(f"{prefix}{n}", Window(0, 8), clip, prompts)
