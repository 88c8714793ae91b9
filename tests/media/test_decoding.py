"""One pass over a video that serves all windows."""

from __future__ import annotations

import dataclasses
import random
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError, MediaError
from bah_mllm.core.records import Clip
from bah_mllm.core.timeline import Window, plan_windows
from bah_mllm.media import RESIZERS, SAMPLERS, ClipSpec, DecodeReport, probe, read_clips, sample_indices

SPEC = ClipSpec(n_frames=8, size_px=64)


def plan_sizes(*sizes: int, hop: int | None = None) -> Callable[[int], list[Window]]:
    return lambda n: [w for size in sizes for w in plan_windows(n, window_frames=size, hop_frames=hop)]


def true_count(path: Path) -> int:
    """Decode with PyAV's plain loop, skipping what does not decode."""
    n_frames = 0
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            try:
                n_frames += len(packet.decode())
            except av.FFmpegError:
                continue
    return n_frames


def numbers(clip: Clip, build: SimpleNamespace) -> tuple[int, ...]:
    return tuple(build.number_in(picture) for picture in clip.frames)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, build: SimpleNamespace) -> Path:
    path: Path = build.video(tmp_path_factory.mktemp("media") / "numbered.mp4", 130)
    return path


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_clips_show_the_frames_that_their_indices_name(sampler: str, video: Path, build: SimpleNamespace) -> None:
    spec = dataclasses.replace(SPEC, sampler=sampler)
    clips = list(read_clips(video, plan_sizes(8, 24, 120), spec))
    assert {window for window, _ in clips} == set(plan_sizes(8, 24, 120)(130))
    for window, clip in clips:
        assert (clip.indices, clip.is_short) == sample_indices(window, 8, sampler)
        assert numbers(clip, build) == clip.indices
        assert clip.frames.shape == (8, 64, 64, 3)
        np.testing.assert_allclose(clip.t_s, np.array(clip.indices) / 24, atol=1e-6)


def test_all_window_sizes_together_decode_and_convert_each_frame_once(video: Path) -> None:
    report = DecodeReport()
    clips = list(read_clips(video, plan_sizes(8, 24, 120, 10_000), SPEC, report=report))
    assert len(clips) == 17 + 6 + 2 + 1 - 1  # [120, 130) is the last window of 24 and of 120 frames: one clip
    assert report == DecodeReport(n_frames=130, n_corrupt=0, frames_decoded=130, frames_converted=130, passes=1)


def test_only_sampled_frames_are_converted(video: Path) -> None:
    report = DecodeReport()
    list(read_clips(video, plan_sizes(40), SPEC, report=report))
    assert (report.frames_decoded, report.frames_converted) == (130, 8 * 4)  # windows of 40, 40, 40 and 10 frames


def test_clips_come_as_soon_as_their_last_frame_is_there_whatever_the_order_asked(video: Path) -> None:
    windows = plan_sizes(8, 24, 120)(130) * 2
    random.Random(5).shuffle(windows)
    report = DecodeReport()
    stops = []
    for window, _ in read_clips(video, lambda n: windows, SPEC, report=report):
        stops.append(window.stop)
        assert report.frames_decoded == window.stop
    assert stops == sorted(window.stop for window in set(windows))


def test_a_single_window_converts_its_frames_alone(video: Path) -> None:
    report = DecodeReport()
    [(window, clip)] = read_clips(video, lambda n: [Window(3, 11)], SPEC, report=report)
    assert (window, clip.indices) == (Window(3, 11), tuple(range(3, 11)))
    assert report == DecodeReport(n_frames=130, n_corrupt=0, frames_decoded=130, frames_converted=8, passes=1)


def test_no_windows_no_work(video: Path) -> None:
    report = DecodeReport()
    assert list(read_clips(video, lambda n: [], SPEC, report=report)) == []
    assert report == DecodeReport()


@pytest.mark.parametrize("n_frames", [1, 2, 7])
def test_a_video_shorter_than_a_clip_repeats_its_last_frame(
    n_frames: int, tmp_path: Path, build: SimpleNamespace
) -> None:
    [(window, clip)] = read_clips(build.video(tmp_path / "a.mp4", n_frames), plan_sizes(24), SPEC)
    assert window == Window(0, n_frames)
    assert clip.is_short
    assert numbers(clip, build) == tuple(min(k, n_frames - 1) for k in range(8))


def test_memory_holds_the_frames_that_windows_wait_for_and_no_more(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "long.mp4", 1_000, codec_options={"preset": "ultrafast"})
    n_bytes = 1_000 * 64 * 64 * 3
    list(read_clips(path, plan_sizes(8), SPEC))  # imports are done, caches are warm
    tracemalloc.start()
    try:
        for _ in read_clips(path, plan_sizes(8, 24, 48), SPEC):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < n_bytes / 10


# --- the true count of frames is another one than the packets promise -----------------------------------------------


def reference(path: Path, windows: Iterable[Window], spec: ClipSpec) -> dict[Window, tuple[int, ...]]:
    return {window: sample_indices(window, spec.n_frames, spec.sampler).indices for window in windows}


def assert_as_if_the_count_were_known(
    path: Path, plan: Callable[[int], Sequence[Window]], n_planned: int, build: SimpleNamespace
) -> DecodeReport:
    report = DecodeReport()
    info = dataclasses.replace(probe(path), n_frames=n_planned)
    clips = list(read_clips(path, plan, SPEC, info=info, report=report))
    n_true = true_count(path)
    assert {window: clip.indices for window, clip in clips} == reference(path, plan(n_true), SPEC)
    assert len(clips) == len(set(plan(n_true)))
    assert all(numbers(clip, build) == clip.indices for _, clip in clips)
    assert report.n_frames == n_true
    return report


@given(
    n_planned=st.integers(1, 200),
    sizes=st.lists(st.integers(1, 150), min_size=1, max_size=4),
    hop=st.none() | st.integers(1, 60),
)
@example(n_planned=2, sizes=[1], hop=2)  # windows with gaps: none touches the end
@settings(max_examples=25)
def test_whatever_count_was_planned_the_windows_are_those_of_the_true_count(
    n_planned: int, sizes: list[int], hop: int | None, video: Path, build: SimpleNamespace
) -> None:
    report = assert_as_if_the_count_were_known(video, plan_sizes(*sizes, hop=hop), n_planned, build)
    assert report.passes <= 2


def test_a_wrong_count_costs_a_second_pass_only_for_what_is_missing(video: Path, build: SimpleNamespace) -> None:
    report = assert_as_if_the_count_were_known(video, plan_sizes(8), 133, build)
    # Planned [128, 133), true [128, 130): two frames are converted again, all are decoded again.
    assert report == DecodeReport(n_frames=130, n_corrupt=0, frames_decoded=260, frames_converted=132, passes=2)


@pytest.mark.parametrize("layout", ["faststart", "frag_keyframe+empty_moov"])
@pytest.mark.parametrize("share", [0.3, 0.62, 0.9])
@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_a_truncated_mp4_gives_the_windows_that_are_there(
    layout: str, share: float, b_frames: str, tmp_path: Path, build: SimpleNamespace
) -> None:
    whole = build.video(
        tmp_path / "whole.mp4", 96, codec_options={"bf": b_frames}, container_options={"movflags": layout}
    )
    path = build.cut(whole, tmp_path / "cut.mp4", share=share)
    info = probe(path)
    assert 0 < info.n_frames < 96
    assert info.fps == 24.0
    report = DecodeReport()
    plan = plan_sizes(8, 24)
    clips = dict(read_clips(path, plan, SPEC, report=report))
    assert report.n_frames is not None
    assert report.n_frames - report.n_missing == true_count(path)
    assert set(clips) == set(plan(report.n_frames))
    if b_frames == "0":  # otherwise the last pictures may be missing in between
        for clip in clips.values():
            whole_pictures = [k for k in clip.indices if k < report.n_frames - 1]  # the last one may be half a picture
            assert [build.number_in(clip.frames[clip.indices.index(k)]) for k in whole_pictures] == whole_pictures


@pytest.mark.parametrize("name", ["cut.webm", "cut.mkv"])
def test_a_truncated_webm_or_mkv_gives_the_windows_that_are_there(
    name: str, tmp_path: Path, build: SimpleNamespace
) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    whole = build.video(tmp_path / f"whole.{name[-4:].strip('.')}", 96, codec=codec, codec_options={"bf": "0"})
    file = whole.read_bytes()
    path = tmp_path / name
    path.write_bytes(file[: int(0.6 * len(file))])
    report = DecodeReport()
    clips = dict(read_clips(path, plan_sizes(8), SPEC, report=report))
    assert report.n_frames is not None
    assert 8 < report.n_frames < 96
    assert set(clips) == set(plan_windows(report.n_frames, window_frames=8))


def noisy_video(path: Path, build: SimpleNamespace, **options: object) -> Path:
    """A video whose packets are large, so that damage hits few of them."""
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(48)]
    noisy: Path = build.video(path, pictures, codec_options={"bf": "0"}, **options)
    return noisy


def test_damage_in_the_middle_is_counted_and_survived(tmp_path: Path, build: SimpleNamespace) -> None:
    path = noisy_video(tmp_path / "a.mp4", build, container_options={"movflags": "faststart"})
    file = bytearray(path.read_bytes())
    middle = len(file) // 2
    file[middle : middle + 60_000] = bytes(60_000)
    path.write_bytes(file)
    info = probe(path)
    assert info.n_frames == 48
    report = DecodeReport()
    clips = dict(read_clips(path, plan_sizes(8, 24), SPEC, info=info, report=report))
    assert report.n_frames == 48
    assert report.n_missing == 48 - true_count(path) > 5
    assert report.n_corrupt >= report.n_missing
    assert report.passes == 1
    assert set(clips) == set(plan_sizes(8, 24)(48))


def test_frames_after_damage_keep_their_numbers_and_the_one_before_stands_for_those_lost(
    tmp_path: Path, build: SimpleNamespace
) -> None:
    """Every picture is a key frame, so that the damage ends with the packets that are hit."""
    whole = build.video(
        tmp_path / "a.mkv", 40, codec="mjpeg", pix_fmt="yuvj420p", container_options={"cluster_time_limit": "100000"}
    )
    with av.open(str(whole)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    file = whole.read_bytes()
    with av.open(str(whole)) as container:
        hit = [bytes(packet) for packet in container.demux(video=0) if packet.size][17:20]
    for content in hit:
        file = file.replace(content, bytes(len(content)))
    path = tmp_path / "b.mkv"
    path.write_bytes(file)
    assert len(sizes) == 40
    report = DecodeReport()
    (clip,) = dict(
        read_clips(path, lambda n: [Window(0, n)], dataclasses.replace(SPEC, n_frames=40), report=report)
    ).values()
    assert report.n_frames == 40
    assert report.n_missing == 3
    assert numbers(clip, build) == (*range(17), 16, 16, 16, *range(20, 40))
    assert clip.t_s == pytest.approx(np.arange(40) / 24, abs=1e-3)


def test_a_video_that_stops_decoding_altogether_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mp4", 12, container_options={"movflags": "faststart"})
    info = probe(path)
    file = path.read_bytes()
    start = file.index(b"mdat") + 4
    path.write_bytes(file[:start] + b"\xff" * (len(file) - start))
    with pytest.raises(MediaError, match="No frame of"):
        list(read_clips(path, plan_sizes(8), SPEC, info=info))


def test_a_plan_that_depends_on_the_end_everywhere_is_a_bug(video: Path) -> None:
    info = dataclasses.replace(probe(video), n_frames=140)
    with pytest.raises(ValueError, match="disagree on windows before the end"):
        list(read_clips(video, lambda n: [Window(0, n // 2), Window(n // 2, n)], SPEC, info=info))
    with pytest.raises(ValueError, match="beyond the 130 frames"):
        list(read_clips(video, lambda n: [Window(0, n + 1)], SPEC))


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resize", sorted(RESIZERS))
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotation_flags_are_honoured(turns: int, resize: str, tmp_path: Path, build: SimpleNamespace) -> None:
    stored = np.zeros((48, 96, 3), np.uint8)
    stored[:24, 24:48] = 255  # upper left of the whole and of its centre
    path = build.video(tmp_path / "a.mp4", [stored] * 4, codec_options={"qp": "10"})
    build.turn_clockwise(path, turns)
    [(_, clip)] = read_clips(path, plan_sizes(4), ClipSpec(n_frames=4, size_px=48, resize=resize))
    # Quarters of the shown picture by hand: upper left -> upper right -> lower right -> lower left.
    row, column = [(0, 0), (0, 1), (1, 1), (1, 0)][turns]
    quarters = clip.frames[0].reshape(2, 24, 2, 24, 3).mean(axis=(1, 3, 4))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == (row, column)


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("ffv1", "yuv420p"),
        ("mjpeg", "yuvj420p"),
        ("libx264", "yuvj420p"),
        ("ffv1", "yuv444p"),
        ("ffv1", "gray"),
        ("ffv1", "gray10le"),
        ("ffv1", "yuv420p10le"),
        ("ffv1", "yuv444p16le"),
        ("ffv1", "bgra"),
    ],
)
@pytest.mark.parametrize("resize", ["exact", "fast"])
def test_grey_levels_survive_every_pixel_format(
    codec: str, pix_fmt: str, resize: str, tmp_path: Path, build: SimpleNamespace
) -> None:
    levels = [0, 60, 128, 200, 255]
    pictures = [np.full((64, 64, 3), level, np.uint8) for level in levels]
    options = {"qp": "1"} if codec == "libx264" else {"qmin": "1", "qmax": "1"} if codec == "mjpeg" else {}
    path = build.video(tmp_path / "a.mkv", pictures, codec=codec, pix_fmt=pix_fmt, codec_options=options)
    [(_, clip)] = read_clips(path, plan_sizes(5), ClipSpec(n_frames=5, size_px=32, resize=resize))
    for picture, level in zip(clip.frames, levels, strict=True):
        assert np.abs(picture.astype(int) - level).max() <= 3


@pytest.mark.parametrize("shape", [(35, 51), (51, 35), (1, 1), (2, 63)])
@pytest.mark.parametrize("resize", sorted(RESIZERS))
def test_odd_sizes_are_resized(shape: tuple[int, int], resize: str, tmp_path: Path, build: SimpleNamespace) -> None:
    pictures = [np.full((*shape, 3), 90, np.uint8)] * 3
    path = build.video(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="bgr0")
    [(_, clip)] = read_clips(path, plan_sizes(3), ClipSpec(n_frames=3, size_px=16, resize=resize))
    assert clip.frames.shape == (3, 16, 16, 3)
    assert np.abs(clip.frames.astype(int) - 90).max() <= 1


def test_frames_that_change_their_size_in_the_middle_are_resized_each(tmp_path: Path, build: SimpleNamespace) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        container.start_encoding()
        for k, scale in enumerate([1, 1, 2, 2, 3, 1]):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width = encoder.height = 64 * scale
            encoder.pix_fmt, encoder.time_base = "yuvj420p", stream.time_base
            picture = np.kron(build.picture(k), np.ones((scale, scale, 1), np.uint8))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = k
            for packet in [*encoder.encode(frame), *encoder.encode(None)]:
                packet.stream, packet.pts, packet.dts = stream, 42 * k, 42 * k
                container.mux(packet)
    [(_, clip)] = read_clips(path, plan_sizes(6), ClipSpec(n_frames=6, size_px=64))
    assert numbers(clip, build) == (0, 1, 2, 3, 4, 5)


def test_a_frame_too_elongated_to_resize_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mkv", [np.zeros((2, 400, 3), np.uint8)], codec="ffv1", pix_fmt="bgr0")
    with pytest.raises(MediaError, match="400 x 2 px"):
        list(read_clips(path, plan_sizes(1), SPEC))


def test_times_are_those_of_the_frames_and_start_at_zero(tmp_path: Path, build: SimpleNamespace) -> None:
    ticks = [500, 540, 580, 900, 940, 1400, 1500, 2400]
    [(_, clip)] = read_clips(build.video(tmp_path / "a.mkv", 8, ticks=ticks), plan_sizes(8), SPEC)
    np.testing.assert_allclose(clip.t_s, (np.array(ticks) - 500) / 1000, atol=1e-3)
    assert numbers(clip, build) == tuple(range(8))


@pytest.mark.parametrize(
    ("options", "wrong"),
    [({"sampler": "first"}, "'first'"), ({"resize": "nearest"}, "'nearest'"), ({"n_frames": 0}, "0 frames"),
     ({"size_px": 0}, "0 px")],
)  # fmt: skip
def test_a_spec_of_clips_that_cannot_be_is_refused(options: dict[str, object], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        ClipSpec(**options)  # type: ignore[arg-type]
