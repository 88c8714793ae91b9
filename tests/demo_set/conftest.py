"""The demo set as it lies on disk. Nothing here uses the code that built it."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2] / "bah_mllm" / "dataset" / "demo_set"
FPS = 24


class TupleLoader(yaml.CSafeLoader):
    """A safe loader that also knows !!python/tuple."""


TupleLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


@dataclass(frozen=True)
class Sound:
    samples: np.ndarray
    rate_hz: int

    def between(self, start_s: float, stop_s: float) -> np.ndarray:
        return self.samples[int(start_s * self.rate_hz) : int(stop_s * self.rate_hz)]

    def level_db(self, start_s: float, stop_s: float) -> float:
        return float(10 * np.log10(np.mean(self.between(start_s, stop_s) ** 2) + 1e-12))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def annotations() -> dict[str, dict[str, Any]]:
    return yaml.load((ROOT / "video_annotation_transcript.yaml").read_text("utf-8"), Loader=TupleLoader)


@pytest.fixture(scope="session")
def events() -> dict[str, list[dict[str, Any]]]:
    """Planted events by video."""
    rows = defaultdict(list)
    for line in (ROOT / "events.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        rows[row["video_id"]].append(row)
    return rows


@pytest.fixture(scope="session")
def words() -> dict[str, dict[str, Any]]:
    """Contents of the .words.json files by video."""
    found = sorted(ROOT.glob("transcription/Videos/*/*/*.mp4/*.words.json"))
    return {
        path.parent.relative_to(ROOT / "transcription").as_posix(): json.loads(path.read_text("utf-8"))
        for path in found
    }


@pytest.fixture(scope="session")
def splits() -> dict[str, list[tuple[str, int, str]]]:
    """Rows of split/*.txt: video, label, transcript."""
    rows = {}
    for name in ("train", "val", "test"):
        lines = (ROOT / "split" / f"{name}.txt").read_text("utf-8").splitlines()
        rows[name] = [(v, int(y), text) for v, y, text in (line.split(",", 2) for line in lines)]
    return rows


@pytest.fixture(scope="session")
def sound_of() -> Callable[[str], Sound]:
    """Decoded sound of a video, mono float."""
    import av

    @cache
    def decode(video_id: str) -> Sound:
        with av.open(str(ROOT / video_id)) as container:
            rate_hz = container.streams.audio[0].rate
            parts = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
        return Sound(np.concatenate(parts), rate_hz)

    return decode
