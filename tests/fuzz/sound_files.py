"""Sound files of every kind that is read, and their readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np

from bah_mllm.core.records import Level
from bah_mllm.cues.baselines import load_usual
from bah_mllm.cues.records import Track
from bah_mllm.cues.signals import Signals, load_signals, save_signals
from bah_mllm.cues.store import read_cues
from bah_mllm.dataset import check_dataset, demo_root, open_dataset
from bah_mllm.dataset.annotations import open_annotations
from bah_mllm.dataset.bah import DEMO_MARKER
from bah_mllm.dataset.participants import read_participants
from bah_mllm.dataset.spoken import read_chunks, read_words
from bah_mllm.engines import EngineOptions
from bah_mllm.engines.registry import load_engine
from bah_mllm.pipeline.config import load_run_config
from bah_mllm.predictions import PredictionRow, RunStore, read_journal, read_manifest
from bah_mllm.prompting import check_prompt, find_prompt, list_prompts
from supervised.adaptation.source import load_source
from supervised.features.store import FeatureSet, FeatureStore
from supervised.models import build_model, load_feature_model, save_model
from supervised.reading import read_recipe
from supervised.training.data import Standard, load_standard, save_standard
from supervised.training.record import read_record
from tests.prompting.conftest import source
from tests.supervised.training.test_record import FIRST

__all__ = ["PREPARED"]

Reader = Callable[[Path], object]  # takes the file that went wrong
Prepare = Callable[[Path], tuple[Path, Reader]]


def _demo(pattern: str) -> bytes:
    return sorted(demo_root().rglob(pattern))[0].read_bytes()


def _run(folder: Path) -> Path:
    rows = [
        PredictionRow(
            system="p@scripted:text",
            video_id=f"v{n}.mp4",
            participant_id="p",
            level=Level.FRAME,
            start_frame=8 * n,
            stop_frame=8 * n + 8,
            window_frames=8,
            hop_frames=8,
            p_positive=0.25,
            logp={"Yes": -1.5},
        )
        for n in range(4)
    ]
    with RunStore(folder, config={"engine": "scripted", "frames": 8}, identity={"split": "test"}) as run:
        run.append(rows)
        run.complete()
    return folder


def _features(folder: Path) -> Path:
    store = FeatureStore(folder)
    store.create(FeatureSet(name="a", modality="audio", dim=3))
    for n in range(3):
        store.add("a", f"v{n}", np.full((4, 3), n, np.float32), fps=24.0)
    return folder


def _read_set(folder: Path) -> object:
    store = FeatureStore(folder)
    return [store.read("a", video_id) for video_id in store.video_ids("a")]


def _annotations(path: Path) -> object:
    annotations = open_annotations(path)
    return [annotations.of(name) for name in annotations.names()]


def _one_file(name: str, content: bytes, read: Reader) -> Prepare:
    def prepare(folder: Path) -> tuple[Path, Reader]:
        (folder / "split").mkdir(exist_ok=True)
        (folder / "split" / "test.txt").write_text("Videos/1/a.mp4,1,words\n")
        (folder / name).write_bytes(content)
        return folder / name, read

    return prepare


def _recipe(name: str) -> Prepare:
    shipped = Path(str(files("supervised"))) / "recipes" / f"{name}.toml"
    return _one_file("r.toml", shipped.read_bytes(), lambda path: read_recipe(str(path)))


def _of_run(name: str, read: Reader) -> Prepare:
    return lambda folder: (_run(folder) / name, read)


def _of_features(pattern: str) -> Prepare:
    return lambda folder: (sorted((_features(folder) / "a").rglob(pattern))[0], lambda _: _read_set(folder))


def _of_cues(suffix: str) -> Prepare:
    def prepare(folder: Path) -> tuple[Path, Reader]:
        found = sorted((demo_root() / "cues").rglob("*.cues.jsonl"))[0]
        for one in (".cues.jsonl", ".cues.json"):
            (folder / f"v{one}").write_bytes(found.with_name(found.name.replace(".cues.jsonl", one)).read_bytes())
        return folder / f"v{suffix}", lambda path: read_cues(path.parent, "v")

    return prepare


def _baseline(folder: Path) -> tuple[Path, Reader]:
    (folder / "baselines").mkdir()
    path = folder / "baselines" / "p.json"
    path.write_text(json.dumps({"usual": {"pitch": {"centre": 1.5, "spread": 0.5}}, "participant_id": "p"}))
    return path, lambda path: load_usual(path.parent.parent, "p")


def _signals(folder: Path) -> tuple[Path, Reader]:
    tracks = {"pitch": Track(np.arange(50.0), np.linspace(0, 1, 50))}
    save_signals(Signals(tracks, duration_s=2.0, backend="x", seconds={}), folder / "s.npz")
    return folder / "s.npz", load_signals


def _standard(folder: Path) -> tuple[Path, Reader]:
    save_standard(folder, Standard({"a": np.zeros(3, np.float32)}, {"a": np.ones(3, np.float32)}))
    return next(folder.glob("standard.*")), lambda path: load_standard(path.parent)


def _model(name: str) -> Prepare:
    def prepare(folder: Path) -> tuple[Path, Reader]:
        save_model(folder, build_model("mlp", {"visual": 3}))
        return folder / name, lambda path: load_feature_model(path.parent)

    return prepare


_PROMPT = source(
    "{% if transcript %}{{ transcript|upper|truncate(9) }}{% endif %}\n"
    "{% for n in range(3) %}{{ n }}{% endfor %} 'No' or 'Yes'?",
    description='"a prompt"',
)
_CONFIG = b'prompts = ["simple"]\nwindows = [120, "5s"]\nframes = 8\nseed = 3\n[run]\nengine = "scripted"\nlimit = 2\n'
_CONFIG_JSON = json.dumps({"config": {"prompts": ["simple"], "windows": ["120"], "frames": 8, "cues": None}}).encode()
_SCRIPT = b'{"sees_video": true, "rules": [{"p_positive": 0.5}], "memory_windows": 4, "seconds_per_job": 0.0}'
_ANNOTATIONS = b"""V/1/a.mp4:
  all_cues:
  - audio: !!python/tuple
    - Pause
  certainty_ah:
  - 2
  fr_detailed_ah:
  - - 2
    - 4
  frame_annotation:
  - !!python/tuple
    - V/1/a.mp4/frame-0.jpg
    - 0
  - - V/1/a.mp4/frame-1.jpg
    - 1
  global_ah: 1
  time_detailed_ah:
  - - '00:00:00.080'
    - '00:00:00.200'
  transcript:
    chunks:
    - language: english
      text: ' plums'
      timestamp: !!python/tuple
      - 0.0
      - 0.25
    text: ' plums'
V/1/b.mp4:
  global_ah: 0
"""

# Reader to what writes a sound file for it, and returns the file and how it is read.
PREPARED: dict[str, Prepare] = {
    "prompt": _one_file("mine.jinja", _PROMPT.encode(), lambda path: check_prompt(find_prompt(str(path)))),
    "prompt list": _one_file("mine.jinja", _PROMPT.encode(), lambda path: list_prompts([path.parent])),
    "config toml": _one_file("c.toml", _CONFIG, lambda path: load_run_config({}, path)),
    "config json": _one_file("c.json", _CONFIG_JSON, lambda path: load_run_config({}, path)),
    "script": _one_file("s.json", _SCRIPT, lambda path: load_engine("scripted", EngineOptions(model=str(path)))),
    "train.json": _one_file("train.json", FIRST.encode(), lambda path: read_record(path.parent)),
    "source.json": _one_file("source.json", b"{}", lambda path: load_source(path.parent)),
    "words": _one_file("a.words.json", _demo("*.words.json"), read_words),
    "chunks": _one_file("a.yml", _demo("transcription/**/*.yml"), read_chunks),
    "metadata": _one_file("meta_data.yml", _demo("meta_data.yml"), read_participants),
    "annotations": _one_file("annotation.yml", _ANNOTATIONS, _annotations),
    "marker": _one_file(DEMO_MARKER, _demo(DEMO_MARKER), lambda path: open_dataset(path.parent)),
    "data check": _one_file(
        "meta_data.yml", _demo("meta_data.yml"), lambda path: check_dataset(open_dataset(path.parent))
    ),
    "recipe words_video": _recipe("words_video"),
    "recipe lfan": _recipe("lfan"),
    "recipe shot": _recipe("shot"),
    "run.json": _of_run("run.json", lambda path: read_manifest(path.parent)),
    "predictions.jsonl": _of_run("predictions.jsonl", read_journal),
    "set.json": _of_features("set.json"),
    "index.jsonl": _of_features("index.jsonl"),
    "array": _of_features("*.npy"),
    "cues.jsonl": _of_cues(".cues.jsonl"),
    "cues.json": _of_cues(".cues.json"),
    "baseline": _baseline,
    "signals": _signals,
    "standard": _standard,
    "model.json": _model("model.json"),
    "model.safetensors": _model("model.safetensors"),
}
