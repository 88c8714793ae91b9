"""What is planted in the sound of a voice is found, and nothing else."""

import numpy as np
import pytest

from bah_mllm.core.records import Word
from bah_mllm.cues.baselines import pool
from bah_mllm.cues.codes import CODES
from bah_mllm.cues.records import Baseline
from bah_mllm.cues.sound import CLAMPS, MINIMA_S, POPULATION, sound_signals
from bah_mllm.cues.sound_events import sound_events
from tests.cues.voices import (
    RATE_HZ,
    USUAL_HZ,
    USUAL_RATE,
    Voice,
    baseline_with,
    events_of,
    harmonics,
    long_pause,
    other_video,
    quiet,
    recording,
    trembling,
)


def slow(voice):
    return voice.speak(4.5, rate=2.2)


def fast(voice):
    return voice.speak(4.5, rate=6.6)


def loud(voice):
    return voice.speak(3.0, db=9.0)


def high(voice):
    return voice.speak(3.0, f0_hz=USUAL_HZ * 2 ** (5 / 12))


def low(voice):
    return voice.speak(3.0, f0_hz=USUAL_HZ * 2 ** (-5 / 12))


def breath(voice):
    voice.silence(0.15)
    t = np.linspace(0, 1, round(0.7 * RATE_HZ))
    span = voice.add(voice.rng.normal(size=len(t)) * 0.012 * np.minimum(1, 8 * np.minimum(t, 1 - t)))
    voice.silence(0.15)
    return span


def laugh(voice):
    """Eight short high bursts, five a second, with deep dips between them."""
    start_s = voice.t_s
    for _ in range(8):
        n = round(0.11 * RATE_HZ)
        t = np.linspace(0, 1, n)
        voice.add(harmonics(np.full(n, USUAL_HZ * 2 ** (8 / 12)), 0) * np.sin(np.pi * t) * 0.05)
        voice.add(voice.rng.normal(size=round(0.09 * RATE_HZ)) * 0.001)
    return start_s, voice.t_s


def filler(voice):
    """A flat vowel of 0.6 s that no word covers."""
    voice.silence(0.15)
    n = round(0.6 * RATE_HZ)
    ramp = np.clip(np.minimum(np.arange(n), n - np.arange(n)) / 800, 0, 1)
    span = voice.add(harmonics(np.full(n, USUAL_HZ), 2) * ramp * 0.05)
    voice.silence(0.15)
    return span


# what happens, its code, how far start and stop may be off, direction, what else it truly is
PLANTED = [
    pytest.param(long_pause, "audio.pause", 0.2, None, (), id="pause"),
    pytest.param(slow, "audio.slow", 1.5, None, (), id="slow"),
    pytest.param(fast, "audio.fast", 1.5, None, (), id="fast"),
    pytest.param(loud, "audio.volume", 0.5, "up", (), id="loud"),
    pytest.param(quiet, "audio.volume", 0.5, "down", (), id="quiet"),
    pytest.param(high, "audio.pitch", 0.5, "up", (), id="high"),
    pytest.param(low, "audio.pitch", 0.5, "down", (), id="low"),
    pytest.param(trembling, "audio.shaky_voice", 0.2, None, ("audio.slow", "audio.stuttering"), id="shaky"),
    pytest.param(breath, "audio.breath", 0.2, None, ("audio.pause",), id="breath"),
    pytest.param(laugh, "audio.laugh", 0.2, None, ("audio.pitch",), id="laugh"),
    pytest.param(filler, "audio.unlexicalised", 0.2, None, (), id="filler"),
]


@pytest.mark.parametrize(("plant", "code", "tolerance_s", "side", "also"), PLANTED)
def test_what_is_planted_is_found_where_it_is_and_nothing_else(plant, code, tolerance_s, side, also):
    voice, (start_s, stop_s) = recording(plant)
    events = events_of(voice)
    found = [event for event in events if event.code == code]
    assert [event.side for event in found] == [side], events
    assert found[0].start_s == pytest.approx(start_s, abs=tolerance_s)
    assert found[0].stop_s == pytest.approx(stop_s, abs=tolerance_s)
    assert {event.code for event in events} <= {code, *also}
    assert all(start_s - 1.5 < event.start_s < event.stop_s < stop_s + 1.5 for event in events)


def test_three_semitones_are_melody_and_a_word_every_second_is_enough_to_know_five():
    def sparse(semitones):
        def plant(voice):
            start_s = voice.t_s
            for _ in range(4):  # 0.3 s of voice a second
                voice.speak(0.3, f0_hz=USUAL_HZ * 2 ** (semitones / 12))
                voice.silence(0.5)
            return start_s, voice.t_s

        return plant

    melody, raised = (events_of(recording(sparse(semitones))[0]) for semitones in (3, 5))
    assert not [event for event in melody if event.code == "audio.pitch"]
    (pitch,) = (event for event in raised if event.code == "audio.pitch")
    assert pitch.value / pitch.usual == pytest.approx(2 ** (5 / 12), rel=0.04)


def test_usual_speech_holds_no_events():
    voice = Voice(21)
    voice.silence(0.4)
    voice.usual(10)
    assert events_of(voice) == []


@pytest.mark.parametrize(
    ("plant", "gain", "offset"),
    [pytest.param(entry.values[0], 0.05, 0.0, id=f"{entry.id}, far") for entry in PLANTED]
    + [pytest.param(plant, 4.0, 0.1, id=f"{plant.__name__}, loud with an offset") for plant in (long_pause, high)],
)
def test_gain_and_offset_of_a_recording_do_not_change_its_events(plant, gain, offset):
    voice, _ = recording(plant)
    expected, found = events_of(voice), events_of(voice, gain=gain, offset=offset)
    assert [(event.code, event.side, event.strength) for event in found] == [
        (event.code, event.side, event.strength) for event in expected
    ]
    assert [t_s for event in found for t_s in (event.start_s, event.stop_s)] == pytest.approx(
        [t_s for event in expected for t_s in (event.start_s, event.stop_s)], abs=0.11
    )


def test_a_gap_is_a_pause_for_whoever_seldom_makes_one():
    """The same 0.9 s beside usual gaps of 0.2 to 0.35 s, and of 0.7 to 0.9 s."""

    def spoken(gap_s):
        voice = Voice(31)
        for k in range(8):
            voice.speak(2.5)
            voice.silence(0.9 if k == 3 else gap_s + 0.02 * k)
        voice.speak(2.5)
        sound = sound_signals(voice.recorded())
        baseline = pool("90202", [sound.tracks], CLAMPS, POPULATION, minima_s=MINIMA_S)
        return [e for e in sound_events(sound.tracks, sound.speech, (), baseline) if e.code == "audio.pause"]

    (pause,) = spoken(0.2)
    assert pause.value == pytest.approx(0.9, abs=0.1)
    assert pause.usual == pytest.approx(0.28, abs=0.1)
    assert pause.unit == "s"
    assert spoken(0.7) == []


def test_silence_before_and_after_the_answer_is_no_pause():
    voice = Voice(33)
    voice.silence(3.0)
    voice.usual(5)
    voice.silence(4.0)
    assert events_of(voice) == []


def test_without_the_persons_own_usual_the_population_stands_in_with_less_confidence():
    voice, _ = recording(slow)
    sound = sound_signals(voice.recorded())
    stranger = Baseline("90203", dict(POPULATION))
    (event,) = (e for e in sound_events(sound.tracks, sound.speech, (), stranger) if e.code == "audio.slow")
    own = next(e for e in events_of(voice) if e.code == "audio.slow")
    assert event.usual is None
    assert own.usual == pytest.approx(USUAL_RATE, abs=0.3)
    assert event.confidence < own.confidence


def test_nobody_has_the_usual_pitch():
    voice, _ = recording(high)
    sound = sound_signals(voice.recorded())
    codes = {e.code for e in sound_events(sound.tracks, sound.speech, (), Baseline("90203", dict(POPULATION)))}
    assert "audio.pitch" not in codes


def test_loudness_is_not_judged_in_a_noisy_room():
    voice, _ = recording(quiet)
    noisy = voice.recorded() + np.random.default_rng(5).normal(size=voice.n).astype(np.float32) * 0.05
    sound = sound_signals(noisy)
    events = sound_events(sound.tracks, sound.speech, (), baseline_with())
    assert "audio.volume" not in {event.code for event in events}


def test_sounds_without_words_need_words_to_be_known():
    voice, _ = recording(filler)
    assert "audio.unlexicalised" not in {event.code for event in events_of(voice, words=False)}
    silent = sound_signals(np.zeros(RATE_HZ))
    assert sound_events(silent.tracks, silent.speech, [Word("so", 0.2, 0.5)], baseline_with()) == []


def spoken_words(text, *, each_s=0.25):
    return [Word(token, 0.7 + each_s * k, 0.7 + each_s * (k + 1)) for k, token in enumerate(text.split())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("and I I I went", [(0.95, 1.7, 3)]),
        ("the b- b- but then", [(0.95, 1.7, 3)]),
        ("it is m-m-maybe so", [(1.2, 1.45, 3)]),
        ("je je je sais", [(0.7, 1.45, 3)]),
        ("I I went and and so", []),  # once is a repetition, a cue of its own
        ("no no no that was very very very good", []),
        ("oui oui oui bien sûr", []),
        ("well-being is a long-term thing", []),
        ("- -- ... '", []),
    ],
)
def test_stuttering_is_a_short_token_again_and_again(text, expected):
    sound = other_video(1)
    events = sound_events(sound.tracks, sound.speech, spoken_words(text), baseline_with())
    stutters = [(e.start_s, e.stop_s, e.value) for e in events if e.code == "audio.stuttering"]
    assert [value for span in stutters for value in span] == pytest.approx([v for span in expected for v in span])


def test_a_word_drawn_out_over_a_second_is_stuttering_too():
    voice = Voice(51)
    voice.usual(4)
    n = round(1.7 * RATE_HZ)
    start_s, stop_s = voice.add(harmonics(np.full(n, USUAL_HZ), 1) * 0.05)
    voice.words.append(Word("so", start_s, stop_s))
    voice.usual(2)
    (event,) = (e for e in events_of(voice) if e.code == "audio.stuttering")
    assert (event.start_s, event.stop_s) == pytest.approx((start_s, stop_s), abs=0.01)


def test_a_clipped_recording_still_has_its_pause():
    voice, (start_s, _) = recording(long_pause)
    pauses = [event for event in events_of(voice, gain=40.0) if event.code == "audio.pause"]
    assert [event.start_s for event in pauses] == pytest.approx([start_s], abs=0.3)


def test_a_telephone_recording_gives_the_same_events():
    from scipy.signal import resample_poly

    voice, (start_s, stop_s) = recording(slow)
    sound = sound_signals(resample_poly(voice.recorded(), 1, 2), 8000)
    assert sound.duration_s == pytest.approx(voice.t_s, abs=0.01)
    (event,) = sound_events(sound.tracks, sound.speech, (), baseline_with())
    assert event.code == "audio.slow"
    assert (event.start_s, event.stop_s) == pytest.approx((start_s, stop_s), abs=1.5)


def test_every_row_of_the_audio_table_has_a_detector_or_a_reason():
    planted = {entry.values[1] for entry in PLANTED} | {"audio.stuttering"}
    in_sound = {code for code, entry in CODES.items() if code.startswith("audio.") and entry.detectable}
    assert in_sound - planted <= {"audio.cut_words"}  # read from the words
