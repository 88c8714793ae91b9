"""What is planted in the sound can be measured there."""

import re
from itertools import pairwise

import numpy as np
import pytest

FRAME_S = 0.02


def of_code(events, code):
    return [(video_id, e) for video_id, rows in events.items() for e in rows if e["code"] == code]


def spoken_within(words, video_id, event):
    inside = [w for w in words[video_id]["words"] if w["start_s"] >= event["start_s"] - 0.002]
    return [w["text"].strip(".,?!").lower() for w in inside if w["stop_s"] <= event["stop_s"] + 0.002]


def test_pauses_are_silent_and_far_longer_than_the_usual_gaps(events, words, sound_of):
    pauses = of_code(events, "audio.pause")
    assert len(pauses) >= 12
    for video_id, event in pauses:
        sound = sound_of(video_id)
        assert event["stop_s"] - event["start_s"] >= 1.0
        speech_db = np.median([sound.level_db(w["start_s"], w["stop_s"]) for w in words[video_id]["words"]])
        assert sound.level_db(event["start_s"] + 0.08, event["stop_s"] - 0.08) < speech_db - 25, (video_id, event)


def test_silence_is_a_quiet_room_and_not_digital_zero(words, sound_of):
    for video_id in words:
        assert -75 < sound_of(video_id).level_db(0.05, 0.4) < -45


def test_only_planted_pauses_part_the_words(events, words):
    for video_id, spoken in words.items():
        row = spoken["words"]
        planted = [e for e in events[video_id] if e["code"] == "audio.pause"]
        for before, after in pairwise(row):
            gap_s = after["start_s"] - before["stop_s"]
            if gap_s > 0.25:
                assert any(
                    e["start_s"] == pytest.approx(before["stop_s"], abs=0.05)
                    and e["stop_s"] == pytest.approx(after["start_s"], abs=0.05)
                    for e in planted
                ), (video_id, before, after)


def test_word_times_cover_the_sound_energy_and_nothing_else(words, sound_of):
    """Loud 20 ms frames lie inside words, and each word has loud frames."""
    for video_id, spoken in words.items():
        sound = sound_of(video_id)
        n = int(len(sound.samples) / sound.rate_hz / FRAME_S)
        levels = np.array([sound.level_db(k * FRAME_S, (k + 1) * FRAME_S) for k in range(n)])
        loud = levels > np.percentile(levels, 90) - 25
        middle_s = (np.arange(n) + 0.5) * FRAME_S
        inside = np.zeros(n, dtype=bool)
        for word in spoken["words"]:
            own = (middle_s > word["start_s"] - 0.03) & (middle_s < word["stop_s"] + 0.03)
            inside |= own
            assert loud[own].any(), (video_id, word)
        assert (loud & ~inside).sum() <= 0.01 * loud.sum(), video_id


def test_filler_sounds_repetitions_and_hedges_are_among_the_words(events, words):
    for video_id, event in of_code(events, "language.filler_sound"):
        assert set(spoken_within(words, video_id, event)) <= {"um", "uh", "euh"}
        assert event["stop_s"] - event["start_s"] > 0.25
    for video_id, event in of_code(events, "language.repetition"):
        said = spoken_within(words, video_id, event)
        assert len(said) == 2
        assert said[0] == said[1]
    hedges = {"maybe", "i guess", "i suppose", "kind of", "i don't know", "je sais pas", "peut-être"}
    for video_id, event in of_code(events, "language.hedging"):
        assert " ".join(spoken_within(words, video_id, event)) in hedges
    assert min(len(of_code(events, f"language.{c}")) for c in ("filler_sound", "repetition", "hedging")) >= 8


def test_slow_stretches_are_clearly_slower_than_the_rest(events, words):
    """Vowel groups a second, a rough syllable rate; drawn-out filler sounds left out."""

    def rate(row):
        row = [w for w in row if w["text"].strip(".,").lower() not in {"um", "uh", "euh"}]
        spelled = [re.sub(r"(?<=.)es?$", "", w["text"].strip(".,?!").lower()) for w in row]
        syllables = sum(max(1, len(re.findall(r"[aeiouyéèêàâôûœ]+", text))) for text in spelled)
        return syllables / sum(w["stop_s"] - w["start_s"] for w in row)

    stretches = of_code(events, "audio.slow")
    assert len(stretches) >= 5
    for video_id, event in stretches:
        slow, rest = [], []
        for word in words[video_id]["words"]:
            within = event["start_s"] - 0.002 <= word["start_s"] and word["stop_s"] <= event["stop_s"] + 0.002
            (slow if within else rest).append(word)
        assert event["stop_s"] - event["start_s"] >= 3.0
        assert rate(slow) < 0.75 * rate(rest), (video_id, rate(slow), rate(rest))
