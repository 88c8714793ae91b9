"""Folders and people as they are found: other containers, strange names, ids in several spellings."""

from __future__ import annotations

import json
import os

import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.dataset import check_dataset, open_dataset


@pytest.mark.parametrize(
    "suffix", ["ts", "mts", "m2ts", "wmv", "flv", "3gp", "ogv", "asf", "vob", "MTS", "mp4", "mkv", "webm", "avi", "mov"]
)
def test_every_usual_container_is_a_video(write, suffix):
    (video,) = open_dataset(write({f"anna/clip.{suffix}": b"1"})).videos()
    assert video.video_id == f"anna/clip.{suffix}"


def test_files_that_look_like_media_are_counted_by_suffix(write, bah):
    root = write(
        {f"set/{name}": b"1" for name in ("a.mp4", "b.rmvb", "c.RMVB", "d.wav", "notes.txt", "e.jpg", ".f.wav")}
    )
    assert check_dataset(open_dataset(root / "set")).left_out == {".rmvb": 2, ".wav": 1}
    code, stdout, _ = bah("data", "check", root / "set")
    assert code == 0
    assert "left out: 2 .rmvb, 1 .wav" in stdout
    write({"other/a.rmvb": b"1"})
    with pytest.raises(DataError, match=r"1 \.rmvb"):
        open_dataset(root / "other")


def test_a_file_whose_name_cannot_be_used_is_its_own_problem(write):
    root = write({"a\nb.mp4": b"1", "c.mp4": b"2"})
    (root / os.fsdecode(b"d\xff.mp4")).write_bytes(b"3")
    dataset = open_dataset(root)
    assert [video.video_id for video in dataset.videos()] == ["c.mp4"]
    assert {problem.where for problem in dataset.problems} == {r"a\nb.mp4", r"d\udcff.mp4"}
    json.dumps(check_dataset(dataset).as_dict()).encode()


@pytest.mark.parametrize(("listed", "there"), [("V1.MP4", "v1.mp4"), ("Anna/a.mp4", "anna/A.mp4")])
def test_a_missing_file_that_is_there_in_another_spelling_is_named(write, listed, there):
    root = write({"manifest.csv": f"path\n{listed}\nother.mp4\n", there: b"1", "other.mp4": b""})
    (problem,) = check_dataset(open_dataset(root)).problems
    assert problem.what == f"its video file is missing, but {there!r} is there"


def test_people_in_two_splits_and_people_written_in_two_ways_are_problems(write):
    root = write(
        {
            "manifest.csv": "path,participant,label,split\na.mp4,p1,1,train\nb.mp4,p1,0,test\n"
            "c.mp4,7,1,test\nd.mp4,007,1,train\ne.mp4,P2,1,test\nf.mp4,p2,1,test\ng.mp4,70,1,test\nh.mp4,3.0,1,test\n"
            "i.mp4,3,0,test\n"
        }
    )
    dataset = open_dataset(root)
    assert [problem.where for problem in dataset.problems] == [
        "participant p1",
        "participants 7 and 007",
        "participants P2 and p2",
        "participants 3.0 and 3",
    ]


def test_people_whose_ids_differ_in_more_are_different_people(write):
    root = write(
        {"manifest.csv": "path,participant\na.mp4,7\nb.mp4,70\nc.mp4,p07\nd.mp4,q7\ne.mp4,0\nf.mp4,1.5\ng.mp4,15\n"}
    )
    assert open_dataset(root).problems == ()
