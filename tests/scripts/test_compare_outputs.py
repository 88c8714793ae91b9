"""The comparison of two records of outputs: what it passes over, and what it must not."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "compare_outputs.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_outputs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(video: str, p: float, seconds: float) -> str:
    return json.dumps({"system": "s", "video_id": video, "start_frame": 0, "p_positive": p, "seconds": seconds}) + "\n"


def write(record: Path, name: str, **files: str) -> Path:
    """Write one command of a record made in its own folder."""
    folder = record / "commands" / name
    for path, text in {"exit_code": "0\n", "stdout": "", "stderr": "", **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text.replace("WORK", str(record / "work")))
    (record / "places.json").write_text(json.dumps({"work": str(record / "work"), "checkout": str(record / "code")}))
    return record


def test_order_of_rows_times_dates_and_folders_do_not_count(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(
        tmp_path / "a",
        "run",
        stdout="WORK/runs/a\n",
        stderr="loading\rfeatures of 3 of 24 videos, 29 frames/s\nrows: 2 ok\ntime: loading 5.2 s, engine 0.7 s\n",
        **{
            "files/predictions.jsonl": row("v1", 0.1, 3.0) + row("v2", 0.2, 4.0),
            "files/run.json": '{"created": "2026-01-01T10:00:00+00:00", "n": 2}',
        },
    )
    new = write(
        tmp_path / "a_longer_name",
        "run",
        stdout="WORK/runs/a\n",
        stderr="loading\nrows: 2 ok\ntime: loading 0.2 s, engine 10.7 s\n",
        **{
            "files/predictions.jsonl": row("v2", 0.2, 8.0) + row("v1", 0.1, 9.0),
            "files/run.json": '{"created": "2027-01-01T10:00:00+00:00", "n": 2}',
        },
    )
    assert script.main(["compare", str(old), str(new)]) == 0
    assert capsys.readouterr().out == "run: equal\n1 of 1 commands equal, 0 different\n"


def test_the_last_bit_of_a_probability_counts(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "a", "run", **{"files/predictions.jsonl": row("v1", 0.3, 1.0)})
    new = write(tmp_path / "b", "run", **{"files/predictions.jsonl": row("v1", 0.1 + 0.2, 1.0)})
    assert script.main(["compare", str(old), str(new)]) == 1
    out = capsys.readouterr().out
    assert "files/predictions.jsonl [s v1 0] [p_positive]: 0.3 -> 0.30000000000000004" in out
    assert out.endswith("0 of 1 commands equal, 1 different\n")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("stdout", "onset 0.4 s\n", "onset 0.5 s\n"),
        ("stdout", '{"ap": null}', '{"ap": 1.0}'),
        ("stdout", '{"n": 1}', '{"n": 1.0}'),
        ("stdout", "a\nb\n", "a\n"),
        ("stderr", "error: no such split\n", "error: no such window\n"),
        ("exit_code", "2\n", "1\n"),
        ("digests", "aa model.safetensors\n", "ab model.safetensors\n"),
    ],
)
def test_any_other_difference_is_found(script: ModuleType, tmp_path: Path, name: str, before: str, after: str) -> None:
    old, new = write(tmp_path / "a", "run", **{name: before}), write(tmp_path / "b", "run", **{name: after})
    assert script.main(["compare", str(old), str(old)]) == 0
    assert script.main(["compare", str(old), str(new)]) == 1


def test_a_command_or_file_that_one_record_lacks_is_a_difference(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(write(tmp_path / "a", "run", **{"files/table.md": "| a |\n"}), "train")
    new = write(tmp_path / "b", "run")
    assert script.main(["compare", str(old), str(new)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "run: differs",
        "    files/table.md: not in the new record",
        "train: differs",
        "    not in the new record",
        "0 of 2 commands equal, 2 different",
    ]


def test_the_list_names_every_command_once_and_takes_its_inputs(script: ModuleType) -> None:
    inputs = {"public": "/p q", "words": "/w.csv", "features": "/f"}
    listed = list(script.commands(inputs))
    names = [name for name, _ in listed]
    assert len(names) == len(set(names)) > 100
    assert ["data", "check", "/p q"] in [words for _, words in listed]
    assert not any("{" in word.replace("{visual=", "") for _, words in listed for word in words)
