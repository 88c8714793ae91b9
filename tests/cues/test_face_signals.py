"""Signals of a face are those of its pose and its expression, whatever the other does."""

from dataclasses import replace

import numpy as np
import pytest

from bah_mllm.cues import face
from bah_mllm.cues.records import Track
from tests.cues.planted import FACE, FPS, Person, face_at, face_tracks


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
