"""Every command that writes, on inputs so small that it takes a second or two, and what it leaves as plain values."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from bah_mllm.dataset import demo_root
from bah_mllm.predictions import read_journal, read_run
from supervised.light.predict import load_trained
from tests.supervised.conftest import write_planted

ADAPTED = "adapt --recipe shot --split train --set features.visual=v --set source_training.loop.epochs=2"
FUSED = "train --recipe tcn_visual --seeds 0:2 --set features.visual=v --set data.window_frames=24"
LIGHT = 'train --recipe words_video --set n_folds=3 --set members=["tfidf","question_prior"] --set averaged=["tfidf"]'


@dataclass(frozen=True)
class World:
    """Inputs, all below one folder.

    Args:
        folder: Where they lie.
    """

    folder: Path

    @property
    def videos(self) -> Path:
        """A manifest of two short videos with faces, sound and words."""
        return self.folder / "videos" / "videos.csv"

    @property
    def planted(self) -> Path:
        """A data set without media, whose features are in ``features``."""
        return self.folder / "BAH_DB"

    @property
    def features(self) -> Path:
        return self.folder / "features"


def make_world(folder: Path) -> World:
    write_planted(folder, {"visual": "v"})
    (folder / "videos").mkdir()
    lines = ["path,participant,label,transcript"]
    for number, path in enumerate(sorted(demo_root().glob("Videos/90008/*/*.mp4"), key=lambda p: p.stat().st_size)[:2]):
        copy_beginning(path, folder / "videos" / f"{number}.mp4", stop_s=2.0)
        lines.append(f"{number}.mp4,p{number},{number},I want to but I will not")
    (folder / "videos" / "videos.csv").write_text("\n".join(lines) + "\n")
    test = (demo_root() / "split" / "test.txt").read_text().splitlines()
    rows = [f"{line.split(',')[0]},.{number + 1}" for number, line in enumerate(test[:4])]
    (folder / "theirs.csv").write_text("video_id,p\n" + "\n".join(rows) + "\n")
    script = {"sees_video": True, "seconds_per_job": 0.02}
    (folder / "script.json").write_text(json.dumps(script))
    world = World(folder)
    assert call(WRITERS["train-fusion"].arguments(world, folder / "trained"), folder / "cache") == 0
    return world


def copy_beginning(source: Path, target: Path, *, stop_s: float) -> None:
    """Copy the packets of the first seconds of a video."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as part:
        chosen = (*whole.streams.video, *whole.streams.audio)
        streams = {one.index: part.add_stream_from_template(one) for one in chosen}
        for packet in whole.demux(*chosen):
            if packet.dts is not None and packet.pts * packet.time_base < stop_s:
                packet.stream = streams[packet.stream.index]
                part.mux(packet)


def _rows(out: Path) -> Any:
    # Every field but how long it took.
    rows = [{**row.model_dump(mode="json"), "seconds": None} for row in read_run(out)]
    keys = [json.dumps([row[k] for k in ("system", "variant", "video_id", "level", "start_frame")]) for row in rows]
    assert len(set(keys)) == len(keys), "a row is there twice"
    return rows


def _digests(out: Path, *patterns: str) -> dict[str, str]:
    found = sorted({path for pattern in patterns for path in out.rglob(pattern)})
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _trained(out: Path) -> Any:
    record = json.loads((out / "train.json").read_text())
    return record["validation"], _digests(out, "model.safetensors", "standard.safetensors")


def _fitted(out: Path) -> Any:
    # The file of fitted models holds when it was written.
    found = {}
    for seed in sorted(out.glob("seed-*")):
        load_trained(seed)  # whole, and the one that the record is about
        found[seed.name] = {**json.loads((seed / "report.json").read_text()), "seconds": None}
    return _trained(out)[0], found


def _adapted(out: Path) -> Any:
    return _rows(out), json.loads((out / "adapt.json").read_text()), _digests(out / "targets", "model.safetensors")


def _featured(out: Path) -> Any:
    lines = [json.loads(line) for line in (out / "face-tiny" / "index.jsonl").read_text().splitlines() if line]
    last = {line["video_id"]: line for line in lines}
    return last, {path.name: np.load(path).tobytes() for path in (out / "face-tiny" / "arrays").glob("*.npy")}


def _cued(out: Path) -> Any:
    return _digests(out, "*.cues.jsonl", "*.cues.json", "not_detectable.json", "baselines/*.json")


def _heard(out: Path) -> Any:
    return {path.name: json.loads(path.read_text()) for path in out.parent.joinpath("heard").glob("*.words.json")}


def _rows_kept(out: Path) -> Collection[object]:
    return {row.key for row in read_journal(out / "predictions.jsonl") if not row.status.is_failure}


def _rows_kept_once(out: Path) -> Collection[object]:
    keys = [row.key for row in read_journal(out / "predictions.jsonl")]
    journal = out / "predictions.jsonl"
    n_lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
    assert n_lines == len(keys), "a row was asked for twice"
    return set(keys)


def _features_kept(out: Path) -> Collection[object]:
    index, whole = out / "face-tiny" / "index.jsonl", []
    for line in index.read_bytes().splitlines() if index.exists() else ():
        with suppress(ValueError):  # a line that a kill tore
            whole.append(json.loads(line)["video_id"])
    assert len(set(whole)) == len(whole), "a video was done twice"
    return set(whole)


def _signals_kept(out: Path) -> Collection[object]:
    return {path.name for path in out.rglob("*.npz")}


def _words_kept(out: Path) -> Collection[object]:
    return {path.name for path in out.parent.rglob("*.words.json")}


def _epochs_kept(out: Path) -> Collection[object]:
    logs = {log.parent.name: log.read_text().splitlines()[1:] for log in out.glob("seed-*/log.csv")}
    return {(seed, line.split(",")[0]) for seed, lines in logs.items() for line in lines}


def _seeds_kept(out: Path) -> Collection[object]:
    record = out / "train.json"
    return set(json.loads(record.read_text())["validation"]) if record.exists() else set()


def _targets_kept(out: Path) -> Collection[object]:
    return _rows_kept(out) | {path.parent.name for path in out.glob("targets/*/result.json")}


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Args:
        arguments: From the inputs and where to write.
        results: What it left, as plain values that do not depend on how often it was interrupted.
        kept: Names of the pieces of work that are done so far, which must never become fewer; also of a killed start.
    """

    arguments: Callable[[World, Path], Sequence[object]]
    results: Callable[[Path], Any]
    kept: Callable[[Path], Collection[object]] = lambda out: set(_digests(out, "*.json"))


def _transcribe(world: World, out: Path) -> list[object]:
    """Videos of its own beside ``out``, since words are written beside videos."""
    videos = out.parent / "heard"
    if not videos.exists():
        shutil.copytree(world.folder / "videos", videos)
    return ["transcribe", videos / "videos.csv", "--recogniser", "faster-whisper"]


WRITERS = {
    "run": Writer(
        lambda world, out: [
            *("run", "--data", world.videos, "--engine", "scripted", "--model", world.folder / "script.json"),
            *("--prompt", "transcript_def1", "--window", 12, "--batch", 1, "--out", out),
        ],
        _rows,
        _rows_kept_once,
    ),
    "cues": Writer(
        lambda world, out: ["cues", "extract", world.videos, "--face-hz", 2, "--out", out], _cued, _signals_kept
    ),
    "features": Writer(
        lambda world, out: [
            *("features", world.videos, "--visual", "tiny", "--random-weights", "--detect-every", 24, "--out", out),
        ],
        _featured,
        _features_kept,
    ),
    "train-fusion": Writer(
        lambda world, out: [
            *(*FUSED.split(), "--set", "loop.epochs=4"),
            *("--data", world.planted, "--features", world.features, "--out", out),
        ],
        _trained,
        _epochs_kept,
    ),
    "train-light": Writer(lambda world, out: [*LIGHT.split(), "--seeds", "0:3", "--out", out], _fitted, _seeds_kept),
    "adapt": Writer(
        lambda world, out: [
            *(*ADAPTED.split(), "--set", "loop.epochs=3"),
            *("--data", world.planted, "--features", world.features, "--out", out),
        ],
        _adapted,
        _targets_kept,
    ),
    "predict": Writer(
        lambda world, out: [
            *("predict", world.folder / "trained", "--seeds", 0, "--split", "train"),
            *("--data", world.planted, "--features", world.features, "--out", out),
        ],
        _rows,
        _rows_kept,
    ),
    "transcribe": Writer(_transcribe, _heard, _words_kept),
    "import": Writer(lambda world, out: ["import", world.folder / "theirs.csv", "--out", out], _rows),
    "evaluate": Writer(
        lambda world, out: [
            *("evaluate", world.folder / "theirs.csv", "--level", "video", "--draws", 0, "--json", out),
        ],
        lambda out: json.loads(out.read_text()),
    ),
    "models": Writer(
        lambda world, out: ["models", "get", "tiny-video-llava"],
        lambda out: _digests(out.parent / "cache" / "models", "*.safetensors", "*.json"),
    ),
    "experiment": Writer(
        lambda world, out: ["experiment", "table20", "--engine", "scripted", "--limit", 1, "--draws", 0, "--out", out],
        lambda out: _digests(out, "*.md"),
    ),
}


class Listener:
    """Hears a word that tells recordings apart, slowly."""

    source, model_name, languages = "listener 1", "listener", ("en",)

    def __init__(self, *_arguments: object, **_options: object) -> None:
        pass

    def load(self) -> None:
        pass

    def transcribe(self, audio: np.ndarray, language: str | None = None) -> object:
        from bah_mllm.core.records import Transcript, Word

        time.sleep(0.1)
        word = hashlib.sha256(audio.tobytes()).hexdigest()[:8]
        return Transcript(word, language="en", words=(Word(word, 0.1, 0.4),))


def call(arguments: Sequence[object], cache: Path) -> int:
    """Run a command line in this process, with a recogniser that needs no model."""
    from bah_mllm.cli.app import invoke
    from bah_mllm.transcripts import recognition

    before, load_named = os.environ.get("BAH_CACHE"), recognition.load_named
    os.environ["BAH_CACHE"] = str(cache)
    recognition.load_named = lambda *_arguments, **_kinds: Listener  # type: ignore[assignment]
    try:
        return invoke([str(one) for one in arguments])
    finally:
        recognition.load_named = load_named
        del os.environ["BAH_CACHE"]
        if before is not None:
            os.environ["BAH_CACHE"] = before


def call_silently(arguments: Sequence[object], cache: Path, log: Path) -> None:
    """Be such a process: its output goes to a file."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from bah_mllm.cli.interruption import catch_signals

    catch_signals()
    code = call(arguments, cache)
    sys.stdout.flush()
    os._exit(code)
