"""Cues planted in the points of a synthetic face and body are found where they were planted, and nowhere else."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.cues import body, face
from bah_mllm.cues.codes import CODES, CONFIDENCE
from bah_mllm.cues.records import Baseline, CueEvent, Track, Usual
from bah_mllm.cues.usual import pool
from bah_mllm.cues.visual_events import visual_events

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


def test_shoulders_of_somebody_else_than_the_face_are_unknown():
    t_s = np.arange(8) / 4
    pose = np.ones((8, 33, 4)) * 0.5
    pose[:, 11, 0], pose[:, 12, 0] = 0.7, 0.3
    pose[4:, :, 0] += 0.6  # from now on the person beside
    hands, nose, span = np.full((8, 2, 21, 3), np.nan), np.full((8, 2), 0.5), np.full(8, 0.1)
    width = body.body_tracks(t_s, pose, hands, nose, span)["shoulder_width"].values
    assert width[:4] == pytest.approx(0.4)
    assert np.isnan(width[4:]).all()
    no_face = body.body_tracks(t_s, pose, hands, nose * np.nan, span * np.nan)["shoulder_width"].values
    assert no_face == pytest.approx(0.4)


def baseline_of(*videos):
    return pool("p1", videos, CLAMPS, POPULATION)


def found_in(tracks, baseline=None, speech=SPEECH, breaths=BREATHS):
    return visual_events(tracks, baseline or baseline_of(tracks), speech, breaths=breaths)


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


@pytest.mark.parametrize("person", PEOPLE.values(), ids=PEOPLE.keys())
def test_each_planted_cue_of_face_and_head_is_found_and_no_other(person):
    assert mismatches(found_in(face_tracks(person, FACE)), [*FACE, *THROW]) == NOTHING


@pytest.mark.parametrize(
    "frame",
    [{}, {"is_mirrored": True}, {"scale": 0.7}, {"shift": 0.3}],
    ids=["plain", "mirrored", "smaller", "shifted"],
)
def test_each_planted_cue_of_shoulders_and_hands_is_found_and_no_other(frame):
    tracks = face_tracks(Person(), [], length_s=50, throw=[]) | body_tracks(BODY, **frame)
    assert mismatches(found_in(tracks), BODY) == NOTHING


def test_every_row_that_the_codebook_calls_detectable_in_the_picture_has_a_planted_cue():
    rows = {code for code, row in CODES.items() if code.startswith(("face.", "body.")) and row.detectable}
    assert rows == {planted.code for planted in [*FACE, *THROW, *BODY]}


def test_a_calm_person_shows_nothing():
    assert found_in(face_tracks(Person(), [], length_s=50, throw=[]) | body_tracks([])) == []


def test_an_event_says_how_sure_it_is_and_what_was_usual():
    tracks = face_tracks(Person(), [Planted("body.tilt", 10.0, 11.5, {"roll": 14})], length_s=40, throw=[])
    (tilt,) = found_in(tracks)
    assert tilt.confidence == CONFIDENCE[CODES["body.tilt"].grade] == 1.0
    assert (tilt.unit, tilt.source) == ("deg", "facemesh")
    assert tilt.usual == pytest.approx(0, abs=0.5)
    assert tilt.value == pytest.approx(14, abs=1)
    half_known = {name: hide(track, (9.5, 10.0), (11.5, 12.0)) for name, track in tracks.items()}
    (tilt,) = found_in(half_known)
    assert tilt.confidence == pytest.approx(1.5 / 2.5, abs=0.05)


def hide(track, *spans):
    values = track.values.copy()
    for start_s, stop_s in spans:
        values[(track.t_s > start_s) & (track.t_s < stop_s)] = np.nan
    return Track(track.t_s, values)


@pytest.mark.parametrize(
    ("moves", "code", "signal"),
    [
        ({"brow_right": 0.05}, "face.eyebrow", "brow_right"),
        ({"brow_left": 0.05}, "face.eyebrow", "brow_left"),
        ({"gaze_y": -0.1}, "face.gaze", "gaze_y"),
        ({"gaze_x": 0.15}, "face.gaze", "gaze_x"),
        ({"lift_left": -0.05, "lift_right": -0.05}, "face.pout", "corner"),
    ],
)
def test_the_value_told_is_that_of_the_signal_that_moved(moves, code, signal):
    tracks = face_tracks(Person(), [Planted(code, 10.0, 11.5, moves)], length_s=40, throw=[])
    (event,) = found_in(tracks)
    assert event.code == code
    names = [name for name in tracks if name.startswith(signal)]
    extremes = [v for n in names for v in (np.nanmin(tracks[n].values), np.nanmax(tracks[n].values))]
    assert min(abs(event.value - extreme) for extreme in extremes) < 1e-3
    assert abs(event.value - event.usual) > 0.03


@pytest.mark.parametrize(("yaw", "strength"), [(14, 1), (24, 2), (40, 3)])
def test_a_larger_movement_is_a_stronger_event(yaw, strength):
    (event,) = found_in(
        face_tracks(Person(), [Planted("body.look_away", 5.0, 7.0, {"yaw": yaw})], length_s=40, throw=[])
    )
    assert (event.code, event.strength) == ("body.look_away", strength)


def codes(events: list[CueEvent]) -> list[str]:
    return [event.code for event in events]


def test_the_mouth_is_not_judged_while_speaking_but_smiles_are():
    during = [
        Planted("face.hanging", 96.0, 97.0, {"open": 0.25}),
        Planted("face.pout", 97.5, 98.3, {"wide": -0.1}),
        Planted("face.smile", 99.0, 100.2, {"wide": 0.2, "lift_left": 0.06, "lift_right": 0.06}),
    ]
    tracks = face_tracks(Person(), during, throw=[])
    assert set(codes(found_in(tracks))) == {"face.smile"}
    assert {"face.hanging", "face.pout"} & set(codes(found_in(tracks, speech=[])))


def test_lids_lowered_to_look_down_are_not_closed_eyes():
    lowered = {"close_left": 0.62, "close_right": 0.62}  # to 0.4 of the usual opening
    down = Planted("body.look_away", 8.0, 10.0, lowered | {"pitch": 16, "gaze_y": 0.1})
    straight = Planted("face.close_2", 14.0, 16.0, lowered)
    found = codes(found_in(face_tracks(Person(), [down, straight], length_s=40, throw=[])))
    assert sorted(found) == ["body.look_away", "face.close_2"]


def test_eyes_shut_with_the_head_down_are_less_certain_than_straight_ahead():
    shut = {"close_left": 1, "close_right": 1}
    events = [Planted("", 8.0, 10.0, shut | {"pitch": 16}), Planted("", 14.0, 16.0, shut)]
    down, straight = (
        event
        for event in found_in(face_tracks(Person(), events, length_s=40, throw=[]))
        if event.code == "face.close_2"
    )
    assert down.confidence == pytest.approx(CONFIDENCE["B"], abs=0.05)
    assert straight.confidence == CONFIDENCE["A"]


def test_a_smile_that_thins_the_lips_is_no_lip_press():
    smile = Planted("face.smile", 5.0, 6.5, {"wide": 0.07, "lift_left": 0.04, "lift_right": 0.04, "thin": 0.06})
    assert codes(found_in(face_tracks(Person(), [smile], length_s=40, throw=[]))) == ["face.smile"]


def test_a_smile_of_one_corner_has_one_side():
    smile = Planted("face.smile", 5.0, 6.5, {"wide": 0.05, "lift_left": 0.04, "lift_right": 0.01})
    (event,) = found_in(face_tracks(Person(), [smile], length_s=40, throw=[]))
    assert (event.code, event.side) == ("face.smile", "one")


def test_a_lively_head_must_move_more_for_a_nod_than_a_calm_one():
    def nods_beside(sway_deg):
        swaying = Planted("", 0.0, LENGTH_S, {"pitch": sway_deg}, wave_hz=1.0)
        nod = Planted("body.nod", 30.0, 32.0, {"pitch": 4.5}, wave_hz=2.0)
        return [
            event
            for event in found_in(face_tracks(Person(), [swaying, nod], length_s=40, throw=[]))
            if event.code == "body.nod"
        ]

    assert len(nods_beside(0.5)) == 1
    assert nods_beside(3.5) == []


def test_a_head_that_leans_to_one_shoulder_and_then_to_the_other_tilts_twice():
    planted = [Planted("body.tilt", 10.0, 11.5, {"roll": 14}), Planted("body.tilt", 11.55, 13.0, {"roll": -14})]
    assert mismatches(found_in(face_tracks(Person(), planted, length_s=40, throw=[])), planted) == NOTHING


def test_a_single_turn_of_the_head_and_back_is_no_shake():
    turn = Planted("body.look_away", 5.0, 6.0, {"yaw": 20})
    assert codes(found_in(face_tracks(Person(), [turn], length_s=40, throw=[]))) == ["body.look_away"]


def test_a_camera_that_stands_elsewhere_in_another_video_is_not_a_turned_head():
    turned = face_tracks(Person(), [Planted("", -5.0, 200.0, {"yaw": 20})], length_s=30, speech=[], throw=[])
    straight = [face_tracks(Person(seed=k), [], length_s=30, speech=[], throw=[]) for k in range(3)]
    assert found_in(turned, baseline_of(turned, *straight), speech=[]) == []


def test_what_fills_a_video_shows_against_the_other_videos_of_the_person():
    pucker = face_tracks(Person(), [Planted("", 2.0, 24.0, {"wide": -0.12})], length_s=25, speech=[], throw=[])
    others = [face_tracks(Person(seed=k), [], length_s=25, speech=[], throw=[]) for k in range(3)]
    assert "face.pout" not in codes(found_in(pucker, speech=[]))
    assert codes(found_in(pucker, baseline_of(pucker, *others), speech=[])) == ["face.pout"]


def test_one_short_video_is_compared_with_the_population():
    smile = [Planted("face.smile", 4.0, 5.5, {"wide": 0.15, "lift_left": 0.06, "lift_right": 0.06})]
    tracks = face_tracks(Person(), smile, length_s=8, speech=[], throw=[])
    baseline = baseline_of(tracks)
    assert baseline.scope == "population"
    smiles = [event for event in found_in(tracks, baseline, speech=[]) if event.code == "face.smile"]
    assert smiles
    assert all(event.usual is None for event in smiles)


@pytest.mark.parametrize("person", ["plain", "other face", "another"])
def test_the_resting_face_of_an_unknown_person_is_no_cue(person):
    tracks = face_tracks(PEOPLE[person], [FACE[0], FACE[2]], length_s=9, speech=[], throw=[])
    assert baseline_of(tracks).scope == "population"
    assert codes(found_in(tracks, speech=[])) == ["face.blink", "face.close_2"]


def test_four_frames_a_second_show_movements_but_no_blinks():
    tracks = face_tracks(
        Person(), [*FACE[:2], Planted("body.look_away", 15.0, 17.0, {"yaw": 22})], length_s=40, throw=[]
    )
    sparse = {name: Track(track.t_s[::6], track.values[::6]) for name, track in tracks.items() if len(track.t_s) > 200}
    assert codes(found_in(sparse)) == ["body.look_away"]


def test_an_eye_behind_a_hand_is_not_a_wink():
    wink = face_tracks(Person(), [Planted("face.close_1", 26.4, 27.0, {"close_left": 1})], length_s=40, throw=[])
    assert codes(found_in(wink)) == ["face.close_1"]
    assert codes(found_in(wink | body_tracks([BODY[4]]))) == ["body.scratch"]


def test_a_hand_that_rests_at_the_face_is_less_certain_than_one_that_rubs_it():
    tracks = face_tracks(Person(), [], length_s=50, throw=[]) | body_tracks([BODY[4]])
    still = replace_values(tracks, "hand_speed", 0.0)
    (rubbing,), (resting,) = found_in(tracks), found_in(still)
    assert rubbing.code == resting.code == "body.scratch"
    assert resting.confidence == pytest.approx(rubbing.confidence * CONFIDENCE["C"] / CONFIDENCE["B"], abs=0.01)


def replace_values(tracks, name, value):
    return tracks | {name: Track(tracks[name].t_s, np.full(len(tracks[name].t_s), value))}


def test_raised_shoulders_without_a_breath_are_no_sigh():
    tracks = face_tracks(Person(), [], length_s=50, throw=[]) | body_tracks([BODY[6]])
    assert codes(found_in(tracks)) == ["body.sigh"]
    assert found_in(tracks, breaths=[]) == []


def unknown(tracks):
    return {name: Track(track.t_s, np.full(len(track.t_s), np.nan)) for name, track in tracks.items()}


def test_a_face_that_is_never_seen_gives_no_events():
    tracks = face_tracks(Person(), FACE, length_s=30) | body_tracks(BODY, length_s=30)
    known = baseline_of(tracks)
    assert found_in(unknown(tracks), known) == []
    assert found_in(unknown(tracks)) == []
    assert found_in({}, known) == []
    assert found_in({name: Track(np.zeros(0), np.zeros(0)) for name in tracks}, known) == []


@pytest.mark.parametrize("n_samples", [1, 2, 3, 5])
def test_a_few_frames_are_enough_not_to_crash(n_samples):
    tracks = everything()
    few = {name: Track(track.t_s[:n_samples], track.values[:n_samples]) for name, track in tracks.items()}
    found_in(few)
    found_in(few, baseline_of(tracks))


@pytest.mark.parametrize("seed", range(8))
def test_wild_signals_give_valid_events_or_none(seed):
    """Holes, infinities, jumps of hours and values out of all bounds, as broken files may cause."""
    rng = np.random.default_rng(seed)
    tracks = everything()
    baseline = baseline_of(tracks)
    wild = {}
    for name, track in tracks.items():
        values = rng.normal(0, 10.0 ** rng.integers(-3, 4), len(track.values))
        values[rng.random(len(values)) < 0.3] = np.nan
        t_s = track.t_s + np.where(track.t_s > 20, 3000.0, 0)
        wild[name] = Track(t_s, values)
    for event in visual_events(wild, baseline, [(0.0, 5.0), (3.0, 4000.0)], breaths=[(1.0, 2.0)]):
        assert 0 <= event.start_s < event.stop_s
        assert event.value is None or np.isfinite(event.value)


def test_signals_without_anything_usual_are_passed_over():
    tracks = face_tracks(Person(), [Planted("body.tilt", 10.0, 11.5, {"roll": 14})], length_s=20, throw=[])
    only_roll = Baseline("p1", {"head_roll": Usual(0.0, 1.0)}, scope="participant")
    assert codes(found_in(tracks, only_roll)) == ["body.tilt"]


def test_head_angles_have_the_documented_signs():
    moves = {"yaw": 20.0, "pitch": 12.0, "roll": 9.0}
    for name, size in moves.items():
        points = face_at(replace(Person(), seed=1), {name: np.full(3, size)})
        nose = points[0, 4] - points[0, [33, 263]].mean(axis=0)
        straight = face_at(Person(), {name: np.zeros(3)})[0]
        nose_straight = straight[4] - straight[[33, 263]].mean(axis=0)
        signals = face.face_signals(points, 360.0)
        assert signals[f"head_{name}"] == pytest.approx(size, abs=0.7)
        others = [signals[f"head_{other}"][0] for other in moves if other != name]
        assert others == pytest.approx([0, 0], abs=0.7)
        if name == "yaw":
            assert nose[0] > nose_straight[0] + 5  # to the image's right
        if name == "pitch":
            assert nose[1] > nose_straight[1] + 5  # down
        if name == "roll":
            assert points[0, 263, 1] > points[0, 33, 1] + 5  # clockwise: the right eye is lower


def test_a_puckered_mouth_does_not_turn_the_head():
    """Poses from points that include the mouth corners flip when it puckers."""
    plain = face.face_signals(face_at(Person(), {"wide": np.zeros(4)}), 360.0)
    puckered = face.face_signals(face_at(Person(), {"wide": np.full(4, -0.4), "lift_left": np.full(4, 0.1)}), 360.0)
    for name in ("head_yaw", "head_pitch", "head_roll"):
        assert puckered[name] == pytest.approx(plain[name], abs=0.01)


def test_expressions_measure_the_same_on_a_turned_face():
    for name in ("yaw", "pitch", "roll"):
        turned = face.face_signals(face_at(Person(), {name: np.full(50, 15.0), "wide": np.full(50, 0.08)}), 360.0)
        straight = face.face_signals(face_at(Person(), {name: np.zeros(50), "wide": np.full(50, 0.08)}), 360.0)
        for signal in ("eye_left", "mouth_width", "brow_left", "corner_left", "lip_thickness"):
            assert np.median(turned[signal]) == pytest.approx(np.median(straight[signal]), abs=0.01), (name, signal)


def test_gaze_is_unknown_while_the_eyes_are_closed():
    tracks = face_tracks(Person(), [FACE[2]], length_s=12, speech=[], throw=[])
    inside = (tracks["gaze_x"].t_s > 6.1) & (tracks["gaze_x"].t_s < 6.7)
    assert np.isnan(tracks["gaze_x"].values[inside]).all()
    assert np.isfinite(tracks["gaze_x"].values[tracks["gaze_x"].t_s < 5.9]).all()


def test_the_band_of_a_signal_keeps_shaking_and_drops_slow_turns():
    t_s = np.arange(0, 20, 1 / FPS)
    middle = (t_s > 2) & (t_s < 18)
    for hz, kept in ((0.1, (0, 0.15)), (0.7, (0.6, 1.2)), (2.0, (0.8, 1.25)), (10.0, (0, 0.35))):
        swing = face.band(Track(t_s, 5 * np.sin(2 * np.pi * hz * t_s) + 30)).values[middle]
        assert kept[0] <= np.std(swing) / np.std(5 * np.sin(2 * np.pi * hz * t_s)) <= kept[1], hz
