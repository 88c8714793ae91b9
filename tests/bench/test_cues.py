"""The benchmark of looking at and listening to a video."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bah_mllm.dataset import demo_root
from bah_mllm.media import probe

pytest.importorskip("mediapipe")

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_the_benchmark_looks_at_a_demo_video_of_512_pixels(bah: Call) -> None:
    code, stdout, _ = bah("bench", "cues", "--json", "-")
    assert code == 0
    figures = json.loads(stdout)
    first = sorted(demo_root().glob("Videos/*/*/*.mp4"))[0]
    assert figures["video_s"] == pytest.approx(probe(first).duration_s, abs=0.05)
    assert set(figures["share_of_stages"]) == {"decoding", "face", "pose", "hands", "sound"}
    assert sum(figures["share_of_stages"].values()) == pytest.approx(1)
    assert figures["video_s_per_s"] > 0
