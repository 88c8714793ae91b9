"""Another engine is one class and one entry: every command then takes it, and asks it for what it says it can do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import bah_mllm
from bah_mllm.core.engine import Capabilities
from bah_mllm.core.records import Answer
from bah_mllm.engines import ENGINE_FOR_DATA, ENGINE_FOR_DEMO_SET, ENGINES, EngineEntry
from bah_mllm.engines.models import MODELS, is_stand_in
from bah_mllm.predictions import read_manifest, read_run

Call = Callable[..., tuple[int, str, str]]


class Brightness:
    """The brighter the frames, the more ambivalent; without frames, the longer the prompt."""

    name = "brightness"

    def __init__(self, options):
        sees = ENGINES[self.name].sees_video
        self.model = options.model or ENGINES[self.name].default_model
        self.capabilities = Capabilities(
            sees_video=sees, scores_labels=True, generates=False, n_frames=4 * sees, frame_size_px=16 * sees
        )
        self.counters = {"clips_seen": 0}

    def describe(self):
        return {"checkpoint": self.model, "revision": None}

    def control_markers(self):
        return ()

    def score(self, jobs):
        return [[Answer(logp=self._logp(job, prompt)) for prompt in job.prompts] for job in jobs]

    def generate(self, jobs, *, max_new_tokens):
        raise NotImplementedError

    def _logp(self, job, prompt):
        self.counters["clips_seen"] += job.clip is not None
        asked.append(prompt.text)
        light = len(prompt.text) % 10 / 10 if job.clip is None else job.clip.frames.mean() / 255
        return {label: -1.0 - abs(value - light) for label, value in prompt.labels.items()}


asked: list[str] = []


@pytest.fixture(params=[True, False], ids=["seeing", "blind"])
def sees(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Add the engine, once with and once without eyes."""
    entry = EngineEntry(
        path=f"{__name__}:Brightness",
        sees_video=request.param,
        generates=False,
        frame_size_px=16,
        default_model="bulb",
        extra="light",
        packages=("light_meter",),
    )
    monkeypatch.setitem(ENGINES, "brightness", entry)
    asked.clear()
    return request.param


def test_it_runs_and_gets_what_it_says_it_takes(sees: bool, bah: Call, pristine_root: Path, tmp_path: Path) -> None:
    arguments = ["run", "--data", pristine_root, "--engine", "brightness", "--window", 24, "--out", tmp_path / "run"]
    code, stdout, stderr = bah(*arguments, "--dry-run")
    assert code == 0, stderr
    assert "engine     brightness, model bulb, score" in stdout
    assert "estimate    none" in stdout
    n_rows = int(stdout.split("rows       ")[1].split()[0])
    code, _, stderr = bah(*arguments)
    assert code == 0, stderr
    rows = read_run(tmp_path / "run")
    assert len(rows) == n_rows
    assert {row.system for row in rows} == {"transcript_def1@brightness:bulb"}
    counters = read_manifest(tmp_path / "run").counters
    assert (counters.get("clips_seen", 0), counters.get("frames_decoded", 0)) == ((n_rows, 363) if sees else (0, 0))


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_it_cannot_do_is_refused_from_its_entry(
    sees: bool, bah: Call, pristine_root: Path, tmp_path: Path, dry: tuple[str, ...]
) -> None:
    arguments = ["run", "--data", pristine_root, "--engine", "brightness", "--out", tmp_path / "run", *dry]
    code, _, stderr = bah(*arguments, "--answer", "generate")
    assert code == 2
    assert "cannot generate replies" in stderr
    code, _, stderr = bah(*arguments, "--prompt", "simple")
    assert code == (0 if sees else 2), stderr
    assert sees or "shows nothing but the video, and the engine brightness sees none" in stderr
    assert sees or "--engine video-llava or --engine scripted with a model that sees" in stderr


@pytest.mark.parametrize("control", ["no-video", "black-video"])
def test_controls_of_the_video_make_sense_where_it_sees_one(
    sees: bool, bah: Call, pristine_root: Path, tmp_path: Path, control: str
) -> None:
    out = tmp_path / "run"
    code, _, stderr = bah("run", "--data", pristine_root, "--engine", "brightness", "--control", control, "--out", out)
    assert code == (0 if sees else 2), stderr
    if not sees:
        assert f"brightness sees no video, so --control {control} would change nothing" in stderr
        return
    rows = read_run(out)
    assert {row.system for row in rows} == {f"transcript_def1~{control}@brightness:bulb"}
    assert (read_manifest(out).counters.get("clips_seen", 0) == 0) is (control == "no-video")
    if control == "black-video":
        assert [row.p_positive for row in rows] == pytest.approx([1 / (1 + math.e)] * len(rows)), "no light at all"


def test_the_doctor_tells_what_it_wants(sees: bool, bah: Call) -> None:
    checks = {check["name"]: check for check in json.loads(bah("doctor", "--json", "-")[1])}
    check = checks["run --engine brightness (bulb)"]
    assert check["state"] == "absent"
    able = "sees video, scores labels" if sees else "scores labels"
    assert check["detail"] == f"would not run well: wants light_meter; {able}"
    assert check["remedy"] == "pip install 'bah-mllm[light]' -c constraints.txt"
    assert {name.split()[2] for name in checks if name.startswith("run --engine")} == set(ENGINES)


def test_a_table_of_the_paper_takes_it_with_cues_where_it_is_blind(sees: bool, bah: Call, tmp_path: Path) -> None:
    out = tmp_path / "t19"
    code, _, stderr = bah("experiment", "table19", "--engine", "brightness", "--limit", 2, "--out", out, "--draws", 0)
    assert code == 0, stderr
    assert len({row.system for row in read_run(out)}) == 5
    table = json.loads((out / "table19.json").read_text())["table"]
    assert {row["system"].split("@")[1] for row in table if "@" in row["system"]} == {"brightness:bulb"}
    told = [text for text in asked if text.startswith("Observed in the video")]
    assert len(told) == (0 if sees else len(asked))
    assert "stand-in" not in " ".join(read_manifest(out).notes)


def test_nobody_above_the_engines_asks_for_a_name() -> None:
    """But the benchmark of one of them."""
    package = Path(bah_mllm.__file__).parent
    asking = [
        path.relative_to(package).as_posix()
        for path in (*package.rglob("*.py"), *(package.parent / "supervised").rglob("*.py"))
        if any(f'"{name}"' in path.read_text(encoding="utf-8") for name in ("video-llava", "scripted", *MODELS))
        and package / "engines" not in path.parents
    ]
    assert asking == ["bench/engine.py"]


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_entry_is_whole(name: str) -> None:
    entry = ENGINES[name]
    assert entry.sees_video is not None or entry.is_free, "a plan has to know"
    assert entry.trial_model is None or MODELS[entry.trial_model].engine == name
    assert entry.default_model not in MODELS or MODELS[entry.default_model].engine == name
    assert bool(entry.packages) == bool(entry.extra)


def test_what_is_a_stand_in_is_told_by_the_registries() -> None:
    """No name of a folder or hub id makes one, and the embedded models are all for trying things out."""
    assert {ENGINE_FOR_DATA, ENGINE_FOR_DEMO_SET} <= set(ENGINES)
    assert [is_stand_in(name, None) for name in ("video-llava", "text", "scripted")] == [False, True, True]
    assert is_stand_in("scripted", "mine.json")
    assert is_stand_in("video-llava", "tiny-video-llava")
    assert not is_stand_in("video-llava", "weights/tiny-video-llava-random")
