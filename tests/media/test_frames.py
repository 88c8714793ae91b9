"""Every frame of a video with its time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bah_mllm.core.errors import MediaError
from bah_mllm.media import FramePass, frame_times, read_frames


def test_every_frame_comes_once_in_order_in_its_own_size(build: SimpleNamespace, tmp_path: Path) -> None:
    path = build.video(tmp_path / "a.mp4", 37)
    found = list(read_frames(path))
    assert [build.number_in(picture) for picture, _ in found] == list(range(37))
    assert {picture.shape for picture, _ in found} == {(build.size_px, build.size_px, 3)}
    assert np.allclose([t_s for _, t_s in found], np.arange(37) / 24, atol=1e-3)


def test_times_are_those_of_the_file_where_frames_are_not_evenly_spaced(build: SimpleNamespace, tmp_path: Path) -> None:
    ticks = [0, 40, 90, 400, 430, 900]
    path = build.video(tmp_path / "a.mkv", 6, ticks=ticks)
    assert np.allclose(frame_times(path), np.array(ticks) / 1000, atol=2e-3)


def test_a_turned_video_is_shown_upright(build: SimpleNamespace, tmp_path: Path) -> None:
    pictures = [np.zeros((32, 64, 3), np.uint8) for _ in range(3)]
    for picture in pictures:
        picture[:, :32] = 255  # white on the left
    path = build.video(tmp_path / "a.mp4", pictures)
    build.turn_clockwise(path, 1)
    picture, _ = next(read_frames(path))
    assert picture.shape == (64, 32, 3)
    assert picture[:28].mean() > 200  # left became top
    assert picture[36:].mean() < 50


def test_a_cut_file_gives_the_frames_that_are_left(build: SimpleNamespace, tmp_path: Path) -> None:
    whole = build.video(tmp_path / "a.mp4", 60, container_options={"movflags": "faststart"})
    part = build.cut(whole, tmp_path / "b.mp4", share=0.5)
    n_left = len(list(read_frames(part)))
    assert 0 < n_left < 60
    assert len(frame_times(part)) == n_left


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(MediaError, match="cannot be opened"):
        frame_times(tmp_path / "a.mp4")


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {})])
def test_a_pass_tells_a_cut_file_from_a_whole_one(
    build: SimpleNamespace, tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    whole = build.video(tmp_path / name, 72, container_options=options)
    part = build.cut(whole, tmp_path / f"part-{name}", share=0.4)
    of_whole, of_part = FramePass(whole), FramePass(part)
    assert len(list(read_frames(of_whole))) == 72
    assert of_whole.damage == ""
    times_s = frame_times(of_part)
    assert len(times_s) == of_part.n_frames < 60
    end_s = times_s[-1] + times_s[-1] - times_s[-2]
    assert f"{end_s:.1f} of 3.0 s decode" in of_part.damage
