from __future__ import annotations

import math

import pytest

from bah_mllm.cues.codes import CODES
from bah_mllm.cues.lexicons import LANGUAGES, plain
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation
from supervised.light import observed, wording
from supervised.light.wording import count_cue_words, text_features, word_lists


def test_features_of_an_answer_are_those_counted_by_hand():
    told = text_features("Um, I want to swim, but I can't. It is good. Is it?")
    assert told["shape.words"] == pytest.approx(math.log(14))  # um i want to swim but i cant it is good is it
    assert told["shape.sentences"] == pytest.approx(math.log(4))
    assert told["shape.sentence_length"] == pytest.approx(13 / 3)
    assert told["shape.longest_sentence"] == 8
    assert told["shape.variety"] == pytest.approx(10 / 13)
    assert told["shape.variety_root"] == pytest.approx(10 / math.sqrt(13))
    assert told["shape.word_length"] == pytest.approx((2 + 1 + 4 + 2 + 4 + 3 + 1 + 4 + 2 + 2 + 4 + 2 + 2) / 13)
    assert told["shape.commas"] == pytest.approx(200 / 13)
    assert told["shape.questions"] == 1
    assert told["language.filler_sound.count"] == pytest.approx(math.log(2))
    assert told["language.filler_sound.rate"] == pytest.approx(100 / 13)
    assert told["words.contrast.rate"] == pytest.approx(100 / 13)
    assert told["words.negation.rate"] == pytest.approx(100 / 13)
    assert told["words.first_person.rate"] == pytest.approx(200 / 13)
    assert told["both.wish_and_refusal"] == 2  # wishes: want, good; against: but, can't
    assert told["sentiment.sum"] == told["sentiment.best"] == 1
    assert told["sentiment.last"] == 0


def test_every_feature_is_described_and_comes_in_the_same_order_for_any_text():
    names = list(wording.describe())
    for text in ("", "I", "...", "Je veux, mais je ne peux pas.", "x" * 5000, "\u200b", "one. two? three! four\u2026"):
        told = text_features(text)
        assert list(told) == names
        assert all(math.isfinite(value) for value in told.values())
    assert set(text_features("").values()) == {0.0}


@pytest.mark.parametrize(
    ("text", "name", "n"),
    [
        ("I go even though it rains", "contrast", 1),  # not "though" again
        ("although however but", "contrast", 3),
        ("I have put it off until next week", "delay", 3),
        ("I am not ready", "reluctance", 1),
        ("DON\u2019T, don't; dont", "negation", 3),
    ],
)
def test_the_longest_phrase_of_a_list_counts_once(text, name, n):
    assert text_features(text)[f"words.{name}.count"] == pytest.approx(math.log1p(n))


def test_a_negation_turns_a_good_word_round_and_reaches_three_words():
    assert text_features("It is not so very good.")["sentiment.sum"] == -1
    assert text_features("Not that I would say it is good.")["sentiment.sum"] == 1


def test_conflict_needs_a_good_and_a_bad_sentence():
    torn = text_features("It is great fun. It is terrible. It is nice.")
    assert (torn["sentiment.best"], torn["sentiment.worst"], torn["sentiment.conflict"]) == (2, -1, 1)
    assert torn["sentiment.flips"] == 2
    assert text_features("It is great fun. It is nice.")["sentiment.conflict"] <= 0


def test_cue_words_are_counted_without_times():
    assert count_cue_words("Maybe I would go, but not next week.") == 5  # maybe, would, but, not, next week
    assert count_cue_words("Peut-être, mais pas encore.", "fr") >= 3
    assert count_cue_words("We went to the lake.") == 0


def test_french_is_read_with_french_lists_also_where_nobody_says_that_it_is():
    text = "Je veux arrêter mais je ne suis pas capable."
    assert text_features(text) == text_features(text, "fr")
    assert text_features(text)["words.contrast.count"] > 0
    assert text_features(text, "en")["words.contrast.count"] == 0


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_every_listed_word_is_written_as_it_is_compared(spoken):
    lists = word_lists(spoken)
    assert list(lists) == list(word_lists("en"))
    for name, entry in lists.items():
        assert not entry.row or entry.row in CODES, name
        for phrases in entry.phrases.values():
            assert len(set(phrases)) == len(phrases), name
            assert all(word == plain(word) for phrase in phrases for word in phrase), name


def _event(code: str, start_s: float, stop_s: float, strength: int = 1) -> CueEvent:
    return CueEvent(code, start_s, stop_s, strength, None, None, "", 1.0, "rule")


def test_observed_cues_become_rates_and_shares_with_overlaps_counted_once():
    about = Observation(video_id="a", participant_id="b", duration_s=30.0)
    events = [_event("face.smile", 0, 6, 3), _event("face.smile", 3, 9, 2), _event("language.hedging", 1, 2)]
    told = observed.cue_features(about, events)
    assert list(told) == list(observed.describe())
    assert told["face.smile.per_minute"] == 4
    assert told["face.smile.share"] == pytest.approx(0.3)
    assert told["face.smile.strength"] == 2.5
    assert not any(name.startswith("language.") for name in told)  # those come from the transcript
    assert sum(told.values()) == pytest.approx(4 + 0.3 + 2.5)
