"""Phrases that are repeated where nobody speaks are left out; what somebody says again and again is not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bah_mllm.core.records import Transcript, Word
from bah_mllm.dataset.spoken import language_code, read_words, write_words
from bah_mllm.transcripts import recognition
from bah_mllm.transcripts.loops import HeardWord, find_loops

RATE_HZ = 16_000


def said(phrase, start_s, *, word_s, n_times):
    words, t_s = [], start_s
    for text in phrase.split() * n_times:
        words.append(HeardWord(f" {text}", t_s, t_s + word_s))
        t_s += word_s
    return words


@pytest.mark.parametrize(
    "phrase", ["Thanks", "Thank you.", "Thanks for watching!", "one two three four five six seven"]
)
def test_a_phrase_repeated_over_silence_is_a_loop(phrase):
    words = [*said("well then", 0.0, word_s=0.4, n_times=1), *said(phrase, 2.0, word_s=0.3, n_times=8)]
    (loop,) = find_loops(words, [(0.0, 1.0)])
    n = len(phrase.split())
    assert loop.made_up == tuple(range(2 + n, 2 + 8 * n)), "all but the first time"
    assert loop.n_repetitions == 7
    assert loop.span == pytest.approx((2.0 + 0.3 * n, 2.0 + 0.3 * n * 8))


def test_what_somebody_says_again_and_again_stays():
    words = said("no no no no", 1.0, word_s=0.3, n_times=3)
    assert find_loops(words, [(0.9, 5.0)]) == []


def test_repetitions_with_voice_stay_where_a_loop_follows_them():
    words = said("I do not", 0.0, word_s=0.3, n_times=12)
    (loop,) = find_loops(words, [(0.0, 1.8)])
    assert loop.made_up == tuple(range(6, 36)), "twice it was said"


def test_words_without_length_in_one_place_are_a_loop():
    words = [HeardWord(" so", 3.0, 3.0) for _ in range(30)]
    (loop,) = find_loops(words, [(0.0, 3.1)])
    assert loop.n_repetitions == 29


def test_two_or_three_times_is_no_loop():
    assert find_loops(said("thank you", 5.0, word_s=0.3, n_times=3), [(0.0, 1.0)]) == []


def test_different_words_over_silence_are_no_loop():
    assert find_loops([HeardWord(f" w{n}", n / 2, n / 2 + 0.4) for n in range(40)], [(0.0, 1.0)]) == []


class Looping(recognition.Recogniser):
    """Says a sentence, and goes on with one phrase in the pause before the next."""

    name = "faster-whisper"
    package = "faster-whisper"

    def load(self):
        pass

    def _language_probabilities(self, samples):
        return {"en": 0.2, "de": 0.8}

    def _pieces(self, samples, clips, language, prompt):
        yield recognition.Piece((("  guten", 1.0, 1.4), (" tag", 1.4, 1.8)))
        yield recognition.Piece(tuple(map(tuple, said("vielen dank", 2.0, word_s=0.05, n_times=12))))
        yield recognition.Piece(((" weiter", 5.0, 5.6),))


def test_a_loop_in_a_pause_is_left_out_with_a_note_that_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(recognition, "speech_spans", lambda samples, rate_hz: [(1.0, 2.2), (5.0, 6.0)])
    heard = Looping("m").transcribe(np.ones(8 * RATE_HZ, np.float32))
    assert heard.text == "guten tag vielen dank weiter"
    assert heard.language == "de"
    (note,) = heard.notes
    assert "10 repetitions" in note or "11 repetitions" in note
    assert "vielen" not in note
    write_words(tmp_path / "v.words.json", heard, source="test")
    assert read_words(tmp_path / "v.words.json").notes == heard.notes
    assert read_words(tmp_path / "v.words.json").language == "de"


def test_words_without_notes_are_written_as_before(tmp_path):
    write_words(tmp_path / "v.words.json", Transcript("hi", "en", words=(Word("hi", 0.0, 0.2),)), source="test")
    assert "notes" not in json.loads((tmp_path / "v.words.json").read_text())


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("german", "de"),
        ("Spanish", "es"),
        ("haw", "haw"),
        ("cantonese", "yue"),
        ("haitian creole", "ht"),
        ("zz z", None),
    ],
)
def test_languages_are_known_by_name_and_code(name, code):
    assert language_code(name) == code
