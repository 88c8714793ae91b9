"""A synthetic face and body, what is planted in them, and how what is found is compared with that."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bah_mllm.cues import body, face
from bah_mllm.cues.baselines import pool
from bah_mllm.cues.body_events import body_events
from bah_mllm.cues.face_events import face_events
from bah_mllm.cues.records import CueEvent, Track, in_order

FPS, BODY_HZ = 24, 4
LENGTH_S = 112.0
CLAMPS, POPULATION = face.CLAMPS | body.CLAMPS, face.POPULATION | body.POPULATION
NEUTRAL = np.loadtxt(Path(__file__).parents[2] / "scripts" / "build_demo_set" / "neutral_face.txt")
IRISES = {468: (33, 133), 473: (263, 362)}
UPPER_LIDS = {"left": (160, 158), "right": (387, 385)}
LOWER_LIDS = {"left": (144, 153), "right": (373, 380)}
BROWS = {"left": (63, 105, 66, 107), "right": (293, 334, 296, 336)}
CORNER = {"left": 61, "right": 291}


@dataclass(frozen=True)
class Planted:
    """An event, and what moves by how much: parameter of ``face_at`` or ``body_at`` -> size."""

    code: str
    start_s: float
    stop_s: float
    moves: dict[str, float]
    side: str | None = None
    slack_s: float = 0.2
    wave_hz: float = 0.0


FACE = [
    Planted("face.blink", 2.0, 2.2, {"close_left": 1, "close_right": 1}),
    Planted("face.blink", 4.0, 4.15, {"close_left": 1, "close_right": 1}),
    Planted("face.close_2", 6.0, 6.8, {"close_left": 1, "close_right": 1}, "both"),
    Planted("face.close_1", 9.0, 9.5, {"close_left": 1}, "one"),
    Planted("face.squint", 12.0, 12.8, {"close_left": 0.15, "close_right": 0.15, "lids_up": 0.02}, "both"),
    Planted("face.frown", 15.0, 15.8, {"brows_in": 0.025, "brow_left": -0.02, "brow_right": -0.02}),
    Planted("face.eyebrow", 18.0, 18.8, {"brow_left": 0.05, "brow_right": 0.05}, "both"),
    Planted("face.eyebrow", 21.0, 21.8, {"brow_left": 0.05}, "one"),
    Planted("face.eyebrow", 23.0, 23.6, {"brow_left": -0.03, "brow_right": -0.03}, "down"),
    Planted("face.gaze", 25.0, 26.0, {"gaze_x": 0.15}, "side"),
    Planted("face.gaze", 27.0, 27.6, {"gaze_y": -0.1}, "up"),
    Planted("face.open", 28.5, 29.2, {"close_left": -0.25, "close_right": -0.25}, "both"),
    Planted("face.smile", 30.5, 31.7, {"wide": 0.06, "lift_left": 0.04, "lift_right": 0.04}, "both"),
    Planted("face.pout", 33.0, 34.0, {"wide": -0.1}),
    Planted("face.pout", 35.0, 35.8, {"lift_left": -0.05, "lift_right": -0.05}),
    Planted("face.lip_press", 37.0, 37.8, {"thin": 0.06}),
    Planted("face.hanging", 39.0, 40.2, {"open": 0.2}),
    Planted("face.mouth", 42.0, 42.8, {"lift_left": 0.08, "lift_right": -0.02}),
    Planted("body.look_away", 45.0, 46.2, {"yaw": 22}, "side"),
    Planted("body.look_away", 48.0, 49.0, {"pitch": 16}, "down"),
    Planted("body.look_away", 50.0, 50.8, {"pitch": -16}, "up"),
    Planted("body.shake", 52.0, 54.0, {"yaw": 7}, wave_hz=1.5),
    Planted("body.nod", 56.0, 57.5, {"pitch": 6}, wave_hz=2.0),
    Planted("body.tilt", 59.5, 61.0, {"roll": 14}, "side"),
    Planted("face.eye_roll", 69.0, 69.8, {"roll_eyes": 0.25}),
    *(Planted("face.blink", s, s + 0.17, {"close_left": 1, "close_right": 1}) for s in 75 + 0.8 * np.arange(11)),
    Planted("face.close_2", 75.0, 83.2, {}, slack_s=5.0),  # blinks more often: half of the 10 s that are counted over
    Planted("body.posture", 88.0, 89.5, {"near": 0.15}),
]
THROW = [  # one fast turn into another pose, which is also looking away
    Planted("body.throw", 64.0, 64.12, {"yaw": 40}),
    Planted("body.look_away", 64.05, 66.0, {}, "side"),
]
SPEECH = [(95.0, 101.0)]
BODY = [
    Planted("body.shrug", 5.0, 6.0, {"shrug": 0.17}, slack_s=0.3),
    Planted("body.posture", 10.0, 12.0, {"shift": 0.2}, slack_s=0.3),
    Planted("body.posture", 15.0, 17.0, {"slope": 9}, slack_s=0.3),
    Planted("body.hands", 20.0, 23.0, {"wave": 1}, slack_s=0.5),
    Planted("body.scratch", 26.0, 28.0, {"rub": 1}, slack_s=0.3),
    Planted("body.restless", 32.0, 38.0, {"sway": 0.05}, slack_s=1.5, wave_hz=1.0),
    Planted("body.sigh", 44.0, 46.5, {"shrug": 0.07}, slack_s=0.5),
]
BREATHS = [(45.0, 46.5)]


def ramp(t_s, planted):
    """0 outside, 1 inside, half at start and stop; or a wave with whole periods."""
    if planted.wave_hz:
        inside = (t_s >= planted.start_s) & (t_s <= planted.stop_s)
        return inside * np.sin(2 * np.pi * planted.wave_hz * (t_s - planted.start_s))
    rise_s = 0.25 if {"yaw", "pitch", "roll"} & planted.moves.keys() else 0.08
    up = np.clip((t_s - planted.start_s) / rise_s + 0.5, 0, 1)
    return np.minimum(up, np.clip((planted.stop_s - t_s) / rise_s + 0.5, 0, 1))


def moves_over_time(t_s, events):
    total = {}
    for event in events:
        for name, size in event.moves.items():
            total[name] = total.get(name, np.zeros(len(t_s))) + size * ramp(t_s, event)
    return total


@dataclass(frozen=True)
class Person:
    """A resting face: how it differs from the neutral one, and where it is in the picture."""

    brows: float = 0.0
    mouth: float = 1.0
    corners: float = 0.0
    lids: float = 0.0
    length: float = 1.0
    pitch: float = 0.0
    roll: float = 0.0
    span_px: float = 80.0
    place_px: tuple[float, float] = (240.0, 150.0)
    is_mirrored: bool = False
    seed: int = 5

    def shape(self):
        points = np.vstack([NEUTRAL, np.zeros((10, 3))])
        points[:, 1] *= self.length
        for side in ("left", "right"):
            points[list(BROWS[side]), 1] -= self.brows
            points[CORNER[side], 1] -= self.corners
            points[CORNER[side], 0] *= self.mouth
            points[list(UPPER_LIDS[side]), 1] += self.lids
        points[[14, 17], 1] += 0.01
        for iris, corners in IRISES.items():
            points[iris] = points[list(corners)].mean(axis=0)
        return points


def face_at(person, m):
    """Mesh points over time in pixels for moves ``m``: name -> sizes over time."""
    n = len(next(iter(m.values())))
    get = lambda name: m.get(name, np.zeros(n))[:, None]  # noqa: E731
    points = np.repeat(person.shape()[None], n, axis=0)
    for side, sign in (("left", -1), ("right", 1)):
        upper, lower = list(UPPER_LIDS[side]), list(LOWER_LIDS[side])
        points[:, lower, 1] -= get("lids_up")
        points[:, upper, 1] += get(f"close_{side}") * 0.95 * (points[:, lower, 1] - points[:, upper, 1])
        points[:, list(BROWS[side]), 1] -= get(f"brow_{side}")
        points[:, BROWS[side][3], 0] -= sign * get("brows_in")[:, 0]
        points[:, CORNER[side], 0] += sign * get("wide")[:, 0] / 2
        points[:, CORNER[side], 1] -= get(f"lift_{side}")[:, 0]
    points[:, [14, 17], 1] += get("open")
    points[:, 0, 1] += get("thin")[:, 0] / 2
    points[:, 17, 1] -= get("thin")[:, 0] / 2
    arc = get("roll_eyes")[:, 0]
    for iris, (outer, inner) in IRISES.items():
        width = abs(person.shape()[outer, 0] - person.shape()[inner, 0])
        sweep = np.gradient(arc) * 3  # to one side on the way up, to the other on the way down
        points[:, iris, 0] += width * (get("gaze_x")[:, 0] + sweep)
        points[:, iris, 1] += width * (get("gaze_y")[:, 0] - arc)
    if person.is_mirrored:
        points = points[:, MIRROR] * (-1, 1, 1)
        m = m | {"yaw": -get("yaw")[:, 0], "roll": -get("roll")[:, 0]}
    turned = np.einsum("fij,fpj->fpi", rotations(get, m, person), points)
    size = person.span_px * (1 + get("near"))[:, :, None]
    noise = np.random.default_rng(person.seed).normal(0, 0.001, turned.shape)
    return (turned + noise) * size + (*person.place_px, 0)


def _mirror_map():
    """Which point each point becomes in a mirror, found on the symmetric neutral face."""
    flipped = NEUTRAL * (-1, 1, 1)
    partner = [int(np.argmin(np.linalg.norm(NEUTRAL - point, axis=1))) for point in flipped]
    return [*partner, 473, 474, 475, 476, 477, 468, 469, 470, 471, 472]


MIRROR = _mirror_map()


def rotations(get, m, person):
    """Yaw turns the nose to the image's right, pitch down, roll clockwise."""
    n = len(next(iter(m.values())))
    sign = -1 if person.is_mirrored else 1
    yaw, pitch, roll = (
        np.radians(m.get(name, np.zeros(n)) + rest)
        for name, rest in (("yaw", 0.0), ("pitch", person.pitch), ("roll", sign * person.roll))
    )
    one, zero = np.ones(n), np.zeros(n)
    about_y = [[np.cos(yaw), zero, -np.sin(yaw)], [zero, one, zero], [np.sin(yaw), zero, np.cos(yaw)]]
    about_x = [[one, zero, zero], [zero, np.cos(pitch), -np.sin(pitch)], [zero, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), zero], [np.sin(roll), np.cos(roll), zero], [zero, zero, one]]
    y, x, z = (np.moveaxis(np.array(matrix), 2, 0) for matrix in (about_y, about_x, about_z))
    return z @ y @ x


def face_tracks(person, events, length_s=LENGTH_S, speech=SPEECH, height_px=360.0, throw=THROW):
    t_s = np.arange(round(length_s * FPS)) / FPS
    m = {"yaw": np.zeros(len(t_s))} | moves_over_time(t_s, events)
    for planted in throw:
        for name, size in planted.moves.items():
            m[name] = m[name] + size * np.clip((t_s - 64) / 0.12, 0, 1) * np.clip((66.3 - t_s) / 0.6, 0, 1)
    for start_s, stop_s in speech:
        inside = (t_s >= start_s) & (t_s < stop_s)
        m["open"] = m.get("open", 0) + inside * 0.12 * (1 + np.sin(2 * np.pi * 3.3 * t_s))
        m["wide"] = m.get("wide", 0) - inside * 0.12 * (1 + np.sin(2 * np.pi * 1.3 * t_s)) / 2
    points = face_at(person, m)
    signals = face.face_signals(points, height_px)
    return face.derived_face_tracks({name: Track(t_s, values) for name, values in signals.items()})


def body_tracks(events, *, length_s=LENGTH_S, is_mirrored=False, scale=1.0, shift=0.0):
    t_s = np.arange(round(length_s * BODY_HZ)) / BODY_HZ
    rng = np.random.default_rng(3)
    m = moves_over_time(t_s, events)
    get = lambda name: m.get(name, np.zeros(len(t_s)))  # noqa: E731
    pose = np.zeros((len(t_s), 33, 4))
    pose[:, :, 3] = 1.0
    width = 0.6
    x, slope = (get("shift") + get("sway") / width) * width, np.radians(get("slope"))
    for point, sign in ((11, 1), (12, -1)):
        pose[:, point, 0] = 0.66 + x + sign * width / 2 * np.cos(slope)
        pose[:, point, 1] = 0.85 - get("shrug") * width * 0.8 + sign * width / 2 * np.sin(slope)
    pose[:, [7, 8], 1] = 0.4
    pose[:, 0, :2] = 0.66, 0.45
    hands = np.full((len(t_s), 2, 21, 3), np.nan)
    nose, span = np.full((len(t_s), 2), (0.66, 0.45)), np.full(len(t_s), 0.2)
    waving, rubbing = get("wave") > 0.5, get("rub") > 0.5
    sides = np.where(np.arange(len(t_s)) % 2, 0.12, -0.12)
    hands[waving, 0] = 0.0
    hands[waving, 0, :, 0] = (0.2 + sides)[waving, None]
    hands[waving, 0, :, 1] = 0.9
    hands[rubbing, 0] = 0.0
    hands[rubbing, 0, :, 0] = (0.66 + sides / 3)[rubbing, None]
    hands[rubbing, 0, :, 1] = 0.55
    pose[:, :, :2] += rng.normal(0, 0.0015, pose[:, :, :2].shape)
    for points in (pose, hands):
        points[..., 0] = (1.33 - points[..., 0]) if is_mirrored else points[..., 0]
        points[..., :2] = points[..., :2] * scale + (shift, 0)
    if is_mirrored:
        pose = pose[:, [*range(7), 8, 7, *range(9, 11), 12, 11, *range(13, 33)]]
        nose = np.stack([1.33 - nose[:, 0], nose[:, 1]], axis=1)
    return body.body_tracks(t_s, pose, hands, nose * scale + (shift, 0), span * scale)


@cache
def everything():
    return face_tracks(Person(), FACE) | body_tracks(BODY)


def baseline_of(*videos):
    return pool("p1", videos, CLAMPS, POPULATION)


def seen_events(tracks, baseline, speech, *, breaths=()):
    """All cues of face and body."""
    of_body = body_events(tracks, baseline, breaths=breaths)
    return in_order([*of_body, *face_events(tracks, baseline, speech, of_body=of_body)])


def found_in(tracks, baseline=None, speech=SPEECH, breaths=BREATHS):
    return seen_events(tracks, baseline or baseline_of(tracks), speech, breaths=breaths)


def mismatches(found, planted):
    """Events without a planted one within its slack at both ends and on its side, and the other way round."""
    left = list(found)
    missing = []
    for plan in planted:
        fits = [
            event
            for event in left
            if event.code == plan.code
            and abs(event.start_s - plan.start_s) <= plan.slack_s
            and abs(event.stop_s - plan.stop_s) <= plan.slack_s
            and (plan.side is None or event.side == plan.side)
        ]
        if fits:
            left.remove(fits[0])
        else:
            missing.append((plan.code, plan.start_s, plan.stop_s, plan.side))
    return {"missing": missing, "extra": [(e.code, e.start_s, e.stop_s, e.side, e.strength) for e in left]}


NOTHING = {"missing": [], "extra": []}
PEOPLE = {
    "plain": Person(),
    "mirrored": Person(is_mirrored=True),
    "shifted": Person(place_px=(380.0, 210.0)),
    "smaller": Person(span_px=40.0),
    "larger": Person(span_px=110.0),
    "other face": Person(brows=0.05, mouth=1.15, corners=-0.03, lids=0.015, length=1.06, pitch=6, roll=-4, seed=8),
    "another": Person(brows=-0.03, mouth=0.85, corners=0.03, lids=-0.01, length=0.95, pitch=-5, roll=5, seed=9),
    "another, mirrored": Person(brows=-0.03, mouth=0.85, corners=0.03, length=0.95, roll=5, is_mirrored=True),
}


def codes(events: list[CueEvent]) -> list[str]:
    return [event.code for event in events]
