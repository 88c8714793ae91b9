"""Cues planted in the points of a synthetic face are found where they were planted, and nowhere else."""

import pytest

from bah_mllm.cues.codes import CONFIDENCE
from bah_mllm.cues.records import Track
from tests.cues.planted import (
    BODY,
    FACE,
    NOTHING,
    PEOPLE,
    THROW,
    Person,
    Planted,
    baseline_of,
    body_tracks,
    codes,
    face_tracks,
    found_in,
    mismatches,
)


@pytest.mark.parametrize("person", PEOPLE.values(), ids=PEOPLE.keys())
def test_each_planted_cue_of_face_and_head_is_found_and_no_other(person):
    assert mismatches(found_in(face_tracks(person, FACE)), [*FACE, *THROW]) == NOTHING


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


def test_what_fills_a_video_shows_against_the_other_videos_of_the_person():
    pucker = face_tracks(Person(), [Planted("", 2.0, 24.0, {"wide": -0.12})], length_s=25, speech=[], throw=[])
    others = [face_tracks(Person(seed=k), [], length_s=25, speech=[], throw=[]) for k in range(3)]
    assert "face.pout" not in codes(found_in(pucker, speech=[]))
    assert codes(found_in(pucker, baseline_of(pucker, *others), speech=[])) == ["face.pout"]


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
