"""One pass over a video for all windows against decoding it anew for each."""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
import numpy as np

from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.bench.timing import process_seconds
from bah_mllm.core.timeline import Window, plan_windows
from bah_mllm.media import ClipSpec, DecodeReport, read_clips

__all__ = ["bench_decode"]


def bench_decode(request: BenchRequest) -> Figures:
    """Measure one pass for all windows against decoding from the first frame for each window, on a made-up video."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made-up.mp4"
        n_frames = _write_video(path, n_frames=480, seed=request.seed)
        spec = ClipSpec(size_px=224)
        results: dict[str, float | str | list[str] | Figures] = {"n_frames": n_frames}
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

        exact_s = process_seconds(lambda: _read(path, every_frame, ClipSpec(resize="exact")), repeats=1)
        fast_s = process_seconds(lambda: _read(path, every_frame, ClipSpec(resize="fast")), repeats=1)
        results["exact_over_fast_resize"] = exact_s / fast_s
        return results


def _read(path: Path, windows: list[Window], spec: ClipSpec, report: DecodeReport | None = None) -> None:
    for _ in read_clips(path, lambda _: windows, spec, report=report):
        pass


def _write_video(path: Path, *, n_frames: int, seed: int) -> int:
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
