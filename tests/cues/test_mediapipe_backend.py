"""Faces, bodies and hands of the demo set as mediapipe's own models see them."""

import json
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
import pytest

from bah_mllm.cues import body, face
from bah_mllm.cues.baselines import pool
from bah_mllm.cues.mediapipe_backend import MediapipeBackend
from bah_mllm.cues.perception import perceive
from tests.cues.planted import seen_events
from tests.cues.videos import grey, write_video

DEMO = Path(face.__file__).parents[1] / "dataset" / "demo_set"
FRAMES = {"face.close_2", "face.eyebrow", "face.smile", "face.hanging", "body.look_away", "body.tilt", "face.blink"}
FIRST, SECOND = "90001_Question_1", "90001_Question_6"


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


@pytest.mark.slow
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
