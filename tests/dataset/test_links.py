"""Links and paths that lead outside a data set: refused, and taken where the user says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.dataset import following_links, open_dataset


@pytest.fixture
def linked(write):
    """A manifest whose videos lie elsewhere: by a link, an absolute path, and a way upwards."""
    root = write({"store/x/a.mp4": b"1", "store/b.mp4": b"22", "clips/c.mp4": b"333"})
    (root / "set").mkdir()
    (root / "set/a.mp4").symlink_to(root / "store/x/a.mp4")
    return root


def manifest(root, *paths):
    (root / "set/manifest.csv").write_text("path,label\n" + "".join(f"{path},1\n" for path in paths))
    return root / "set"


@pytest.mark.parametrize("path", ["a.mp4", "{root}/store/b.mp4", "../clips/c.mp4"])
def test_what_leads_outside_is_refused_and_the_way_out_named(linked, path):
    root = manifest(linked, path.format(root=linked))
    with pytest.raises(DataError, match="outside the data set") as caught:
        open_dataset(root)
    assert "--follow-links" in caught.value.remedy


def test_links_are_followed_where_the_user_says_so(linked):
    root = manifest(linked, "a.mp4", f"{linked}/store/b.mp4", "../clips/c.mp4")
    dataset = open_dataset(root, follow_links=True)
    assert dataset.follows_links
    assert [len(video.path.read_bytes()) for video in dataset.videos()] == [1, 2, 3]
    for video in dataset.videos():
        assert not video.video_id.startswith("/")
        assert ".." not in video.video_id
    assert [video.video_id for video in dataset.videos()][2] == "clips/c.mp4"


def test_two_files_that_would_share_an_id_are_refused(linked, write):
    write({"set/clips/c.mp4": b"4"})
    with pytest.raises(DataError, match="lines 2 and 3: two values of path"):
        open_dataset(manifest(linked, "clips/c.mp4", "../clips/c.mp4"), follow_links=True)


def test_what_is_allowed_ends_with_the_command(linked):
    root = manifest(linked, "a.mp4")
    with following_links(is_allowed=True):
        assert open_dataset(root).follows_links
    with following_links(is_allowed=False), pytest.raises(DataError):
        open_dataset(root)


def test_folders_and_bah_itself_follow_links_too(linked, write):
    folder = linked / "folder"
    folder.mkdir()
    (folder / "anna").symlink_to(linked / "store", target_is_directory=True)
    (linked / "store/x/round").symlink_to(linked / "store", target_is_directory=True)
    with pytest.raises(DataError, match="neither") as caught:
        open_dataset(folder)
    assert "--follow-links" in caught.value.remedy
    names = [video.video_id for video in open_dataset(folder, follow_links=True).videos()]
    assert names == ["anna/b.mp4", "anna/x/a.mp4"]
    write({"bah/split/test.txt": "Videos/1/a.mp4,1,words\n"})
    (linked / "bah/Videos/1").mkdir(parents=True)
    (linked / "bah/Videos/1/a.mp4").symlink_to(linked / "store/x/a.mp4")
    with pytest.raises(DataError, match="leads outside"):
        open_dataset(linked / "bah")
    (video,) = open_dataset(linked / "bah", follow_links=True).videos()
    assert video.path.read_bytes() == b"1"


def test_commands_take_the_option_and_record_it(linked, bah, write_grey_video):
    write_grey_video(linked / "store/x/a.mp4", 24)
    root = manifest(linked, "a.mp4")
    code, _, stderr = bah("data", "check", root)
    assert (code, "--follow-links" in stderr) == (2, True)
    assert bah("data", "check", root, "--follow-links")[0] == 0
    run = ["run", "--data", root, "--engine", "scripted", "--model", "video", "--prompt", "simple", "--out", "run"]
    assert bah(*run)[0] == 2
    code, _, stderr = bah(*run, "--follow-links")
    assert code == 0, stderr
    recorded = json.loads(Path("run/run.json").read_text())
    assert recorded["data"]["follows_links"]
    assert recorded["config"]["follow_links"]
    # what the run was allowed, judging it is; the next command is not
    assert bah("evaluate", "run", "--level", "video", "--draws", 0)[0] == 0
    assert bah("data", "check", root)[0] == 2
