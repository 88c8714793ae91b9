"""Events say what they rest on, and hold against any camera, gap and nonsense in the signals."""

import numpy as np
import pytest

from bah_mllm.cues.codes import CODES, CONFIDENCE
from bah_mllm.cues.records import Baseline, Track, Usual
from tests.cues.planted import (
    BODY,
    FACE,
    THROW,
    Person,
    Planted,
    baseline_of,
    body_tracks,
    codes,
    everything,
    face_tracks,
    found_in,
    seen_events,
)


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


def test_a_camera_that_stands_elsewhere_in_another_video_is_not_a_turned_head():
    turned = face_tracks(Person(), [Planted("", -5.0, 200.0, {"yaw": 20})], length_s=30, speech=[], throw=[])
    straight = [face_tracks(Person(seed=k), [], length_s=30, speech=[], throw=[]) for k in range(3)]
    assert found_in(turned, baseline_of(turned, *straight), speech=[]) == []


def test_one_short_video_is_compared_with_the_population():
    smile = [Planted("face.smile", 4.0, 5.5, {"wide": 0.15, "lift_left": 0.06, "lift_right": 0.06})]
    tracks = face_tracks(Person(), smile, length_s=8, speech=[], throw=[])
    baseline = baseline_of(tracks)
    assert baseline.scope == "population"
    smiles = [event for event in found_in(tracks, baseline, speech=[]) if event.code == "face.smile"]
    assert smiles
    assert all(event.usual is None for event in smiles)


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
    for event in seen_events(wild, baseline, [(0.0, 5.0), (3.0, 4000.0)], breaths=[(1.0, 2.0)]):
        assert 0 <= event.start_s < event.stop_s
        assert event.value is None or np.isfinite(event.value)


def test_signals_without_anything_usual_are_passed_over():
    tracks = face_tracks(Person(), [Planted("body.tilt", 10.0, 11.5, {"roll": 14})], length_s=20, throw=[])
    only_roll = Baseline("p1", {"head_roll": Usual(0.0, 1.0)})
    assert codes(found_in(tracks, only_roll)) == ["body.tilt"]
