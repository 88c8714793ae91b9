"""Signals are kept under the content of the video and the settings, as releases before this one kept them."""

import hashlib
import json

import numpy as np
import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.cues.baselines import POPULATION, load_usual, save_baseline
from bah_mllm.cues.perception import Sampling
from bah_mllm.cues.records import Baseline, Track, Usual
from bah_mllm.cues.signals import Signals, SignalSettings, load_signals, save_signals, signals_file
from bah_mllm.cues.store import Observation, read_cues


def key_by_hand(settings, content):
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode() + content).hexdigest()


@pytest.mark.parametrize(
    "written",
    [
        {"version": 3, "models": None, "face_hz": 25.0, "body_hz": 3.0},
        {"version": 3, "models": "0123456789abcdef", "face_hz": 12.5, "body_hz": 3.0},
        {"version": 1, "face_hz": 25.0, "body_hz": 3.0},  # before there were models to choose
    ],
)
def test_the_settings_that_a_cue_folder_names_lead_to_the_signals_in_it(tmp_path, written):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"pictures")
    about = {"video_id": "a.mp4", "participant_id": "a", "duration_s": 1.0, "settings": {"backend": "m 1", **written}}
    (tmp_path / "a.mp4.cues.json").write_text(json.dumps(about))
    (tmp_path / "a.mp4.cues.jsonl").write_text("")
    observation, _ = read_cues(tmp_path, "a.mp4")
    file = signals_file(tmp_path, video, observation.settings)
    assert file == tmp_path / "signals" / f"{key_by_hand(written, b'pictures')}.npz"


def test_settings_of_signals_keep_their_names_and_order():
    settings = SignalSettings.of(Sampling(), None)
    written = settings.by("mediapipe 1").model_dump()
    assert written == {"backend": "mediapipe 1", "version": 4, "models": None, "face_hz": 25.0, "body_hz": 3.0}
    assert list(written) == ["backend", "version", "models", "face_hz", "body_hz"], "files stay the same to the byte"


def test_settings_of_a_later_release_are_refused(tmp_path):
    about = {"video_id": "a.mp4", "participant_id": "a", "duration_s": 1.0, "settings": {"lens": "wide"}}
    (tmp_path / "a.mp4.cues.json").write_text(json.dumps(about))
    (tmp_path / "a.mp4.cues.jsonl").write_text("")
    with pytest.raises(DataError, match=r"lens.*not permitted") as caught:
        read_cues(tmp_path, "a.mp4")
    assert "cues extract" in caught.value.remedy


def test_signals_come_back_as_they_were_kept(tmp_path):
    kept = Signals(
        {"head_yaw": Track(np.array([0.0, 0.5]), np.array([1.0, np.nan])), "level": Track(np.zeros(0), np.zeros(0))},
        speech=((0.25, 1.0),),
        duration_s=2.0,
        has_sound=True,
        backend="m 1",
        seconds={"face": 0.5},
    )
    save_signals(kept, tmp_path / "new" / "a.npz")
    read = load_signals(tmp_path / "new" / "a.npz")
    assert read.tracks.keys() == kept.tracks.keys()
    for name, track in kept.tracks.items():
        np.testing.assert_array_equal(read.tracks[name].t_s, track.t_s)
        np.testing.assert_array_equal(read.tracks[name].values, track.values)
    assert (read.speech, read.duration_s, read.has_sound, read.seconds) == (((0.25, 1.0),), 2.0, True, {"face": 0.5})


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_damaged_signals_are_named_with_a_remedy(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz are damaged") as caught:
        load_signals(tmp_path / "a.npz")
    assert caught.value.remedy.startswith("Delete the file")


def test_what_is_usual_is_read_again_and_a_damaged_file_is_named(tmp_path):
    save_baseline(tmp_path, Baseline("p/1", {"pitch": Usual(2.0, 1.5)}, n_videos=1))
    assert load_usual(tmp_path, "p/1") == {"pitch": Usual(2.0, 1.5)}
    assert load_usual(tmp_path, "p2") == {}
    rate = POPULATION["syllable_rate"]
    save_baseline(tmp_path, Baseline("p/1", {"pitch": Usual(2.0, 1.5), "syllable_rate": rate}, n_videos=1))
    assert load_usual(tmp_path, "p/1") == {"pitch": Usual(2.0, 1.5), "syllable_rate": rate}
    (file,) = (tmp_path / "baselines").iterdir()
    earlier = json.loads(file.read_text())
    for one in earlier["usual"].values():
        del one["scope"]
    file.write_text(json.dumps(earlier | {"scope": "participant"}))
    assert {name: one.scope for name, one in load_usual(tmp_path, "p/1").items()} == {
        "pitch": "participant",
        "syllable_rate": "population",
    }
    (file,) = (tmp_path / "baselines").iterdir()
    file.write_text('{"usual": {"pitch": 1}}')
    with pytest.raises(DataError, match=r"usual\.pitch"):
        load_usual(tmp_path, "p/1")


def test_a_signal_is_unknown_from_its_last_known_sample_to_the_next_known_one():
    t_s = np.arange(8) / 2
    values = np.array([np.nan, np.nan, 1.0, np.nan, 1.0, np.nan, np.nan, np.nan])
    signals = Signals({"head_yaw": Track(t_s, values)}, duration_s=4.2)
    assert signals.spans_without("head_yaw", min_s=1.0) == [(0.0, 1.0), (2.5, 4.2)]
    assert signals.spans_without("head_yaw", min_s=0.0) == [(0.0, 1.0), (1.5, 2.0), (2.5, 4.2)]
    assert signals.spans_without("neck", min_s=1.0) == [(0.0, 4.2)]
    assert Signals({}).spans_without("neck", min_s=1.0) == []


def test_an_observation_without_settings_has_none_of_a_look(tmp_path):
    settings = Observation(video_id="a", participant_id="a", duration_s=1.0).settings
    video = tmp_path / "a"
    video.write_bytes(b"x")
    assert settings.digest_with(video) == key_by_hand({}, b"x")
