"""Predictions of other tools: read as they are meant, refused with the line and the value otherwise."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows, read_foreign
from bah_mllm.predictions import COLUMNS, rows_to_frame


def write(folder: Path, text: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_video_level_predictions_get_the_columns_of_the_schema(tmp_path):
    table = read_foreign(write(tmp_path, "video_id,p\nv 1,0.25\n\nv2,1\n"))
    assert list(table.columns) == list(COLUMNS)
    assert list(table.dtypes) == list(rows_to_frame([]).dtypes)
    assert table["video_id"].tolist() == ["v 1", "v2"]
    assert table["p_positive"].tolist() == [0.25, 1.0]
    assert set(table["level"]) == {"video"}
    assert set(table["system"]) == {"mine"}


def test_a_frame_is_a_span_of_one(tmp_path):
    table = read_foreign(write(tmp_path, "video_id,frame,p\nv1,0,0.25\nv1,1,0.5\n"))
    assert list(zip(table["start_frame"], table["stop_frame"], strict=True)) == [(0, 1), (1, 2)]
    assert set(table["level"]) == {"frame"}


def test_spans_and_systems_are_kept(tmp_path):
    text = "system,p,stop_frame,start_frame,video_id\na,0.25,8,0,v1\nb,0.5,16,8,v1\n"
    table = read_foreign(write(tmp_path, text))
    assert table["system"].tolist() == ["a", "b"]
    assert table["stop_frame"].tolist() == [8, 16]


def test_a_name_for_the_system_can_be_given(tmp_path):
    assert set(read_foreign(write(tmp_path, "video_id,p\nv1,0.5\n"), system="ours")["system"]) == {"ours"}


def test_parquet_is_read_like_csv(tmp_path):
    pd.DataFrame({"video_id": ["v1", "v1"], "frame": [3, 4], "p": [0.5, None]}).to_parquet(tmp_path / "mine.parquet")
    table = read_foreign(tmp_path / "mine.parquet")
    assert table["start_frame"].tolist() == [3, 4]
    assert table["status"].tolist() == ["ok", "engine_error"]


@pytest.mark.parametrize("nothing", ["", "nan", "NaN", "NA", "None"])
def test_a_missing_score_becomes_a_failed_row(tmp_path, nothing):
    table = read_foreign(write(tmp_path, f"video_id,p\nv1,0.9\nv2,{nothing}\n"))
    assert table["status"].tolist() == ["ok", "engine_error"]
    labels = Labels((VideoLabels("v1", "a", label=1), VideoLabels("v2", "b", label=0)))
    (result,) = evaluate_rows(table, labels, level="video", split=None, n_draws=0).rows
    assert (result.counts.n, result.counts.n_failed) == (1, 1)


def test_files_of_a_spreadsheet_program_with_a_byte_order_mark_are_read(tmp_path):
    assert len(read_foreign(write(tmp_path, "\ufeffvideo_id,p\r\nv1,0.5\r\n"))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video_id,p\nv1,0.5\nv2,1.5\n", "line 3: p = '1.5'"),
        ("video_id,p\nv1,-0.5\n", "line 2: p = '-0.5'"),
        ("video_id,p\nv1,inf\n", "line 2: p = 'inf'"),
        ("video_id,p\nv1,yes\n", "line 2: p = 'yes'"),
        ("video_id,p\n,0.5\n", "line 2: video_id = ''"),
        ("video_id,p,frame\nv1,0.5,1.5\n", "line 2: frame = '1.5'"),
        ("video_id,p,frame\nv1,0.5,2000000000\n", "line 2: frame = '2000000000'"),
        ("video_id,p,frame\nv1,0.5,-1\n", "line 2: frame = '-1'"),
        ("video_id,p,frame\nv1,0.5,\n", "line 2: frame = ''"),
        ("video_id,p,start_frame,stop_frame\nv1,0.5,8,8\n", r"line 2: the span \[8, 8\)"),
        ('video_id,p\n"two\nlines",0.5\nv2,2\n', "line 4: p = '2'"),
        ("video_id,p\nv1,0.5,7\n", "line 2 has 3 values"),
        ("video_id,p\n", "holds no predictions"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_value(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as raised:
        read_foreign(write(tmp_path, text))
    assert "mine.csv" in raised.value.problem


@pytest.mark.parametrize(
    "header",
    [
        "",
        "video,p",
        "video_id,score",
        "video_id,p,sytem",
        "video_id,p,start_frame",
        "video_id,p,p",
        "video_id,p,frame,start_frame,stop_frame",
    ],
)
def test_wrong_columns_are_listed_with_what_is_expected(tmp_path, header):
    with pytest.raises(DataError, match="has the columns") as raised:
        read_foreign(write(tmp_path, header + "\nv1,0.5\n"))
    assert (header.replace(",", ", ") or "none") in raised.value.problem
    assert "start_frame, stop_frame" in raised.value.remedy


@pytest.mark.parametrize("content", [b"video_id,p\n\xff\xfe,0.5\n", b'video_id,p\n"v1\x00,0.5\n'])
def test_a_file_that_is_not_text_is_refused(tmp_path, content):
    with pytest.raises(DataError):
        read_foreign(write(tmp_path, content))


def test_a_missing_file_and_broken_parquet_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_foreign(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_foreign(write(tmp_path, "no parquet", "x.parquet"))
