"""False starts: what is said again or given up, and what only looks like it."""

import pytest

from bah_mllm.core.records import Word
from bah_mllm.cues.language import language_events, word_flags
from tests.cues.spoken import given_up, said, spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the the cat sleeps", ["the"]),
        ("The, the cat sleeps", ["The,"]),
        ("when the, um, when the rain stops", ["when", "the,"]),
        ("we we we saw a bear", ["we", "we"]),
        ("in the in the big red in the big red barn", ["in", "the", "in", "the", "big", "red"]),
        ("as you know you know all of it", []),
        ("and then and then it fell", ["and", "then"]),
    ],
)
def test_words_said_again_are_given_up_the_first_time(text, expected):
    assert given_up(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "it is very, very cold",
        "no no no that is fine",
        "it is what it is. It is late",
        "she told me that that was enough",
        "he had had a long day",
        "call two 2 2 1",
        "over and over and over again",
        "the days get worse and worse and longer",
    ],
)
def test_doubled_words_that_mean_it_are_left_alone(text):
    assert given_up(text) == []


def test_french_reflexives_may_double_and_other_words_may_not():
    assert given_up("nous nous levons très très tôt", "fr") == []
    assert given_up("on va à la à la plage", "fr") == ["à", "la"]


def test_words_broken_off_are_given_up():
    assert given_up("we br- we bought a tent") == ["we", "br-"]
    assert given_up("a long- long-term plan") == ["long-"]
    assert given_up("a long-term plan with well-being") == []


def test_a_word_cut_at_its_end_and_said_again_is_a_repetition():
    codes = {event.code for event in language_events(said("we saw I- I saw", "en"))}
    assert codes == {"language.repetition", "audio.cut_words"}


def test_three_dots_end_no_sentence():
    assert given_up("and I... I saw the... the lake") == ["I...", "the..."]
    assert given_up("and so did I. I saw it") == []


def test_cut_words_are_told_with_their_times():
    events = [event for event in language_events(said("a ra- ra- radio", "en")) if event.code == "audio.cut_words"]
    assert [(event.text, event.strength) for event in events] == [("ra- ra-", 2)]
    assert (events[0].start_s, events[0].stop_s) == pytest.approx((0.35, 1.0))
    assert language_events(said("short- and long-term plans", "en")) == []


def test_a_stutter_written_as_one_word_counts():
    codes = [event.code for event in language_events(said("I-I saw the w-water", "en"))]
    assert codes == ["language.repetition", "audio.cut_words"]
    assert given_up("I-I saw the w-water") == ["I-I", "w-water"]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("it it's a long way", "en", ["it"]),
        ("I I've I have seen it", "en", ["I", "I've"]),
        ("there there's a hole", "en", ["there"]),
        ("je j'ai vu un renard", "fr", ["je"]),
        ("un peu de d'eau", "fr", ["de"]),
        ("tout ce que c'est", "fr", []),
        ("c'est ce que je veux", "fr", []),
        ("that's that", "en", []),
    ],
)
def test_another_form_of_the_same_little_word_is_a_new_start(text, language, expected):
    assert given_up(text, language) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("we painted the a window", ["the"]),
        ("and but it rained", ["and"]),
        ("she we left early", ["she"]),
        ("I saw the we went home", ["the"]),
        ("he sat on my at his desk", ["my"]),
        ("I was, I have been away", ["I", "was,"]),
        ("they just, um, they never called", ["they", "just,"]),
        ("if you can, you should", []),
        ("what I do is I walk", []),
        ("I think I will", []),
        ("and so it goes", []),
        ("the people who sing", []),
    ],
)
def test_little_words_that_grammar_cannot_join_are_false_starts(text, expected):
    assert given_up(text) == expected


def test_words_after_a_long_silence_are_no_repair():
    words = (*spoken("we saw the"), Word("the", 30.0, 30.3), Word("dog", 30.3, 30.6))
    assert all(flags.repair is None for flags in word_flags(words, "en"))
