"""Signals of sound are those that a voice was made with, in whatever blocks it is heard."""

import numpy as np
import pytest

from bah_mllm.cues.sound import CLAMPS, sound_signals
from bah_mllm.cues.sound_events import sound_events
from bah_mllm.transcripts.voice import levelled
from tests.cues.voices import (
    RATE_HZ,
    Voice,
    baseline_with,
    events_of,
    harmonics,
    long_pause,
    quiet,
    recording,
    trembling,
)


def test_tracks_carry_the_pitch_level_rate_and_gaps_that_were_made():
    voice = Voice(41)
    for k in range(4):
        voice.speak(3.0, f0_hz=200.0, db=6.0 if k % 2 else 0.0, rate=4.0)
        voice.silence(0.4)
    sound = sound_signals(voice.recorded())
    middle = {name: np.nanmedian(track.values) for name, track in sound.tracks.items() if len(track.values)}
    assert middle["pitch"] == pytest.approx(12.1, abs=0.4)  # an octave above 100 Hz, and a little intonation
    assert middle["syllable_rate"] == pytest.approx(4.0, abs=0.35)
    assert middle["voiced_share"] > 0.9
    assert np.exp(sound.tracks["gap"].values) == pytest.approx([0.4] * 3, abs=0.13)
    loudness = sound.tracks["loudness"]
    first, second = (np.nanmedian(loudness.values[(loudness.t_s > a) & (loudness.t_s < a + 2)]) for a in (0.5, 3.9))
    assert second - first == pytest.approx(6.0, abs=0.7)
    assert [stop - start for start, stop in sound.speech] == pytest.approx([3.0] * 4, abs=0.2)


def test_flatness_tells_noise_from_voice():
    rng = np.random.default_rng(4)
    noise = rng.normal(size=3 * RATE_HZ).astype(np.float32) * 0.1
    tone = harmonics(np.full(3 * RATE_HZ, 150.0), 0) * 0.05
    # the geometric over the arithmetic mean of exponentially distributed powers is exp(-0.5772)
    assert np.median(sound_signals(noise).tracks["flatness"].values) == pytest.approx(0.561, abs=0.04)
    assert np.median(sound_signals(tone).tracks["flatness"].values) < 0.1


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.zeros(0), id="nothing"),
        pytest.param(np.zeros(1), id="one sample"),
        pytest.param(np.zeros(RATE_HZ), id="silence"),
        pytest.param(np.full(RATE_HZ, 0.7), id="offset alone"),
        pytest.param(np.full(RATE_HZ, np.nan), id="no numbers"),
        pytest.param(np.full(RATE_HZ, np.inf), id="infinite"),
        pytest.param(np.random.default_rng(1).normal(size=RATE_HZ), id="noise out of range"),
        pytest.param(np.random.default_rng(1).normal(size=1600) * 0.1, id="a tenth of a second"),
        pytest.param(np.eye(1, RATE_HZ, 800)[0], id="a click"),
    ],
)
def test_recordings_without_speech_have_signals_of_nothing_and_no_events(sound):
    heard = sound_signals(sound)
    assert heard.speech == ()
    assert heard.duration_s == len(sound) / RATE_HZ
    assert set(CLAMPS) <= set(heard.tracks)
    assert not any(np.isfinite(heard.tracks[name].values).any() for name in CLAMPS)
    assert sound_events(heard.tracks, heard.speech, (), baseline_with()) == []


@pytest.mark.slow
def test_memory_stays_flat_over_ten_minutes():
    import tracemalloc

    voice = Voice(61)
    voice.usual(10)
    sound = np.tile(voice.recorded(), 40)[: 600 * RATE_HZ]
    sound_signals(sound[: 10 * RATE_HZ])  # loads what it needs
    tracemalloc.start()
    heard = sound_signals(sound)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert heard.duration_s == 600
    assert len(heard.speech) > 150
    assert peak_bytes < 2.2 * sound.nbytes  # one copy of the sound, and a mask of the values that are no numbers


def test_speech_is_heard_in_blocks_as_in_one_piece(monkeypatch):
    from faster_whisper.vad import get_vad_model

    from bah_mllm.transcripts import voice

    sound = levelled(np.concatenate([recording(plant)[0].recorded() for plant in (long_pause, quiet)]), RATE_HZ)
    monkeypatch.setattr(voice, "BLOCK_S", 3)
    in_blocks = voice._speech_probabilities(sound)
    whole = get_vad_model()(np.pad(sound, (0, -len(sound) % 512 + 512))).reshape(-1)[:-1]
    assert len(in_blocks) == -(-len(sound) // 512)
    np.testing.assert_allclose(in_blocks, whole, atol=1e-5)


def test_pitch_and_level_do_not_depend_on_the_blocks(monkeypatch):
    import bah_mllm.cues.sound as module

    sound = recording(trembling)[0].recorded()
    one = sound_signals(sound).tracks
    monkeypatch.setattr(module, "_BLOCK_FRAMES", 217)
    for name, track in sound_signals(sound).tracks.items():
        np.testing.assert_allclose(track.values, one[name].values, atol=0.02, err_msg=name)


def test_trembling_is_measured_in_semitones():
    voice, _ = recording(trembling)
    (event,) = (e for e in events_of(voice) if e.code == "audio.shaky_voice")
    assert event.value == pytest.approx(1.5 / np.sqrt(2), abs=0.12)  # root mean square of a sine
    assert event.unit == "st"
