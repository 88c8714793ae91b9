"""How fast a video is looked at and listened to for cues."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter, process_time

import av

from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.cues.mediapipe_backend import MediapipeBackend
from bah_mllm.cues.perception import perceive
from bah_mllm.cues.sound import sound_signals
from bah_mllm.dataset import demo_root
from bah_mllm.media import read_audio
from bah_mllm.report.progress import Stopwatch

__all__ = ["bench_cues"]


def bench_cues(request: BenchRequest) -> Figures:
    """Measure how fast a demo video, enlarged to 512 pixels, is looked at and listened to with the default sampling.

    Models are loaded beforehand. ``video_s_per_s_of_two_cores`` takes the process time of all threads as shared by two
    cores: what the time that passed would be on a quiet machine. The seed chooses the video.
    """
    videos = sorted(demo_root().glob("Videos/*/*/*.mp4"))
    path = videos[request.seed % len(videos)]
    with tempfile.TemporaryDirectory() as folder:
        enlarged = Path(folder) / "enlarged.mp4"
        _enlarge(path, enlarged, size_px=512)
        sound_signals(read_audio(path))
        with MediapipeBackend() as backend:
            started, cpu_started = perf_counter(), process_time()
            seen = perceive(enlarged, backend=backend)
            watch = Stopwatch()
            with watch.spent_on("sound"):
                sound_signals(read_audio(path))
            passed_s, cpu_s = perf_counter() - started, process_time() - cpu_started
    seconds = {**seen.seconds, **watch.seconds}
    return {
        "video_s": seen.duration_s,
        "video_s_per_s": seen.duration_s / passed_s,
        "video_s_per_s_of_two_cores": 2 * seen.duration_s / cpu_s,
        "share_of_stages": {stage: stage_s / sum(seconds.values()) for stage, stage_s in seconds.items()},
    }


def _enlarge(path: Path, out: Path, *, size_px: int) -> None:
    with av.open(str(path)) as source, av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=source.streams.video[0].average_rate)
        stream.width = stream.height = size_px
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            container.mux(stream.encode(frame.reformat(width=size_px, height=size_px, format="yuv420p")))
        container.mux(stream.encode(None))
