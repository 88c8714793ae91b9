from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Chunk, Transcript, Word
from bah_mllm.transcripts import timed_words, words_in

SAID = Transcript("one two three", words=(Word("one", 0.0, 1.0), Word("two", 1.5, 2.5), Word("three", 2.5, 4.5)))


@pytest.mark.parametrize(
    ("start_s", "stop_s", "words"),
    [
        (0.0, 0.5, ""),  # the middle of "one" is the first instant after this window
        (0.0, 2.0, "one"),
        (0.5, 2.1, "one two"),
        (2.0, 3.4, "two"),
        (2.1, 9.0, "three"),
        (3.6, 9.0, ""),
    ],
)
def test_a_word_belongs_to_the_window_that_holds_its_middle(start_s, stop_s, words):
    assert words_in(SAID, start_s, stop_s) == words


@given(st.lists(st.floats(0.01, 3), min_size=1), st.integers(1, 9))
def test_adjacent_windows_share_no_word_and_lose_none(lengths, n_windows):
    chunks, start = [], 0.0
    for index, length in enumerate(lengths):
        chunks.append(Chunk(f"a{index} bb{index} ccc{index}", start, start + length))
        start += length
    said = Transcript("x", chunks=tuple(chunks))
    bounds = [start * k / n_windows for k in range(n_windows)] + [start + 1]
    found = " ".join(filter(None, (words_in(said, a, b) for a, b in pairwise(bounds))))
    assert found == " ".join(chunk.text for chunk in chunks)


def test_words_of_a_chunk_are_spread_by_their_lengths():
    said = Transcript("a bcd", chunks=(Chunk("a bcd", 10.0, 14.0),))
    assert timed_words(said) == (Word("a", 10.0, 11.0), Word("bcd", 11.0, 14.0))


def test_a_chunk_without_end_lasts_until_the_next_or_at_the_rate_of_speech():
    said = Transcript("x", chunks=(Chunk("aa", 0.0, None), Chunk("b c d e f", 3.0, None)))
    assert timed_words(said)[0] == Word("aa", 0.0, 3.0)
    assert timed_words(said)[-1].stop_s == pytest.approx(5.0)  # five words at two and a half a second


def test_a_text_without_times_is_refused_without_being_shown():
    with pytest.raises(DataError) as caught:
        words_in(Transcript("marmalade toast"), 0.0, 1.0)
    assert "marmalade" not in caught.value.problem
    assert "transcribe" in caught.value.remedy


def test_silence_has_no_words():
    assert words_in(Transcript(""), 0.0, 5.0) == ""
