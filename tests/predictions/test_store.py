"""The run folder: what is written survives, nothing is there twice, and strangers are kept out."""

from __future__ import annotations

import json
import multiprocessing
import re
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from bah_mllm.core.errors import RunError
from bah_mllm.core.records import Level, Status
from bah_mllm.predictions import COLUMNS, DataSeen, PredictionRow, RunStore, read_journal, read_manifest, read_run

IDENTITY = {"engine": "scripted", "prompts": {"simple": "abc"}}


def row(
    start: int | None = 0, *, p: float | None = 0.25, status: Status = Status.OK, video: str = "v1"
) -> PredictionRow:
    return PredictionRow(
        system="simple@scripted:x",
        video_id=video,
        participant_id="p",
        level=Level.FRAME,
        start_frame=start,
        stop_frame=None if start is None else start + 8,
        window_frames=8,
        hop_frames=8,
        p_positive=p if status is Status.OK else None,
        status=status,
        logp={"Ambivalent": -1.5} if status is Status.OK else None,
    )


def store(folder: Path, **changes: object) -> RunStore:
    return RunStore(folder, config={"engine": "scripted"}, identity={**IDENTITY, **changes})


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0), row(8, p=0.75)])
        run.complete()
    assert [(r.start_frame, r.p_positive) for r in read_run(tmp_path / "run")] == [(0, 0.25), (8, 0.75)]
    frame = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert list(frame.columns) == list(COLUMNS)
    assert json.loads(frame["logp"][1]) == {"Ambivalent": -1.5}
    manifest = read_manifest(tmp_path / "run")
    assert (manifest.state, manifest.n_rows, manifest.n_starts) == ("complete", {"ok": 2}, 1)


def test_a_torn_last_line_is_cut_off_and_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with store(folder) as run:
        run.append([row(0), row(8)])
    journal = folder / "predictions.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert [r.start_frame for r in read_journal(journal)] == [0]
    with store(folder) as run:
        assert run.done == {row(0).key}
        run.append([row(8)])
    assert [r.start_frame for r in read_run(folder)] == [0, 8]
    assert journal.read_bytes().count(b"\n") == 2
    assert read_manifest(folder).n_starts == 2


def test_a_journal_of_one_torn_line_only_becomes_empty(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with store(folder):
        pass
    (folder / "predictions.jsonl").write_bytes(b'{"system": "x"')
    with store(folder) as run:
        assert run.done == set()
    assert (folder / "predictions.jsonl").read_bytes() == b""


def test_a_row_written_twice_counts_once_and_the_later_one_holds(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0, p=0.1)])
        run.append([row(0, p=0.9)])
    assert [r.p_positive for r in read_run(tmp_path / "run")] == [0.9]


def test_failed_rows_are_made_again_and_unparsed_ones_are_not(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0, status=Status.ENGINE_ERROR), row(8, status=Status.UNPARSED), row(16)])
        assert {key[4] for key in run.done} == {8, 16}


def test_a_failure_without_span_gives_way_to_windows(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(None, status=Status.NO_MEDIA), row(None, status=Status.NO_MEDIA, video="v2")])
        run.append([row(0)])
    assert [(r.video_id, r.status.value) for r in read_run(tmp_path / "run")] == [("v1", "ok"), ("v2", "no_media")]


def test_other_settings_cannot_resume_a_run_and_the_difference_is_named(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0)])
    with (
        pytest.raises(RunError, match="engine = 'scripted', but now engine = 'text'"),
        store(tmp_path / "run", engine="text"),
    ):
        pass
    assert len(read_run(tmp_path / "run")) == 1


def test_a_damaged_line_in_the_middle_is_named_by_its_number(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0), row(8), row(16)])
    journal = tmp_path / "run" / "predictions.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"garbage\n" + lines[2])
    with pytest.raises(RunError, match="line 2"):
        read_run(tmp_path / "run")


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("draft")
    with pytest.raises(RunError, match=r"thesis\.txt"), store(tmp_path):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "draft"
    assert not (tmp_path / "run.json").exists()


def _hold(folder: Path, entered: multiprocessing.synchronize.Event, leave: multiprocessing.synchronize.Event) -> None:
    with store(folder):
        entered.set()
        leave.wait(30)


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    entered, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "run", entered, leave))
    other.start()
    assert entered.wait(30)
    with pytest.raises(RunError, match="Another process"), store(tmp_path / "run"):
        pass
    leave.set()
    other.join(30)
    with store(tmp_path / "run"):
        pass


def test_a_folder_that_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"run_id": 3}')
    with pytest.raises(RunError, match=r"run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p_positive": None}, "disagree"),
        ({"status": "engine_error"}, "disagree"),
        ({"p_positive": float("nan")}, "p_positive"),
        ({"p_positive": 1.5}, "less than or equal"),
        ({"stop_frame": None}, "together"),
        ({"stop_frame": 0}, "greater than or equal"),
        ({"start_frame": 8}, "holds no frame"),
        ({"label": 2}, "less than or equal"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PredictionRow.model_validate({**row(0).model_dump(), **changes})


def test_a_manifest_without_data_is_read_and_one_with_data_keeps_its_keys(tmp_path: Path) -> None:
    with RunStore(tmp_path, config={}, identity={}) as store:
        store.manifest.data = DataSeen(name="BAH", edition="v1", fingerprint="0" * 64)
    kept = json.loads((tmp_path / "run.json").read_text())
    assert kept["data"] == {"name": "BAH", "edition": "v1", "fingerprint": "0" * 64, "follows_links": False}
    (tmp_path / "run.json").write_text(json.dumps(kept | {"data": {}}))
    assert read_manifest(tmp_path).data == DataSeen(name=None, edition=None, fingerprint=None)


def appended(folder: Path, **changes: object) -> None:
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    odd = json.dumps(json.loads(lines[-1]) | changes)
    (folder / "predictions.jsonl").write_text("\n".join([*lines, odd, ""]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"system": "another@scripted:m"}, "line 3: the system 'another@scripted:m' is none of this run"),
        ({"video_id": "stranger.mp4"}, "line 3: the data set has no video 'stranger.mp4'"),
        ({"p_positive": 1.25}, "line 3: p_positive: Input should be less than or equal to 1"),
        ({"p_positive": -0.25}, "line 3: p_positive: Input should be greater than or equal to 0"),
        ({"p_positive": float("nan")}, "line 3: p_positive"),
        ({"p_positive": float("inf")}, "line 3: p_positive"),
        ({"stop_frame": 10**400}, "line 3: stop_frame"),
    ],
)
def test_a_row_that_is_not_the_run_s_is_refused_with_its_line(tmp_path: Path, changes, told: str) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0), row(8)])
    appended(tmp_path / "run", **changes)
    with pytest.raises(RunError, match=re.escape(told)) as caught:
        read_run(tmp_path / "run", videos={row(0).video_id})
    assert caught.value.remedy.startswith("Delete that line")
    again = RunStore(tmp_path / "run", config={"engine": "scripted"}, identity=IDENTITY, videos={row(0).video_id})
    with pytest.raises(RunError, match=re.escape(told)), again:
        pass


def test_systems_are_told_before_their_rows_and_stay_unknown_in_older_runs(tmp_path: Path) -> None:
    with store(tmp_path / "run") as run:
        run.append([row(0)])
        assert read_manifest(tmp_path / "run").systems == [row(0).system]  # as a kill here would leave it
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    del manifest["systems"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(manifest))
    appended(tmp_path / "run", system="older")
    with store(tmp_path / "run") as run:
        run.append([row(8)])
    assert {one.system for one in read_run(tmp_path / "run")} == {"older", row(0).system}


def test_a_manifest_that_is_not_utf_8_or_holds_huge_numbers_is_refused(tmp_path: Path) -> None:
    with store(tmp_path / "run"):
        pass
    sound = (tmp_path / "run" / "run.json").read_bytes()
    for damaged in (
        b"\xff\xfe" + sound,
        sound[: len(sound) // 2],
        sound.replace(b": 1,", b": " + b"9" * 400 + b",", 1),
    ):
        (tmp_path / "run" / "run.json").write_bytes(damaged)
        with pytest.raises(RunError, match=r"run\.json"):
            read_run(tmp_path / "run")
