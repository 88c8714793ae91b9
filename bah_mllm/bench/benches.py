"""Ratios against the naive way, measured in one run: absolute times of a shared machine say little.

Every figure is process time (all threads) of this process; counters say how much work was done rather than how fast.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.json_output import write_json
from bah_mllm.core.records import Clip, RenderedPrompt, WindowJob
from bah_mllm.core.timeline import Window, plan_windows
from bah_mllm.dataset import demo_root
from bah_mllm.media import ClipSpec, DecodeReport, read_audio, read_clips
from bah_mllm.prompting import PromptValues, find_prompt, render_prompt

__all__ = ["BENCHES", "print_bench"]

_PROMPTS = ("simple", "def1", "def2", "transcript_def1", "transcript_def2")
_TRANSCRIPT = "I know that I should go to bed earlier, and I want to, but the evening is the only time that is mine."


def _seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Return the median process time of some work, after one run that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        started = process_time()
        work()
        times.append(process_time() - started)
    return median(times)


def evaluator(*, seed: int = 0) -> dict[str, Any]:
    """Measure 1,000 bootstrap draws of every metric at the size of BAH's test split against one AP of scikit-learn.

    The scores are made up: 256,744 frames of 56 participants, continuous, so that every frame has a score of its own.
    """
    from sklearn.metrics import average_precision_score

    from bah_mllm.evaluation.bootstrap import Sample, draw_participants, metrics_per_draw
    from bah_mllm.evaluation.metrics import HARD_METRICS, METRICS, RANKING_METRICS

    rng = np.random.default_rng(seed)
    n_frames, n_participants, n_draws = 256_744, 56, 1_000
    labels = (rng.random(n_frames) < 0.1973).astype(np.int8)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n_frames) + 0.5 * labels - 1.4)))
    participants = np.sort(rng.integers(0, n_participants, n_frames))
    sample = Sample(labels, scores, participants, n_participants)
    counts = draw_participants(n_participants, n_draws=n_draws, seed=seed)
    one_ap_s = _seconds(lambda: average_precision_score(labels, scores))
    bootstrap_s = _seconds(lambda: metrics_per_draw(sample, counts))
    # Two draws the naive way, by copying the frames of the drawn participants.
    draws = metrics_per_draw(sample, counts[:2])
    members = [np.flatnonzero(participants == person) for person in range(n_participants)]
    largest = 0.0
    for draw in range(2):
        drawn = np.concatenate([np.tile(members[person], counts[draw, person]) for person in range(n_participants)])
        for name, metric in RANKING_METRICS.items():
            largest = max(largest, abs(metric(labels[drawn], scores[drawn]) - draws[name][draw]))
        for name, metric in HARD_METRICS.items():
            largest = max(largest, abs(metric(labels[drawn], scores[drawn] > 0.5) - draws[name][draw]))
    return {
        "n_frames": n_frames,
        "n_participants": n_participants,
        "n_draws": n_draws,
        "metrics": list(METRICS),
        "bootstrap_over_one_ap": bootstrap_s / one_ap_s,
        "bootstrap_s": bootstrap_s,
        "one_ap_s": one_ap_s,
        "largest_difference_to_naive_resampling": largest,
    }


def decode(*, seed: int = 0) -> dict[str, Any]:
    """Measure one pass for all windows against decoding from the first frame for each window, on a made-up video."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made-up.mp4"
        n_frames = _write_video(path, n_frames=480, seed=seed)
        spec = ClipSpec(size_px=224)
        results: dict[str, Any] = {"n_frames": n_frames}
        for window_frames in (8, 24, 120):
            windows = list(plan_windows(n_frames, window_frames=window_frames))
            report = DecodeReport()
            _read(path, windows, spec, report)
            naive = sum(window.stop for window in windows)
            results[f"window_{window_frames}"] = {
                "frames_decoded": report.frames_decoded,
                "frames_decoded_naive": naive,
                "naive_over_one_pass": naive / report.frames_decoded,
            }
        every_frame = [Window(start, start + 8) for start in range(0, n_frames, 8)]

        exact_s = _seconds(lambda: _read(path, every_frame, ClipSpec(resize="exact")), repeats=1)
        fast_s = _seconds(lambda: _read(path, every_frame, ClipSpec(resize="fast")), repeats=1)
        results["exact_over_fast_resize"] = exact_s / fast_s
        return results


def _read(path: Path, windows: list[Window], spec: ClipSpec, report: DecodeReport | None = None) -> None:
    for _ in read_clips(path, lambda _: windows, spec, report=report):
        pass


def _write_video(path: Path, *, n_frames: int, seed: int) -> int:
    import av

    rng = np.random.default_rng(seed)
    background = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for k in range(n_frames):
            picture = np.roll(background // 4 + 64, k * 3, axis=1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return n_frames


def engine(*, seed: int = 0) -> dict[str, Any]:
    """Measure exact scores of five prompts a window against a reply of six tokens to each, on a tiny Video-LLaVA.

    Random weights: the ratios show which work is shared; those of a 7B model on a GPU differ.
    """
    from bah_mllm.engines import EngineOptions, load_engine
    from bah_mllm.engines.models import get_model

    get_model("tiny-video-llava")
    options = EngineOptions(model="tiny-video-llava", device="cpu")
    rng = np.random.default_rng(seed)
    prompts = tuple(render_prompt(find_prompt(name), PromptValues(transcript=_TRANSCRIPT), ()) for name in _PROMPTS)
    scoring = load_engine("video-llava", options)
    jobs = [_job(rng, scoring.capabilities.frame_size_px, n, prompts) for n in range(6)]

    def fresh(prefix: str, batch: list[WindowJob]) -> list[WindowJob]:
        """Return the jobs under other video ids and pixels: nothing is answered from memory."""
        return [_job(rng, scoring.capabilities.frame_size_px, n, job.prompts, prefix) for n, job in enumerate(batch)]

    score_s = _seconds(lambda: [scoring.score([job]) for job in fresh("a", jobs)])
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

    generate_s = _seconds(generate_one_by_one)
    return {
        "n_windows": len(jobs),
        "n_prompts": len(prompts),
        "generate_6_tokens_over_score": generate_s / score_s,
        "score_s": score_s,
        "generate_s": generate_s,
        "counters_of_scoring": counters,
    }


def cues(*, seed: int = 0) -> dict[str, Any]:
    """Measure how fast a demo video, enlarged to 512 pixels, is looked at and listened to with the default sampling.

    Models are loaded beforehand. ``video_s_per_s_of_two_cores`` takes the process time of all threads as shared by two
    cores: what the time that passed would be on a quiet machine. The seed chooses the video.
    """
    from bah_mllm.cues.perception import MediapipeBackend, perceive, timed
    from bah_mllm.cues.sound import sound_signals

    videos = sorted(demo_root().glob("Videos/*/*/*.mp4"))
    path = videos[seed % len(videos)]
    with tempfile.TemporaryDirectory() as folder:
        enlarged = Path(folder) / "enlarged.mp4"
        _enlarge(path, enlarged, size_px=512)
        sound_signals(read_audio(path))
        with MediapipeBackend() as backend:
            started, cpu_started = perf_counter(), process_time()
            seen = perceive(enlarged, backend=backend)
            seconds = dict(seen.seconds)
            with timed(seconds, "sound"):
                sound_signals(read_audio(path))
            passed_s, cpu_s = perf_counter() - started, process_time() - cpu_started
    return {
        "video_s": seen.duration_s,
        "video_s_per_s": seen.duration_s / passed_s,
        "video_s_per_s_of_two_cores": 2 * seen.duration_s / cpu_s,
        "share_of_stages": {stage: stage_s / sum(seconds.values()) for stage, stage_s in seconds.items()},
    }


def _enlarge(path: Path, out: Path, *, size_px: int) -> None:
    import av

    with av.open(str(path)) as source, av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=source.streams.video[0].average_rate)
        stream.width = stream.height = size_px
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            container.mux(stream.encode(frame.reformat(width=size_px, height=size_px, format="yuv420p")))
        container.mux(stream.encode(None))


def _job(
    rng: np.random.Generator, size_px: int, n: int, prompts: tuple[RenderedPrompt, ...], prefix: str = "w"
) -> WindowJob:
    frames = rng.integers(0, 256, (8, size_px, size_px, 3), dtype=np.uint8)
    clip = Clip(frames, tuple(range(8)), np.arange(8) / 24, is_short=False)
    return WindowJob(f"{prefix}{n}", Window(0, 8), clip, prompts)


BENCHES: dict[str, Callable[..., dict[str, Any]]] = {
    "engine": engine,
    "decode": decode,
    "evaluator": evaluator,
    "cues": cues,
}


def print_bench(
    name: str, *, seed: int, json_path: str | None, more: Mapping[str, Callable[..., dict[str, Any]]] | None = None
) -> None:
    """Run a benchmark and print its figures, or write them as JSON (``-`` for stdout).

    Args:
        name: A key of ``BENCHES`` or of ``more``.
        seed: Of the made-up input.
        json_path: Where JSON goes.
        more: Benchmarks that are not of this layer.

    Raises:
        ConfigError: There is no such benchmark.
    """
    benches = {**BENCHES, **(more or {})}
    if name not in benches:
        raise ConfigError(f"There is no benchmark {name!r}.", remedy=f"Choose one of: {', '.join(benches)}.")
    figures = benches[name](seed=seed)
    if json_path is not None:
        write_json(figures, json_path)
        return
    from rich.console import Console

    console = Console(highlight=False)
    for line in _lines(figures):
        console.print(line, soft_wrap=True)


def _lines(figures: Mapping[str, Any], group: str = "") -> Iterator[str]:
    """Yield a line for every figure, and one for every innermost group of figures, named by all groups around it."""
    for key, value in figures.items():
        name = f"{group} {key}".strip()
        if not isinstance(value, Mapping):
            yield f"{name}: {_shown(value)}"
        elif any(isinstance(one, Mapping) for one in value.values()):
            yield from _lines(value, name)
        else:
            yield f"{name}: {', '.join(f'{inner} {_shown(one)}' for inner, one in value.items())}"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
