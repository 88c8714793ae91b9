"""What is in a media file, whatever state it is in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import MediaError
from bah_mllm.core.timeline import Window
from bah_mllm.media import ClipSpec, MediaInfo, prefetch, probe, read_audio, read_clips


def header_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(container.streams.video[0].frames)


def test_an_mp4_with_sound_is_described(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mp4", [np.zeros((48, 80, 3), np.uint8)] * 30, fps=25, audio_s=1.5)
    info = probe(path)
    assert info.audio_duration_s is not None
    assert abs(info.audio_duration_s - 1.5) < 0.05  # AAC packets hold 21 ms
    assert info == MediaInfo(
        n_frames=30,
        fps=25.0,
        width_px=80,
        height_px=48,
        rotation_deg=0,
        duration_s=1.2,
        has_audio=True,
        audio_duration_s=info.audio_duration_s,
        video_codec="h264",
        audio_codec="aac",
        clock=FrameClock(25.0),
    )


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("b.webm", "libvpx-vp9"), ("a.ts", "libx264")]
)
@pytest.mark.parametrize("fps", [24, 30])
def test_containers_whose_header_counts_no_frames_are_counted(
    name: str, codec: str, fps: int, tmp_path: Path, build: SimpleNamespace
) -> None:
    path = build.video(tmp_path / name, 37, codec=codec, fps=fps)
    assert header_count(path) == 0
    info = probe(path)
    assert (info.n_frames, info.fps) == (37, fps)
    assert info.duration_s == pytest.approx(37 / fps, abs=0.003)


def test_a_header_that_lies_about_the_count_is_not_believed(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.avi", 20)
    file = bytearray(path.read_bytes())
    at = file.index(b"strh") + 40  # dwLength of the AVI stream header
    assert int.from_bytes(file[at : at + 4], "little") == 20
    file[at : at + 4] = (999).to_bytes(4, "little")
    path.write_bytes(file)
    assert header_count(path) == 999
    assert probe(path).n_frames == 20


def test_a_variable_frame_rate_is_averaged_over_the_times_shown(tmp_path: Path, build: SimpleNamespace) -> None:
    ticks = [0, 40, 80, 400, 440, 900, 1000, 1900, 1950, 2000]
    info = probe(build.video(tmp_path / "a.mkv", 10, ticks=ticks))
    assert info.fps == pytest.approx(9 / 2.0)
    assert info.n_frames == 10


def test_one_frame_has_no_frame_rate(tmp_path: Path, build: SimpleNamespace) -> None:
    info = probe(build.video(tmp_path / "a.mp4", 1))
    assert (info.n_frames, info.fps) == (1, None)


@pytest.mark.parametrize(("turns", "shape"), [(0, (80, 48)), (1, (48, 80)), (2, (80, 48)), (3, (48, 80))])
def test_a_rotation_flag_turns_width_and_height(
    turns: int, shape: tuple[int, int], tmp_path: Path, build: SimpleNamespace
) -> None:
    path = build.video(tmp_path / "a.mp4", [np.zeros((48, 80, 3), np.uint8)] * 3)
    build.turn_clockwise(path, turns)
    info = probe(path)
    assert (info.rotation_deg, (info.width_px, info.height_px)) == (90 * turns, shape)


def test_odd_sizes_are_kept(tmp_path: Path, build: SimpleNamespace) -> None:
    pictures = [np.zeros((35, 51, 3), np.uint8)] * 2
    info = probe(build.video(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="yuv420p"))
    assert (info.width_px, info.height_px) == (51, 35)


def test_spaces_and_other_letters_in_a_path_are_fine(tmp_path: Path, build: SimpleNamespace) -> None:
    folder = tmp_path / "données de l'été %03d" / "参加者 1"
    folder.mkdir(parents=True)
    assert probe(build.video(folder / "réponse à Q1 #?.mp4", 4)).n_frames == 4


def test_a_relative_name_like_an_address_is_a_file(
    tmp_path: Path, build: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.video(tmp_path / "a.mp4", 4)
    (tmp_path / "a.mp4").rename(tmp_path / "concat:a|b.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("concat:a|b.mp4")).n_frames == 4


def test_metadata_that_is_no_text_does_no_harm(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mkv", 4)
    file = path.read_bytes()
    assert b"Lavf" in file
    path.write_bytes(file.replace(b"Lavf", b"\xff\xfe\xe9\x80"))
    assert probe(path).n_frames == 4


def test_frames_cut_off_by_an_edit_list_are_not_counted(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mp4", 30, codec_options={"bf": "0"})
    file = bytearray(path.read_bytes())
    at = file.index(b"elst") + 4  # version and flags, count, then duration, media time, rate
    assert int.from_bytes(file[at + 4 : at + 8], "big") == 1
    media_time = 6 * 512  # six frames of 1/24 s at 12,288 ticks a second
    file[at + 12 : at + 16] = media_time.to_bytes(4, "big")
    path.write_bytes(file)
    spec = ClipSpec(n_frames=1, size_px=build.size_px)
    assert probe(path).n_frames == 24
    [(_, clip)] = read_clips(path, lambda n: [Window(n - 1, n)], spec)
    assert (clip.indices, build.number_in(clip.frames[0])) == ((23,), 29)


def damaged(kind: str, folder: Path, build: SimpleNamespace) -> Path:
    path = folder / "x.mp4"
    if kind == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("This is not a video.\n" * 100)
    elif kind == "playlist":
        build.video(folder / "real.ts", 5)
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n")
    elif kind == "list of files":
        build.video(folder / "real.mp4", 5)
        path.write_text("ffconcat version 1.0\nfile real.mp4\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "no index":
        build.cut(build.video(folder / "whole.mp4", 30), path, share=0.5)
        assert b"moov" not in path.read_bytes()
    return path


DAMAGE = ["missing", "garbage", "empty", "text", "playlist", "list of files", "folder", "no index"]


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("read", [probe, read_audio, lambda path: list(read_clips(path, lambda n: [], ClipSpec()))])
def test_what_is_no_media_file_is_refused_with_path_and_remedy(
    kind: str, read: Callable[[Path], object], tmp_path: Path, build: SimpleNamespace
) -> None:
    path = damaged(kind, tmp_path, build)
    with pytest.raises(MediaError) as caught:
        read(path)
    assert str(path) in caught.value.problem
    assert caught.value.remedy.endswith(".")


def test_sound_without_video_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.sound(tmp_path / "a.mp4", build.tone(0.5, rate_hz=48_000)[None], rate_hz=48_000)
    with pytest.raises(MediaError, match="holds no video"):
        probe(path)


def test_a_cover_picture_is_no_video(tmp_path: Path, build: SimpleNamespace) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(build.picture(1), format="rgb24")))
        container.mux(cover.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    with pytest.raises(MediaError, match="holds no video"):
        probe(path)


def test_a_video_stream_without_frames_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.avi", 0)
    with pytest.raises(MediaError, match="no frame of it can be decoded"):
        probe(path)


def test_a_video_of_which_nothing_decodes_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mp4", 12, container_options={"movflags": "faststart"})
    file = path.read_bytes()
    start = file.index(b"mdat") + 4
    path.write_bytes(file[:start] + b"\xff" * (len(file) - start))
    with pytest.raises(MediaError, match="no frame of it can be decoded"):
        probe(path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux shows them")
def test_no_file_stays_open(tmp_path: Path, build: SimpleNamespace) -> None:
    good = build.video(tmp_path / "good.mp4", 30, audio_s=1.0)
    bad = damaged("garbage", tmp_path, build)
    spec = ClipSpec(n_frames=2, size_px=32)

    def open_in_every_way() -> None:
        probe(good)
        read_audio(good)
        clips = read_clips(good, lambda n: [Window(k, k + 2) for k in range(n - 2)], spec)
        next(clips)
        clips.close()
        ahead = prefetch(read_clips(good, lambda n: [Window(k, k + 2) for k in range(n - 2)], spec), 2)
        next(ahead)
        ahead.close()
        with pytest.raises(MediaError):
            probe(bad)

    open_in_every_way()
    n_before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        open_in_every_way()
    assert len(list(Path("/proc/self/fd").iterdir())) == n_before


def test_the_decoder_writes_nothing_to_the_terminal(tmp_path: Path, build: SimpleNamespace) -> None:
    whole = build.video(tmp_path / "whole.mp4", 60, container_options={"movflags": "faststart"}, audio_s=2.0)
    paths = [build.cut(whole, tmp_path / "cut.mp4", share=0.6), damaged("no index", tmp_path, build)]
    script = """
import sys
from pathlib import Path
from bah_mllm.core.errors import MediaError
from bah_mllm.core.timeline import plan_windows
from bah_mllm.media import ClipSpec, probe, read_audio, read_clips
for path in map(Path, sys.argv[1:]):
    try:
        clips = list(read_clips(path, lambda n: plan_windows(n, window_frames=8), ClipSpec()))
        print(len(clips), len(read_audio(path)))
    except MediaError:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert re.fullmatch(r"\d+ \d+\nrefused\n", done.stdout)
