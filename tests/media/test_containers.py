"""Every container that FFmpeg writes here holds the same frames, at the same times."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bah_mllm.core.timeline import Window
from bah_mllm.media import ClipSpec, frame_times, probe, read_clips

N_FRAMES, FPS = 50, 25

# Suffix, codec, options of the codec: MPEG-1/2 and WMV at a quality at which 16 squares stay black and white.
CONTAINERS = [
    ("mp4", "libx264", {}),
    ("m4v", "libx264", {}),
    ("mov", "libx264", {"bf": "2"}),
    ("mkv", "libx264", {"bf": "3"}),
    ("mkv", "mpeg4", {}),
    ("mkv", "ffv1", {}),
    ("webm", "libvpx", {}),
    ("webm", "libvpx-vp9", {}),
    ("avi", "mpeg4", {}),
    ("avi", "libx264", {"bf": "0"}),
    ("ts", "libx264", {"bf": "2"}),
    ("ts", "mpeg2video", {}),
    ("mts", "libx264", {}),
    ("m2ts", "libx264", {}),
    ("wmv", "wmv2", {}),
    ("asf", "msmpeg4", {}),
    ("flv", "libx264", {"bf": "2"}),
    ("3gp", "libx264", {}),
    ("vob", "mpeg2video", {}),
    ("mpg", "mpeg1video", {}),
    ("mxf", "mpeg2video", {}),
    ("ogv", "libvpx", {}),
]


@pytest.mark.parametrize(("suffix", "codec", "options"), CONTAINERS)
def test_frames_and_their_times_are_right_in_every_container(
    suffix: str, codec: str, options: dict[str, str], tmp_path: Path, build: SimpleNamespace
) -> None:
    path = tmp_path / f"a.{suffix}"
    build.video(path, N_FRAMES, codec=codec, fps=FPS, codec_options={"b": "4M", **options})
    info = probe(path)
    assert (info.n_frames, info.fps) == (N_FRAMES, FPS)
    spec = ClipSpec(n_frames=N_FRAMES, size_px=build.size_px)
    ((_, clip),) = read_clips(path, lambda n: [Window(0, n)], spec)
    assert [build.number_in(picture) for picture in clip.frames] == list(range(N_FRAMES))
    assert clip.t_s == pytest.approx(np.arange(N_FRAMES) / FPS, abs=0.002)
    assert frame_times(path) == pytest.approx(np.arange(N_FRAMES) / FPS, abs=0.002)
    assert info.clock is not None
    assert info.clock.span(1.0, 1.5) == (25, 38)
