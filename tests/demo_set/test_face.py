"""What is planted in the picture can be measured with a face mesh that knows nothing of how it was drawn."""

from functools import cache
from itertools import pairwise

import av
import numpy as np
import pytest

# mediapipe and its helpers warn about their own insides.
pytestmark = pytest.mark.filterwarnings("ignore")

FPS = 24
SUBSET = ("90001_Question_4", "90002_Question_7", "90007_Question_7")
EVERY = 4
RIGID = [33, 133, 263, 362, 168, 6, 197, 195, 4, 10, 151, 9, 127, 356, 234, 454]


class Face:
    """Mesh points of some frames of one video, and what is measured on them."""

    def __init__(self, points, t_s):
        self.points, self.t_s = points, t_s
        self.found = ~np.isnan(points[:, 0, 0])
        self.span = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
        middle = (points[:, 33] + points[:, 263]) / 2
        down = points[:, 152] - points[:, 10]
        down /= np.linalg.norm(down, axis=1)[:, None]
        ear = sum(
            (self.gap(a, b) + self.gap(c, d)) / (4 * self.gap(e, f))
            for a, b, c, d, e, f in ((160, 144, 158, 153, 33, 133), (385, 380, 387, 373, 362, 263))
        )
        self.signals = {
            "eye": ear / np.nanpercentile(ear, 75),
            "brow": -(((points[:, 105] + points[:, 334]) / 2 - middle) * down).sum(1) / self.span,
            "width": np.linalg.norm(points[:, 61] - points[:, 291], axis=1) / self.span,
            "opening": self.gap(13, 14) / self.span,
            "gaze": (self.iris(468, 33, 133) + self.iris(473, 362, 263)) / 2,
        }
        self.signals |= dict(zip(("yaw", "pitch", "roll"), self.head_angles().T, strict=True))

    def gap(self, a, b):
        return np.linalg.norm(self.points[:, a, :2] - self.points[:, b, :2], axis=1)

    def iris(self, iris, left, right):
        x = self.points[:, :, 0]
        return (x[:, iris] - x[:, left]) / (x[:, right] - x[:, left])

    def head_angles(self):
        """Yaw (nose to the image's right), pitch (nose up), roll (clockwise), degrees, against the usual pose."""
        shape = (self.points - self.points[:, [168]]) / self.span[:, None, None]
        usual = np.nanmedian(shape[:, RIGID], axis=0)
        angles = np.full((len(shape), 3), np.nan)
        for k in np.flatnonzero(self.found):
            now = shape[k, RIGID]
            u, _, vt = np.linalg.svd((usual - usual.mean(0)).T @ (now - now.mean(0)))
            r = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
            angles[k] = [
                np.arctan2(-r[0, 2], r[2, 2]),
                np.arcsin(np.clip(r[1, 2], -1, 1)),
                np.arctan2(r[1, 0], r[1, 1]),
            ]
        return np.degrees(angles)

    def during(self, name, event, *, margin_s=0.0):
        """A signal inside an event, less its median over the video."""
        inside = (self.t_s >= event["start_s"] + margin_s) & (self.t_s <= event["stop_s"] - margin_s)
        return self.signals[name][inside & self.found] - (name != "eye") * np.nanmedian(self.signals[name])


def measure(path, every):
    mediapipe = pytest.importorskip("mediapipe")
    points, t_s = [], []
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=every > 1, refine_landmarks=True)
    with mesh, av.open(str(path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k % every:
                continue
            image = frame.to_ndarray(format="rgb24")
            faces = mesh.process(image).multi_face_landmarks
            points.append([[m.x, m.y, m.z] for m in faces[0].landmark] if faces else np.full((478, 3), np.nan))
            t_s.append((k + 0.5) / FPS)
    scale = [image.shape[1], image.shape[0], image.shape[1]]
    return Face(np.array(points) * scale, np.array(t_s))


@pytest.fixture(scope="module")
def face_of(root):
    return cache(lambda video_id, every: measure(root / video_id, every))


def swings(values, size):
    """How often a signal goes from beyond +size to beyond -size or back."""
    sides = [np.sign(v) for v in values if abs(v) > size]
    return sum(a != b for a, b in pairwise(sides))


def sideways(event):
    return -1 if event.get("side") == "left" else 1


def is_there(face, event):
    """Whether the cue of an event shows where it was planted; rules as for real faces."""
    code, sign = event["code"], sideways(event)
    inner = face.during
    checks = {
        "face.blink": lambda: inner("eye", event).min() < 0.35,
        "face.close_2": lambda: inner("eye", event, margin_s=0.08).max() < 0.45,
        "face.eyebrow": lambda: np.median(inner("brow", event, margin_s=0.1)) > 0.03,
        "face.smile": lambda: np.median(inner("width", event, margin_s=0.15)) > 0.05,
        "face.gaze": lambda: sign * np.median(inner("gaze", event, margin_s=0.1)) > 0.09,
        "face.hanging": lambda: inner("opening", event, margin_s=0.1).min() > 0.08,
        "body.look_away": lambda: (sign * inner("yaw", event, margin_s=0.2)).min() > 14,
        "body.tilt": lambda: (sign * inner("roll", event, margin_s=0.2)).min() > 10,
        "body.shake": lambda: swings(inner("yaw", event), 4) >= 3,
        "body.nod": lambda: swings(inner("pitch", event), 3) >= 3,
    }
    return bool(checks[code]())


def seen(rows):
    return [e for e in rows if e["code"].startswith(("face.", "body."))]


def test_the_face_is_found_and_its_cues_show_in_a_few_videos(face_of, events):
    for name in SUBSET:
        video_id = next(v for v in events if name in v)
        face = face_of(video_id, EVERY)
        assert face.found.mean() >= 0.95, video_id
        # Every fourth frame can step over a blink.
        for event in (e for e in seen(events[video_id]) if e["code"] != "face.blink"):
            assert is_there(face, event) or event["code"] in {"body.shake", "body.nod"}, (video_id, event)


@pytest.mark.slow
def test_the_mouth_moves_while_speaking_and_rests_in_pauses(face_of, events, words):
    for name in SUBSET:
        video_id = next(v for v in events if name in v)
        face = face_of(video_id, EVERY)
        opening = face.signals["opening"]
        spoken = np.zeros(len(opening), dtype=bool)
        for word in words[video_id]["words"]:
            spoken |= (face.t_s > word["start_s"]) & (face.t_s < word["stop_s"])
        pauses = [e for e in events[video_id] if e["code"] == "audio.pause"]
        assert pauses
        for pause in pauses:
            silent = (face.t_s > pause["start_s"] + 0.15) & (face.t_s < pause["stop_s"] - 0.15)
            assert np.median(opening[silent]) < 0.4 * np.percentile(opening[spoken], 75), (video_id, pause)


@pytest.mark.slow
def test_the_face_is_found_in_nearly_every_frame_of_every_video(face_of, events):
    share = {video_id: face_of(video_id, 1).found.mean() for video_id in events}
    assert min(share.values()) >= 0.95, share


@pytest.mark.slow
def test_every_planted_cue_of_face_and_head_shows_where_it_was_planted(face_of, events):
    missed = [e for v, rows in events.items() for e in seen(rows) if not is_there(face_of(v, 1), e)]
    assert missed == []


@pytest.mark.slow
def test_head_and_lids_are_calm_where_nothing_is_planted(face_of, events):
    """No look-away, tilt or closed eye shows outside the planted events."""
    for video_id, rows in events.items():
        face = face_of(video_id, 1)
        free = face.found.copy()
        for event in seen(rows):
            free &= (face.t_s < event["start_s"] - 0.25) | (face.t_s > event["stop_s"] + 0.25)
        for name, limit in (("yaw", 8), ("pitch", 8), ("roll", 6)):
            calm = face.signals[name][free] - np.nanmedian(face.signals[name])
            assert np.abs(calm).max() < limit, (video_id, name)
        assert face.signals["eye"][free].min() > 0.5, video_id
