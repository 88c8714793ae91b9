"""Pictures and sound on one clock, whatever times the file has."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from bah_mllm.core.timeline import Window
from bah_mllm.media import ClipSpec, FramePass, frame_times, probe, read_audio, read_clips, read_frames
from bah_mllm.media.timing import GrowingTimes

RATE_HZ = 16_000


def beep_s(path: Path) -> tuple[float, float]:
    """Return from when to when something is heard."""
    loud = np.flatnonzero(np.abs(read_audio(path)) > 0.1)
    return loud[0] / RATE_HZ, loud[-1] / RATE_HZ


def write_with_sound(
    path: Path, pictures: list[np.ndarray], pieces: list[tuple[float, np.ndarray]], *, start_s: float = 0.0
) -> Path:
    """Write 25 pictures a second from ``start_s`` on, and raw sound of 16 kHz in pieces, each at its own time."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuvj420p"
        sound = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k + round(25 * start_s), Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for at_s, samples in pieces:
            for start in range(0, len(samples), 800):
                piece = np.ascontiguousarray(samples[None, start : start + 800])
                heard = av.AudioFrame.from_ndarray((piece * 32_767).astype(np.int16), format="s16", layout="mono")
                heard.sample_rate, heard.time_base = RATE_HZ, Fraction(1, RATE_HZ)
                heard.pts = round(at_s * RATE_HZ) + start
                container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
    return path


@pytest.fixture
def pictures(build: SimpleNamespace) -> list[np.ndarray]:
    return [build.picture(k) for k in range(75)]


def quiet_then_beep(build: SimpleNamespace, *, seconds: float, beep_at_s: float) -> np.ndarray:
    samples = np.zeros(round(seconds * RATE_HZ), np.float32)
    beep = build.tone(0.2, rate_hz=RATE_HZ, pitch_hz=880)
    at = round(beep_at_s * RATE_HZ)
    samples[at : at + len(beep)] = beep
    return samples


@pytest.mark.parametrize(("sound_s", "pictures_s"), [(0.5, 0.0), (0.0, 0.4), (0.32, 0.32), (7.0, 6.6)])
def test_sound_that_begins_before_or_after_the_pictures_is_heard_when_they_are_shown(
    sound_s: float, pictures_s: float, pictures: list[np.ndarray], tmp_path: Path, build: SimpleNamespace
) -> None:
    samples = quiet_then_beep(build, seconds=2.5, beep_at_s=1.0)
    path = write_with_sound(tmp_path / "a.mkv", pictures, [(sound_s, samples)], start_s=pictures_s)
    start_s, stop_s = beep_s(path)
    assert start_s == pytest.approx(1.0 + sound_s - pictures_s, abs=0.005)
    assert stop_s - start_s == pytest.approx(0.2, abs=0.005)
    closed = np.flatnonzero(np.abs(read_audio(path, from_first_sample=True)) > 0.1)
    assert closed[0] / RATE_HZ == pytest.approx(1.0, abs=0.005)


def test_packets_of_sound_that_are_missing_leave_silence_of_their_length(
    pictures: list[np.ndarray], tmp_path: Path, build: SimpleNamespace
) -> None:
    before, after = np.zeros(RATE_HZ // 2, np.float32), quiet_then_beep(build, seconds=1.0, beep_at_s=0.5)
    path = write_with_sound(tmp_path / "a.mkv", pictures, [(0.0, before), (1.2, after)])
    assert beep_s(path)[0] == pytest.approx(1.7, abs=0.005)
    assert len(read_audio(path)) / RATE_HZ == pytest.approx(2.2, abs=0.01)


def test_a_clock_follows_the_files_own_times_where_they_are_uneven(tmp_path: Path, build: SimpleNamespace) -> None:
    ticks = [*range(0, 2000, 100), *range(2000, 4000, 25)]
    info = probe(build.video(tmp_path / "a.mkv", 100, ticks=ticks))
    assert info.clock is not None
    assert info.clock.span(2.0, 3.0) == (20, 60)
    assert info.clock.times_s == pytest.approx(np.array(ticks) / 1000)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts", "a.avi"])
def test_an_even_rate_has_a_plain_clock_in_every_container(name: str, tmp_path: Path, build: SimpleNamespace) -> None:
    codec = "libvpx" if name == "a.webm" else "libx264"
    info = probe(build.video(tmp_path / name, 60, codec=codec, fps=30, codec_options={"bf": "0"}))
    assert info.clock is not None
    assert (info.clock.fps, info.clock.times_s) == (30.0, None)


def test_times_that_begin_late_are_no_damage(pictures: list[np.ndarray], tmp_path: Path) -> None:
    silence = np.zeros(RATE_HZ * 3, np.float32)
    path = write_with_sound(tmp_path / "a.mkv", pictures, [(100.0, silence)], start_s=100.0)
    whole = FramePass(path)
    assert frame_times(whole)[[0, -1]] == pytest.approx([0.0, 74 / 25], abs=0.002)
    assert whole.damage == ""
    info = probe(path)
    assert (info.n_frames, info.fps) == (75, 25.0)
    assert info.duration_s == pytest.approx(3.0, abs=0.002)


def test_times_that_restart_in_the_middle_neither_double_the_rate_nor_stop_the_clock(
    tmp_path: Path, build: SimpleNamespace
) -> None:
    part = build.video(tmp_path / "part.ts", 50, fps=25, codec_options={"bf": "0"}).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(part + part)
    info = probe(path)
    assert info.n_frames == 100
    assert info.fps == pytest.approx(25.0, abs=0.3)
    assert info.duration_s == pytest.approx(4.0, abs=0.1)
    times_s = frame_times(path)
    assert (np.diff(times_s) > 0).all()
    assert times_s == pytest.approx(np.arange(100) / 25, abs=0.1)


def test_frames_without_times_go_by_the_headers_rate() -> None:
    times = GrowingTimes(Fraction(1, 1000), stated_step_s=1 / 30)
    found = [times.time_of(None, None) for _ in range(60)]
    assert found == pytest.approx(np.arange(60) / 30)


def test_a_missing_backward_or_absurd_time_is_one_step_after_the_last() -> None:
    ticks = [5_000, 5_050, None, 5_020, 2_000, 10**12, 5_350]
    times = GrowingTimes(Fraction(1, 1000))
    assert [times.time_of(tick, None) for tick in ticks] == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35])


def test_times_of_showing_that_fail_to_grow_give_way_to_those_of_decoding() -> None:
    """What a decoder of packed B-frames in an AVI says: 25 frames a second, as 1/25 s a tick."""
    pts = [3, 6, 4, 7, 9, 8, 10, 12, 11, 14, 13, 16, 15, 17]
    dts = [3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]
    times = GrowingTimes(Fraction(1, 25), stated_step_s=1 / 25)
    found = [times.time_of(*pair) for pair in zip(pts, dts, strict=True)]
    assert (np.diff(found) > 0).all()
    assert found == pytest.approx((np.array(dts) - 3) / 25, abs=0.09)  # within two frames, and not drifting


def test_the_moving_stream_is_read_where_a_cover_is_not_marked_as_one(tmp_path: Path, build: SimpleNamespace) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.width = cover.height = 128
        cover.pix_fmt = "yuvj420p"
        moving = container.add_stream("libx264", rate=25)
        moving.width = moving.height = 64
        moving.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((128, 128, 3), 90, np.uint8), format="rgb24")
        picture.pts, picture.time_base = 0, Fraction(1, 25)
        container.mux(cover.encode(picture))
        for k in range(30):
            frame = av.VideoFrame.from_ndarray(build.picture(k), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(moving.encode(frame))
        for stream in (cover, moving):
            container.mux(stream.encode(None))
    info = probe(path)
    assert (info.n_frames, info.width_px, info.n_video_streams) == (30, 64, 2)


def test_pixels_that_are_not_square_are_shown_in_their_shape(tmp_path: Path) -> None:
    """A circle stored as 96 x 96 pixels of 4:3 is 128 wide; a square crop of it stays a circle."""
    y, x = np.mgrid[:96, :96] - 47.5
    disc = np.where((x * 4 / 3) ** 2 + y**2 < 30**2, 230, 20).astype(np.uint8)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(np.repeat(disc[..., None], 3, axis=2), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = probe(path)
    assert (info.width_px, info.height_px) == (128, 96)
    picture, _ = next(iter(read_frames(path)))
    assert picture.shape == (96, 128, 3)
    for resize in ("exact", "fast"):
        spec = ClipSpec(n_frames=1, size_px=48, resize=resize)
        ((_, clip),) = read_clips(path, lambda n: [Window(0, 1)], spec)
        is_disc = clip.frames[0].mean(axis=2) > 128
        height, width = is_disc.any(axis=1).sum(), is_disc.any(axis=0).sum()
        assert abs(int(height) - int(width)) <= 1
        assert abs(int(height) - 30) <= 1
