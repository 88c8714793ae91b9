"""One pass over a video gives the signals of the person in it, or says that nobody is seen, whatever it is like."""

import json
import struct
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from bah_mllm.core.errors import BahError, ConfigError, MediaError, PrerequisiteError
from bah_mllm.cues import backends, body, face, perception
from bah_mllm.cues.baselines import pool
from bah_mllm.cues.mediapipe_backend import MediapipeBackend
from bah_mllm.cues.perception import Sampling, perceive
from bah_mllm.media import FramePass
from tests.cues.conftest import seen_events

DEMO = Path(face.__file__).parents[1] / "dataset" / "demo_set"
FRAMES = {"face.close_2", "face.eyebrow", "face.smile", "face.hanging", "body.look_away", "body.tilt", "face.blink"}
FIRST, SECOND = "90001_Question_1", "90001_Question_6"


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


def write_video(path, pictures, fps=24, ticks_ms=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if ticks_ms is not None:
            from fractions import Fraction

            stream.codec_context.time_base = Fraction(1, 1000)
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if ticks_ms is not None:
                frame.pts, frame.time_base = ticks_ms[k], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def grey(n, height=48, width=64, level=100):
    return [np.full((height, width, 3), level, np.uint8)] * n


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


def test_a_missing_backward_or_absurd_time_is_the_usual_step_after_the_last():
    pass_ = FramePass(Path("v.mp4"))
    times = [pass_._advance(t_s) for t_s in (5.0, 0.05, None, 0.02, -3.0, 1e9, 0.35)]
    assert times == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35])


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
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", SimpleNamespace(__version__="1.2.2"))
    with pytest.raises(PrerequisiteError, match=r"1\.2\.2") as caught:
        MediapipeBackend()
    assert "mediapipe==0.10.21" in caught.value.remedy


# --- with the real models


@pytest.fixture(scope="module")
def backend():
    pytest.importorskip("mediapipe")
    with MediapipeBackend() as backend:
        yield backend


def demo_path(name):
    return next(DEMO.glob(f"Videos/*/*/{name}*.mp4"))


def demo_picture(name, k=12):
    with av.open(str(demo_path(name))) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == k:
                return frame.to_ndarray(format="rgb24")
    raise AssertionError


def beside(left, right):
    height = max(left.shape[0], right.shape[0])
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0)), constant_values=90) for p in (left, right)]
    return np.ascontiguousarray(np.hstack(padded))


def close_up(name, scale):
    """The middle of a demo picture, in which the face is."""
    from PIL import Image

    middle = Image.fromarray(demo_picture(name)[40:340, 100:380])
    return np.asarray(middle.resize((round(280 * scale), round(300 * scale))))


def eyes_x(points):
    return points[[33, 263], 0].mean()


def fresh_backend():
    pytest.importorskip("mediapipe")
    return MediapipeBackend()


def test_of_two_faces_the_larger_is_taken_and_followed_until_it_is_gone():
    large, small = close_up("90001_Question_1", 1.0), close_up("90003_Question_1", 0.7)
    both, swapped = beside(large, small), beside(small, large)
    with fresh_backend() as backend:
        first = [eyes_x(backend.face(both, k / 24)) for k in range(3)]
        assert max(first) < large.shape[1]
        # The larger one leaves: the other is taken, and kept when a larger one comes back elsewhere.
        alone = both.copy()
        alone[:, : large.shape[1]] = 90
        later = [backend.face(alone, 1.1 + k / 24) for k in range(6)]
        assert any(points is not None and eyes_x(points) > large.shape[1] for points in later)
        kept = [eyes_x(backend.face(both, 2.2 + k / 24)) for k in range(4)]
        assert min(kept) > large.shape[1]
    with fresh_backend() as backend:
        assert eyes_x(backend.face(swapped, 0.0)) > small.shape[1]


@pytest.mark.parametrize("picture", ["grey", "dark", "noise", "tiny", "sideways"])
def test_pictures_without_an_upright_face_show_nobody_or_a_face_but_never_crash(backend, picture):
    rng = np.random.default_rng(0)
    face_shown = demo_picture("90001_Question_1")
    rgb = {
        "grey": np.full((360, 480, 3), 120, np.uint8),
        "dark": (face_shown // 64).astype(np.uint8),
        "noise": rng.integers(0, 255, (360, 480, 3), dtype=np.uint8),
        "tiny": np.zeros((2, 2, 3), np.uint8),
        "sideways": np.ascontiguousarray(np.rot90(face_shown)),
    }[picture]
    backend._followed.place = None
    points = backend.face(rgb, 0.0)
    assert points is None or points.shape == (478, 3)
    pose = backend.pose(rgb, 0.0)
    assert pose is None or pose.shape == (33, 4)
    assert all(hand.shape == (21, 3) for hand in backend.hands(rgb, 0.0))
    if picture in {"grey", "noise", "tiny"}:
        assert points is None


def test_nobody_in_the_picture_gives_unknown_signals_and_no_events(tmp_path):
    pytest.importorskip("mediapipe")
    seen = perceive(write_video(tmp_path / "v.mp4", grey(24, 120, 160)))
    assert seen.face_share == seen.body_share == 0
    assert all(seen.tracks[name].share_known == 0 for name in ("eye_left", "head_roll", "shoulder_x"))
    baseline = pool("p1", [seen.tracks], face.CLAMPS | body.CLAMPS, face.POPULATION | body.POPULATION)
    assert (baseline.scope, baseline.n_frames) == ("population", 0) or baseline.n_frames == 0
    assert seen_events(seen.tracks, baseline, []) == []


def truth_of(video_id):
    rows = [json.loads(line) for line in (DEMO / "events.jsonl").read_text("utf-8").splitlines()]
    return [row for row in rows if row["video_id"] == video_id and row["code"].startswith(("face.", "body."))]


def speech_of(video_id):
    (path,) = (DEMO / "transcription" / video_id).glob("*.words.json")
    return [(word["start_s"], word["stop_s"]) for word in json.loads(path.read_text("utf-8"))["words"]]


def events_by_video(paths):
    seen = {path.relative_to(DEMO).as_posix(): perceive(path) for path in paths}
    by_person = defaultdict(list)
    for video_id, perceived in seen.items():
        by_person[video_id.split("/")[1]].append(perceived.tracks)
    clamps, population = face.CLAMPS | body.CLAMPS, face.POPULATION | body.POPULATION
    usual = {person: pool(person, tracks, clamps, population) for person, tracks in by_person.items()}
    found = {
        video_id: seen_events(perceived.tracks, usual[video_id.split("/")[1]], speech_of(video_id))
        for video_id, perceived in seen.items()
    }
    return found, sum(perceived.duration_s for perceived in seen.values()) / 60


def scores(found, minutes):
    """Code -> (recall, false events a minute); an event overlaps one planted cue, and each is counted once."""
    n_planted, n_hit, n_false = defaultdict(int), defaultdict(int), defaultdict(int)
    for video_id, events in found.items():
        left = list(events)
        for row in truth_of(video_id):
            n_planted[row["code"]] += 1
            for event in left:
                if event.code == row["code"] and event.start_s < row["stop_s"] and event.stop_s > row["start_s"]:
                    n_hit[row["code"]] += 1
                    left.remove(event)
                    break
        for event in left:
            n_false[event.code] += 1
    codes = n_planted.keys() | n_false.keys()
    return {
        code: (n_hit[code] / n_planted[code] if n_planted[code] else 1.0, n_false[code] / minutes) for code in codes
    }


def test_planted_cues_of_two_demo_videos_are_found_quietly(capfd):
    pytest.importorskip("mediapipe")
    found, minutes = events_by_video([demo_path(FIRST), demo_path(SECOND)])
    assert capfd.readouterr().err == ""
    for code, (recall, _) in scores(found, minutes).items():
        assert recall == 1.0, code
    n_false = sum(false for _, false in scores(found, minutes).values()) * minutes
    assert n_false <= 1, {video_id: [(e.code, e.start_s) for e in events] for video_id, events in found.items()}
    planted = [row for video_id in found for row in truth_of(video_id)]
    for row in planted:
        if row["code"] in {"face.blink", "face.smile", "face.eyebrow"}:
            errors = [
                max(abs(event.start_s - row["start_s"]), abs(event.stop_s - row["stop_s"]))
                for event in found[row["video_id"]]
                if event.code == row["code"]
            ]
            assert min(errors) <= 0.2, row


@pytest.mark.slow
def test_planted_cues_of_the_demo_set_are_found_with_few_false_ones():
    pytest.importorskip("mediapipe")
    found, minutes = events_by_video(sorted(DEMO.glob("Videos/*/*/*.mp4")))
    for code, (recall, false_per_min) in scores(found, minutes).items():
        assert recall >= 0.8, (code, recall)
        assert false_per_min <= 1, (code, false_per_min)


@pytest.mark.slow
def test_a_mirrored_video_shows_the_same_cues(tmp_path):
    pytest.importorskip("mediapipe")
    path = demo_path("90001_Question_4")
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24")[:, ::-1] for frame in container.decode(video=0)]
    mirrored = perceive(write_video(tmp_path / "v.mp4", pictures))
    seen = perceive(path)
    clamps, population = face.CLAMPS | body.CLAMPS, face.POPULATION | body.POPULATION
    events = [
        seen_events(p.tracks, pool("p1", [p.tracks], clamps, population), speech_of(path.relative_to(DEMO).as_posix()))
        for p in (seen, mirrored)
    ]
    summary = [[(event.code, event.side) for event in found] for found in events]
    assert summary[0] == summary[1]
    assert [e.start_s for e in events[0]] == pytest.approx([e.start_s for e in events[1]], abs=0.2)
