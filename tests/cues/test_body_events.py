"""Cues planted in the points of a synthetic body are found where they were planted, and nowhere else."""

import numpy as np
import pytest

from bah_mllm.cues.codes import CONFIDENCE
from bah_mllm.cues.records import Track
from tests.cues.planted import (
    BODY,
    LENGTH_S,
    NOTHING,
    Person,
    Planted,
    body_tracks,
    codes,
    face_tracks,
    found_in,
    mismatches,
)


@pytest.mark.parametrize(
    "frame",
    [{}, {"is_mirrored": True}, {"scale": 0.7}, {"shift": 0.3}],
    ids=["plain", "mirrored", "smaller", "shifted"],
)
def test_each_planted_cue_of_shoulders_and_hands_is_found_and_no_other(frame):
    tracks = face_tracks(Person(), [], length_s=50, throw=[]) | body_tracks(BODY, **frame)
    assert mismatches(found_in(tracks), BODY) == NOTHING


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
