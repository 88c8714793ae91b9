"""Fillers, repetition, hedges and corrections as events, in either language and with any times."""

import json
import time

import pytest

from bah_mllm.core.records import Chunk, Transcript, Word
from bah_mllm.cues.language import language_events, why_not_looked_for
from bah_mllm.cues.lexicons import LANGUAGES, guess_language, lexicon, plain
from bah_mllm.dataset import demo_root
from tests.cues.spoken import cues, given_up, said, spoken


def test_events_carry_the_times_of_their_words():
    events = language_events(said("Um, / I want, I want a dog", "en"))
    # um 0.00-0.30, then half a second, I 0.85-1.15, want 1.20-1.50, I 1.55-1.85, want 1.90-2.20
    assert [(event.code, event.text) for event in events] == [
        ("language.filler_sound", "Um"),
        ("language.repetition", "I want"),
    ]
    assert (events[0].start_s, events[0].stop_s) == pytest.approx((0.0, 0.3))
    assert (events[1].start_s, events[1].stop_s) == pytest.approx((0.85, 2.2))
    assert {event.source for event in events} == {"words"}


@pytest.mark.parametrize(
    "hedge", ["I think", "maybe", "I don't know", "kind of", "I'm not sure", "probably", "might", "I guess"]
)
def test_english_hedges(hedge):
    rows = [row for row, _ in cues(f"tomorrow {hedge} we go", "en")]
    assert rows == ["hedging"]


@pytest.mark.parametrize(
    "hedge", ["je pense", "peut-être", "je sais pas", "je ne sais pas", "un peu", "j\u2019imagine", "si jamais", "hein"]
)
def test_french_hedges(hedge):
    rows = [row for row, _ in cues(f"demain {hedge} on part", "fr")]
    assert rows == ["hedging"]


@pytest.mark.parametrize(
    "text", ["that kind of bread", "what I think of it", "the right door", "he has no peer", "all his might"]
)
def test_words_of_hedges_in_their_usual_meaning_are_none(text):
    assert cues(text, "en") == []


def test_a_question_for_assent_is_a_hedge():
    assert cues("You came by train, right?", "en") == [("hedging", "right?")]
    assert cues("Turn right.", "en") == []


def test_a_hedge_is_found_through_a_false_start_and_once():
    assert cues("I, um, I think it works", "en") == [
        ("repetition", "I"),
        ("filler_sound", "um"),
        ("hedging", "I think"),
    ]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("the red one, or rather the blue one", "en", "or rather"),
        ("by Mon- Tuesday at noon", "en", "Mon- Tuesday"),
        ("le rouge, ou plutôt le bleu", "fr", "ou plutôt"),
    ],
)
def test_what_takes_something_back_is_a_correction(text, language, expected):
    assert ("correction", expected) in cues(text, language)


@pytest.mark.parametrize("text", ["short- and long-term plans", "we br- broke it", "she we left early"])
def test_speech_errors_are_no_corrections_of_content(text):
    assert "correction" not in [row for row, _ in cues(text, "en")]


def test_what_comes_thick_is_stronger():
    def strength(text):
        return [event.strength for event in language_events(said(text, "en"))]

    assert strength("the um cat") == [1]
    assert strength("the um uh um cat") == [3]
    assert strength("the the cat") == [1]
    assert strength("in the in the barn") == [2]
    assert strength("in the in the in the barn") == [3]


def test_a_drawn_out_sound_is_stronger():
    words = (Word("the", 0.0, 0.2), Word("um", 0.2, 1.3), Word("cat", 1.3, 1.6))
    assert [event.strength for event in language_events(Transcript("the um cat", "en", words=words))] == [3]


def test_confidence_follows_the_grade():
    confidence = {event.code: event.confidence for event in language_events(said("um I I think, or rather no", "en"))}
    assert confidence == {
        "language.filler_sound": 1.0,
        "language.repetition": 1.0,
        "language.hedging": 0.7,
        "language.correction": 0.4,
    }


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            "I know what I have to do, and I know that it is good for me. When the weather is fine, I walk to work.",
            "en",
        ),
        (
            "My sister likes to run. She says that she would like to join a club, but the club is far from her house.",
            "en",
        ),
        ("If they ask, they get it. What we need is more time, and that is what we are working on.", "en"),
        ("The longer you wait, the harder it gets. It was late, so we took the bus that goes past the mill.", "en"),
        ("Je marche tous les matins parce que ça me fait du bien. Ma sœur dit que c'est trop tôt pour elle.", "fr"),
        ("Quand il fait beau, on prend le vélo. Le médecin nous a dit que nous nous portons bien.", "fr"),
        ("Une de mes amies chante, un des deux chats dort, le son est bon et il le sera encore demain.", "fr"),
        ("Ce que j'aime, c'est le silence. Il y a un lac où l'on se baigne, et le chemin qui y mène est court.", "fr"),
    ],
)
def test_fluent_speech_gives_nothing(text, language):
    assert cues(text, language) == []
    assert given_up(text, language) == []


def test_case_and_punctuation_change_nothing_where_pauses_tell_the_same():
    assert cues("UM, THE THE CAT", "en") == [("filler_sound", "UM"), ("repetition", "THE")]
    assert [row for row, _ in cues("um the the cat", "en")] == ["filler_sound", "repetition"]
    assert [row for row, _ in cues("Um... the — the cat.", "en")] == ["filler_sound", "repetition"]


def test_the_language_is_guessed_where_unknown():
    assert cues("euh je je veux dormir") == [("filler_sound", "euh"), ("repetition", "je")]
    assert cues("um the the cat is in") == [("filler_sound", "um"), ("repetition", "the")]


def test_english_and_french_of_the_demo_set_are_told_apart_by_their_words():
    written = [json.loads(path.read_text("utf-8")) for path in demo_root().rglob("*.words.json")]
    assert sorted({answer["language"] for answer in written}) == ["en", "fr"]
    for answer in written:
        assert guess_language(plain(word["text"]) for word in answer["words"]) == answer["language"], answer["text"]


def test_a_language_without_word_lists_gives_no_events():
    assert cues("um ich ich weiß es nicht", "de") == []
    assert guess_language(["明日", "行く"]) is None
    assert cues("明日 明日 行く") == []


def test_the_language_of_the_transcript_wins_over_a_guess():
    assert cues("um the the cat is in", "fr") == [("filler_sound", "um"), ("repetition", "the")]
    assert cues("maybe the cat", "fr") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_word_lists_can_be_matched_at_all(language):
    from bah_mllm.cues.lexicons import plain

    lists = lexicon(language)
    words = {word for words in lists.classes.values() for word in words} | lists.never_repeated | lists.function_words
    for phrases in (lists.filler_words, lists.hedges, lists.corrections):
        for phrase in (phrase for group in phrases.values() for phrase in group):
            words |= {*phrase.words, *phrase.not_after, *phrase.not_before}
    assert {word for word in words if plain(word) != word} == set()


def test_chunks_do_where_there_are_no_word_times_and_are_trusted_less():
    chunks = (Chunk("Um, the the cat", 2.0, 6.0), Chunk("maybe.", 6.0, None))
    events = language_events(Transcript("Um, the the cat maybe.", "en", chunks=chunks))
    assert [event.code for event in events] == ["language.filler_sound", "language.repetition", "language.hedging"]
    assert events[0].start_s == 2.0
    assert all(2.0 <= event.start_s < event.stop_s <= 7.0 for event in events)
    assert [event.confidence for event in events] == pytest.approx([0.8, 0.8, 0.56])


def test_a_transcript_without_times_or_words_gives_no_events():
    assert language_events(Transcript("um the the cat", "en")) == []
    assert language_events(Transcript("um", "en", chunks=(Chunk("um", None, None),))) == []
    assert language_events(Transcript("", "en")) == []


def test_words_without_length_give_events_of_some_length():
    events = language_events(Transcript("um", "en", words=(Word("um", 1.0, 1.0),)))
    assert [(event.start_s, event.stop_s > 1.0) for event in events] == [(1.0, True)]


def test_words_with_impossible_times_are_passed_over():
    words = (
        Word("um", float("nan"), 1.0),
        Word("uh", 1.0, float("inf")),
        Word("um", -3.0, 0.5),
        Word("uh", 2.0, 1.0),
        Word("um", 3.0, 3.2),
    )
    starts = [event.start_s for event in language_events(Transcript("x", "en", words=words))]
    assert starts == [0.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "u" * 200_000 + "x",
        "um," * 60_000,
        "," * 100_000 + "a" + "," * 100_000 + "!a",
        "a-" * 100_000,
        "\x00\x1b[31m\x07" * 20_000,
        "um \u202e um \ufeff um " * 1_000,
        "\u0301" * 100_000,
        "I " * 4_000,
        "I was um w- " * 1_000,
    ],
    ids=range(10),
)
def test_hostile_text_takes_seconds_and_raises_nothing(text):
    began = time.process_time()
    language_events(Transcript(text, "en", chunks=(Chunk(text, 0.0, None),)))
    language_events(Transcript(text, None, words=spoken(text)))
    assert time.process_time() - began < 4


def test_without_word_lists_nothing_is_looked_for_and_that_is_said():
    words = (Word("ich", 0.0, 0.2), Word("weiss", 0.2, 0.5))
    assert why_not_looked_for(Transcript("ich weiss", "de", words=words)) == "no word lists for the language de"
    assert why_not_looked_for(Transcript("I know", "en", words=words)) is None
    assert why_not_looked_for(Transcript("I know", "en")) == "the words have no times"
    assert why_not_looked_for(Transcript("xx yy", words=(Word("xx", 0, 1),))) == "the language of the words is unknown"
    assert why_not_looked_for(Transcript("")) is None
