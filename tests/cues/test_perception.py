"""When the pictures of a video are looked at, and what comes of it, whoever looks."""

import struct
import sys
from collections import defaultdict
from types import ModuleType

import av
import numpy as np
import pytest

from bah_mllm.core.errors import BahError, ConfigError, MediaError, PrerequisiteError
from bah_mllm.cues import backends, perception
from bah_mllm.cues.mediapipe_backend import MediapipeBackend
from bah_mllm.cues.perception import Sampling, perceive
from tests.cues.videos import grey, write_video


class Scripted:
    """A backend that sees the same person in every picture, and notes when it was asked and what it was shown."""

    name = "scripted"

    def __init__(self, is_there=lambda t_s: True):
        self.is_there = is_there
        self.asked = defaultdict(list)
        self.shapes, self.pictures = set(), []

    def _seen(self, what, rgb, t_s):
        self.asked[what].append(t_s)
        self.shapes.add(rgb.shape)
        self.pictures.append(rgb)
        return self.is_there(t_s)

    def mesh(self, t_s):
        points = np.random.default_rng(1).normal(200, 50, (478, 3))
        points[:, 0] += 10 * t_s
        return points

    def face(self, rgb, t_s):
        return self.mesh(t_s) if self._seen("face", rgb, t_s) else None

    def pose(self, rgb, t_s):
        points = np.random.default_rng(2).uniform(0.2, 0.8, (33, 4)) * (*rgb.shape[1::-1], 1, 1)
        points[:, 3] = 1
        points[0, :2] = self.mesh(t_s)[4, :2]  # the nose of the same person
        return points if self._seen("pose", rgb, t_s) else None

    def hands(self, rgb, t_s):
        return [np.full((21, 3), 50.0)] * 3 if self._seen("hands", rgb, t_s) else []

    def close(self):
        pass


@pytest.mark.parametrize(
    ("fps", "face_hz"), [(24, 24), (30, 30), (60, 30), (4, 4), (12, 12)], ids=lambda value: f"{value}"
)
def test_every_frame_is_looked_at_for_the_face_up_to_30_a_second(tmp_path, fps, face_hz):
    backend = Scripted()
    seen = perceive(write_video(tmp_path / "v.mp4", grey(fps * 2), fps), backend=backend)
    assert len(backend.asked["face"]) == pytest.approx(face_hz * 2, abs=1)
    assert seen.n_frames == fps * 2
    assert seen.duration_s == pytest.approx(2.0, abs=0.01)
    assert seen.tracks["head_yaw"].t_s == pytest.approx(backend.asked["face"])


def test_the_body_is_looked_at_less_often(tmp_path):
    backend = Scripted()
    perceive(write_video(tmp_path / "v.mp4", grey(96)), backend=backend)
    assert 3 * 4 <= len(backend.asked["pose"]) <= 5 * 4
    backend = Scripted()
    perceive(write_video(tmp_path / "w.mp4", grey(96)), backend=backend, sampling=Sampling(face_hz=6, body_hz=1))
    assert len(backend.asked["face"]) == pytest.approx(6 * 4, abs=8)
    assert 4 <= len(backend.asked["pose"]) <= 6


class OutOfReach(Scripted):
    """Somebody whose wrists are far below the picture."""

    def pose(self, rgb, t_s):
        points = super().pose(rgb, t_s)
        points[[15, 16], 1] = 1.9 * rgb.shape[0]
        return points


def test_hands_far_below_the_picture_are_not_looked_for(tmp_path):
    path = write_video(tmp_path / "v.mp4", grey(48))
    near, far = Scripted(), OutOfReach()
    visible = perceive(path, backend=near).tracks["hands_visible"].values
    assert (visible == 2).all()
    assert len(near.asked["hands"]) == len(near.asked["pose"])
    assert (perceive(path, backend=far).tracks["hands_visible"].values == 0).all()
    assert len(far.asked["hands"]) == 0


class Failing(Scripted):
    def pose(self, rgb, t_s):
        raise OSError("the model is gone")


def test_a_failure_while_looking_at_the_body_is_not_swallowed(tmp_path):
    with pytest.raises(OSError, match="the model is gone"):
        perceive(write_video(tmp_path / "v.mp4", grey(48)), backend=Failing())


def test_overlapping_quiet_blocks_give_the_error_stream_back(capfd):
    import os

    first, second = backends.quietly(), backends.quietly()
    first.__enter__()
    second.__enter__()
    os.write(2, b"hidden")
    first.__exit__(None, None, None)
    os.write(2, b"hidden too")
    second.__exit__(None, None, None)
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown"


@pytest.mark.parametrize("rates", [(0, 3), (25, -1), (float("nan"), 3), (float("inf"), 3)])
def test_impossible_rates_are_refused(rates):
    with pytest.raises(ConfigError, match="times a second"):
        Sampling(*rates)


def test_frames_without_a_face_are_unknown_and_the_share_is_given(tmp_path):
    backend = Scripted(is_there=lambda t_s: t_s < 1)
    seen = perceive(write_video(tmp_path / "v.mp4", grey(96)), backend=backend)
    yaw = seen.tracks["head_yaw"]
    assert np.isfinite(yaw.values[yaw.t_s < 1]).all()
    assert np.isnan(yaw.values[yaw.t_s >= 1]).all()
    assert seen.face_share == pytest.approx(0.25, abs=0.01)
    assert seen.body_share == pytest.approx(0.25, abs=0.05)
    assert seen.backend == "scripted"


def test_signals_do_not_depend_on_how_many_frames_are_kept_at_a_time(tmp_path, monkeypatch):
    path = write_video(tmp_path / "v.mp4", grey(50))
    whole = perceive(path, backend=Scripted()).tracks
    monkeypatch.setattr(perception, "_CHUNK_FRAMES", 7)
    for name, track in perceive(path, backend=Scripted()).tracks.items():
        np.testing.assert_array_equal(track.values, whole[name].values)


def test_large_pictures_are_scaled_down_and_keep_their_shape(tmp_path):
    backend = Scripted()
    perceive(write_video(tmp_path / "v.mp4", grey(3, 1080, 1920)), backend=backend)
    assert backend.shapes == {(480, 853, 3)}
    backend = Scripted()
    perceive(write_video(tmp_path / "w.mp4", grey(3, 240, 320)), backend=backend)
    assert backend.shapes == {(240, 320, 3)}


def test_pictures_are_shown_upright(tmp_path):
    """A phone stores the picture lying down, with a note to turn it."""
    lying = np.zeros((64, 96, 3), np.uint8)
    lying[:, :20] = 255
    path = write_video(tmp_path / "v.mp4", [lying] * 4)
    content = bytearray(path.read_bytes())
    matrix_at = content.index(b"tkhd") + 44
    struct.pack_into(
        ">9i", content, matrix_at, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30
    )  # a quarter turn clockwise
    path.write_bytes(content)
    backend = Scripted()
    perceive(path, backend=backend)
    shown = backend.pictures[0]
    assert shown.shape == (96, 64, 3)
    assert shown[:15].mean() > 200  # the left edge has become the top
    assert shown[25:].mean() < 50


def test_times_come_from_the_frames_and_always_grow(tmp_path):
    ticks_ms = [0, 40, 80, 1080, 1120, 1160]
    backend = Scripted()
    perceive(write_video(tmp_path / "v.mp4", grey(6), ticks_ms=ticks_ms), backend=backend)
    assert backend.asked["face"] == pytest.approx([0, 0.04, 0.08, 1.08, 1.12, 1.16], abs=2e-3)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "cut off", "sound only"])
def test_a_file_that_is_no_video_is_a_media_error(tmp_path, kind):
    path = tmp_path / "v.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    if kind == "text":
        path.write_text("ffconcat version 1.0\nfile /etc/hosts\n" * 30)
    if kind == "cut off":
        whole = write_video(tmp_path / "w.mp4", grey(50)).read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
    if kind == "sound only":
        path = tmp_path / "v.wav"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with pytest.raises(MediaError):
        perceive(path, backend=Scripted())


def test_a_damaged_video_gives_signals_up_to_and_after_the_damage(tmp_path):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / "v.mp4", [rng.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(40)])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = rng.integers(0, 255, 3000, dtype=np.uint8).tobytes()
    path.write_bytes(content)
    seen = perceive(path, backend=Scripted())
    assert 0 < seen.n_frames <= 40
    assert seen.n_corrupt > 0 or seen.n_frames < 40


def test_a_missing_mediapipe_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    with pytest.raises(BahError) as caught:
        MediapipeBackend()
    assert isinstance(caught.value, PrerequisiteError)
    assert "bah-mllm[cues]" in caught.value.remedy


def test_a_mediapipe_that_carries_no_models_is_said(monkeypatch):
    without_models = ModuleType("mediapipe")
    without_models.__version__ = "1.2.2"
    monkeypatch.setitem(sys.modules, "mediapipe", without_models)
    with pytest.raises(PrerequisiteError, match=r"1\.2\.2") as caught:
        MediapipeBackend()
    assert "mediapipe==0.10.21" in caught.value.remedy
