"""Predictions of other tools, judged through the command line: right whatever the spelling, refused where ambiguous."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from bah_mllm.predictions import read_run
from tests.conftest import VIDEOS, video_id

Call = Callable[..., tuple[int, str, str]]

IDS = [video_id(participant, question) for participant, question, *_ in VIDEOS]
N_FRAMES = [n_frames for _, _, n_frames, *_ in VIDEOS]
SCORES = [0.236, 0.8279, 0.2435, 0.4, 0.0675, 0.9]


def judged(bah: Call, file: Path, root: Path, level: str, *more: object) -> list[dict[str, object]]:
    arguments = ["evaluate", file, "--data", root, "--split", "test", "--level", level, "--draws", 0, "--json", "-"]
    code, stdout, stderr = bah(*arguments, *more)
    assert code == 0, stderr
    rows = json.loads(stdout)["rows"]
    assert rows
    return [{key: value for key, value in row.items() if key != "system"} for row in rows]


def refused(bah: Call, file: Path, root: Path, level: str = "frame", *more: object) -> str:
    code, _, stderr = bah("evaluate", file, "--data", root, "--split", "test", "--level", level, "--draws", 0, *more)
    assert code == 2
    assert stderr.splitlines()[-1].startswith("  try: ")
    return stderr


@pytest.fixture
def plain(tmp_path: Path) -> pd.DataFrame:
    return pd.DataFrame({"video_id": IDS, "p": SCORES})


def test_a_file_gives_the_same_results_in_every_spelling(
    bah: Call, tmp_path: Path, pristine_root: Path, plain: pd.DataFrame
) -> None:
    plain.to_csv("plain.csv", index=False)
    plain.to_csv("semicolon.csv", index=False, sep=";", decimal=",")
    plain.assign(label=0, participant="x").to_csv("index.csv")
    plain.to_csv("tabs.tsv", index=False, sep="\t", encoding="utf-16")
    plain.to_json("lines.jsonl", orient="records", lines=True)
    plain.to_parquet("rows.parquet")
    Path("packed.csv.gz").write_bytes(gzip.compress(Path("plain.csv").read_bytes()))
    plain.assign(video_id="/mnt/other/BAH_DB/" + plain["video_id"]).to_csv("absolute.csv", index=False)
    plain.assign(video_id="C:\\x\\" + plain["video_id"].str.replace("/", "\\")).to_csv("windows.csv", index=False)
    expected = judged(bah, tmp_path / "plain.csv", pristine_root, "video")
    assert expected[0]["f1"] == pytest.approx(0.8)  # found: 2 of the 3 with A/H, and no other
    for name in ("semicolon.csv", "index.csv", "tabs.tsv", "lines.jsonl", "rows.parquet", "packed.csv.gz"):
        assert judged(bah, tmp_path / name, pristine_root, "video") == expected
    for name in ("absolute.csv", "windows.csv"):
        assert judged(bah, tmp_path / name, pristine_root, "video") == expected


def test_what_is_left_out_is_said_and_what_is_misspelt_refused(
    bah: Call, tmp_path: Path, pristine_root: Path, plain: pd.DataFrame
) -> None:
    plain.assign(label=0, fold=1).to_csv("mine.csv")
    stderr = bah("evaluate", "mine.csv", "--data", pristine_root, "--level", "video", "--draws", 0)[2]
    assert "left out: label, fold" in stderr
    plain.assign(sytem="a").to_csv("typo.csv")
    assert "'system'" in refused(bah, tmp_path / "typo.csv", pristine_root, "video")


def test_two_values_of_one_video_are_refused_and_repeats_count_once(
    bah: Call, tmp_path: Path, pristine_root: Path, plain: pd.DataFrame
) -> None:
    plain.to_csv("plain.csv", index=False)
    pd.concat([plain, plain]).to_csv("stacked.csv", index=False)
    # the same video by another of its names
    conflict = pd.DataFrame({"video_id": [Path(IDS[0]).name], "p": [0.9]})
    pd.concat([plain, conflict]).to_csv("conflict.csv", index=False)
    expected = judged(bah, tmp_path / "plain.csv", pristine_root, "video")
    assert judged(bah, tmp_path / "stacked.csv", pristine_root, "video") == expected
    stderr = bah("evaluate", "stacked.csv", "--data", pristine_root, "--level", "video", "--draws", 0)[2]
    assert "6 rows repeat another with the same value, such as line 8 that of 2" in stderr
    assert "lines 2 and 8: two values" in refused(bah, tmp_path / "conflict.csv", pristine_root, "video")


def test_two_systems_may_differ_about_a_video(
    bah: Call, tmp_path: Path, pristine_root: Path, plain: pd.DataFrame
) -> None:
    pd.concat([plain.assign(system="a"), plain.assign(system="b", p=0.9)]).to_csv("two.csv", index=False)
    assert len(judged(bah, tmp_path / "two.csv", pristine_root, "video")) == 2


def frames(first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = [(name, k + first) for name, n in zip(IDS, N_FRAMES, strict=True) for k in range(n)]
    table = pd.DataFrame(rows, columns=["video_id", "frame"])
    return table.assign(p=rng.random(len(table)).round(3))


def test_frames_named_as_bah_names_them_are_frames(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    table = frames()
    table.to_csv("frames.csv", index=False)
    names = table["video_id"] + "/frame-" + table["frame"].astype(str) + ".jpg"
    table[["p"]].assign(video_id=names).to_csv("named.csv", index=False)
    expected = judged(bah, tmp_path / "frames.csv", pristine_root, "frame")
    assert expected[0]["n"] == sum(N_FRAMES)
    assert judged(bah, tmp_path / "named.csv", pristine_root, "frame") == expected


def test_frames_counted_from_1_are_noticed_and_shifted(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    frames().to_csv("zero.csv", index=False)
    frames(first=1).to_csv("one.csv", index=False)
    stderr = refused(bah, tmp_path / "one.csv", pristine_root)
    assert "--frames-from 1" in stderr
    expected = judged(bah, tmp_path / "zero.csv", pristine_root, "frame")
    assert judged(bah, tmp_path / "one.csv", pristine_root, "frame", "--frames-from", 1) == expected
    taken = judged(bah, tmp_path / "one.csv", pristine_root, "frame", "--frames-from", 0)
    assert taken[0]["n_missing"] == len(IDS)
    assert "line 2: frame 0, but" in refused(bah, tmp_path / "zero.csv", pristine_root, "frame", "--frames-from", 1)


def test_a_missing_first_frame_alone_is_no_mark(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    table = frames()
    table[table["frame"] > 0].to_csv("later.csv", index=False)
    assert judged(bah, tmp_path / "later.csv", pristine_root, "frame")[0]["n_missing"] == len(IDS)


def test_import_shifts_frames_too_and_records_it(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    frames(first=1).to_csv("one.csv", index=False)
    arguments = ["import", "one.csv", "--data", pristine_root, "--split", "test", "--out", tmp_path / "run"]
    code, _, stderr = bah(*arguments)
    assert (code, "--frames-from 1" in stderr) == (2, True)
    code, _, stderr = bah(*arguments, "--frames-from", 1)
    assert code == 0, stderr
    rows = read_run(tmp_path / "run")
    assert min(row.start_frame for row in rows) == 0
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert any("counted from 1" in note for note in manifest["notes"])


def uneven_video(path: Path) -> None:
    """Ten frames a second for 2 s, then 40: frame k is shown at k / 10, or at 2 + (k - 20) / 40."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=40, options={"preset": "ultrafast", "bf": "0"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for k in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 4 * k, np.uint8), format="rgb24")
            frame.pts = 4 * k if k < 20 else 80 + (k - 20)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def test_spans_in_seconds_are_frames_by_the_times_of_the_file(bah: Call, tmp_path: Path) -> None:
    uneven_video(tmp_path / "a.mp4")
    (tmp_path / "manifest.csv").write_text('path,participant,label,segments\na.mp4,p,1,"[[2.0, 2.5]]"\n')
    spans = [(0, 1, 0.1), (1, 2, 0.2), (2, 2.5, 0.9), (2.5, 3, 0.3)]
    pd.DataFrame([("a.mp4", *span) for span in spans], columns=["video_id", "start_s", "stop_s", "p"]).to_csv(
        "spans.csv", index=False
    )
    code, _, stderr = bah("import", "spans.csv", "--data", tmp_path, "--out", tmp_path / "run")
    assert code == 0, stderr
    found = [(row.start_frame, row.stop_frame) for row in read_run(tmp_path / "run")]
    assert found == [(0, 10), (10, 20), (20, 40), (40, 60)]
    (row,) = json.loads(bah("evaluate", "spans.csv", "--data", tmp_path, "--draws", 0, "--json", "-")[1])["rows"]
    assert (row["f1"], row["n"]) == (1.0, 60)


def test_several_spans_within_one_frame_have_their_mean(bah: Call, tmp_path: Path, pristine_root: Path) -> None:
    # a tool for sound that scores every 10 ms, over frames of 1/24 s
    rows = [(IDS[0], k / 100, (k + 1) / 100, 0.2 if k % 2 else 0.4) for k in range(4)]
    pd.DataFrame(rows, columns=["video_id", "start_s", "stop_s", "p"]).to_csv("sound.csv", index=False)
    code, _, stderr = bah("import", "sound.csv", "--data", pristine_root, "--out", tmp_path / "run")
    assert code == 0, stderr
    (row,) = read_run(tmp_path / "run")
    assert (row.start_frame, row.stop_frame) == (0, 1)
    assert row.p_positive == pytest.approx(0.3)
    (tmp_path / "twice.csv").write_text(f"video_id,start_s,stop_s,p\n{IDS[0]},0,0.01,0.2\n{IDS[0]},0.0,0.010,0.4\n")
    assert "lines 2 and 3: two values for seconds 0 to 0.01" in refused(bah, tmp_path / "twice.csv", pristine_root)


def test_seconds_without_the_video_are_refused(bah: Call, tmp_path: Path, data_root: Path) -> None:
    (data_root / IDS[0]).unlink()
    (tmp_path / "spans.csv").write_text(f"video_id,start_s,stop_s,p\n{IDS[0]},0,1,0.5\n")
    assert "its file is missing" in refused(bah, tmp_path / "spans.csv", data_root)


def test_unknown_videos_are_shown_beside_one_that_is_known(
    bah: Call, tmp_path: Path, pristine_root: Path, plain: pd.DataFrame
) -> None:
    pd.concat([plain, pd.DataFrame({"video_id": ["clip\x1b[31m.mp4"], "p": [0.5]})]).to_csv("mine.csv", index=False)
    stderr = bah("evaluate", "mine.csv", "--data", pristine_root, "--level", "video", "--draws", 0)[2]
    assert "1 rows are about videos" in stderr
    assert "\x1b" not in stderr
    assert "the data set has 'Videos/90" in stderr
    (tmp_path / "none.csv").write_text("video_id,p\nclip.mp4,0.5\n")
    stderr = refused(bah, tmp_path / "none.csv", pristine_root, "video")
    assert "'clip.mp4'" in stderr
    assert "the data set has 'Videos/90" in stderr


def test_a_name_of_two_videos_is_refused(bah: Call, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,participant,label\nanna/1.mp4,a,1\nbea/1.mp4,b,0\n")
    (tmp_path / "mine.csv").write_text("video_id,p\n1.mp4,0.5\n")
    code, _, stderr = bah("evaluate", "mine.csv", "--data", tmp_path, "--level", "video", "--draws", 0)
    assert (code, "any of 2 videos" in stderr) == (2, True)


def test_label_0_without_segments_means_no_frame_and_label_1_is_unknown(
    bah: Call, tmp_path: Path, write_grey_video: Callable[..., None]
) -> None:
    for name in "abc":
        write_grey_video(tmp_path / f"{name}.mp4", 24)
    (tmp_path / "manifest.csv").write_text(
        'path,participant,label,segments\na.mp4,a,1,"[[0, 0.5]]"\nb.mp4,b,0,\nc.mp4,c,1,\n'
    )
    rows = [(f"{name}.mp4", k, 0.9 if k < 12 else 0.1) for name in "abc" for k in range(24)]
    pd.DataFrame(rows, columns=["video_id", "frame", "p"]).to_csv("mine.csv", index=False)
    code, stdout, _ = bah("evaluate", "mine.csv", "--data", tmp_path, "--draws", 0, "--json", "-")
    assert code == 0
    result = json.loads(stdout)
    (row,) = result["rows"]
    assert row["n"] == 48
    assert row["prevalence"] == pytest.approx(12 / 48)
    assert row["f1"] == pytest.approx(2 * 12 / (24 + 12))
    assert any("1 videos with label 1 have no segments" in note for note in result["data_notes"])
