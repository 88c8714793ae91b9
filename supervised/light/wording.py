"""Features of what was said: the shape of the answer, language, and sentiment. They need no times.

Language counts are of two kinds: cues of the annotators' codebook that rules find (``bah_mllm.cues.language``: fillers,
hedges, corrections, repetitions, cut words), and words of our lists (``lexicons/*.toml``). Each is given twice, as the
logarithm of one plus the count and as a rate per 100 words: long answers hold more of everything.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

from bah_mllm.core.records import Transcript, Word
from bah_mllm.cues.codes import CODES
from bah_mllm.cues.language import language_events
from bah_mllm.cues.lexicons import LANGUAGES, guess_language, plain

__all__ = ["CUE_WORDS", "LANGUAGE_CUES", "WordList", "count_cue_words", "describe", "text_features", "word_lists"]

LANGUAGE_CUES = (
    "language.filler_sound",
    "language.filler_word",
    "language.hedging",
    "language.correction",
    "language.repetition",
    "audio.cut_words",
)
CUE_WORDS = ("contrast", "conditional", "delay", "guilt", "negation")
"""Lists that the label-free count of cue words adds to hedges."""

_UNMARKED = "en"  # what a text without a function word of any language is taken for: nearly all answers are English
_SENTENCE_END = re.compile(r"(?<=[.?!\u2026])\s+")
_NEGATION_REACH = 3  # words before a good or bad one in which a "not" turns it round
_WORD_S = 0.4  # any length will do: words that follow each other without a gap are told apart by punctuation alone

_SHAPE = {
    "shape.words": "log of 1 + words",
    "shape.sentences": "log of 1 + sentences",
    "shape.sentence_length": "words per sentence",
    "shape.longest_sentence": "words of the longest sentence",
    "shape.variety": "different words per word",
    "shape.variety_root": "different words per square root of words",
    "shape.word_length": "letters per word",
    "shape.commas": "commas per 100 words",
    "shape.questions": "question marks",
    "shape.ellipses": "ellipses",
}
_SENTIMENT = {
    "sentiment.sum": "good words minus bad ones, turned round by a negation",
    "sentiment.rate": "the same per 100 words",
    "sentiment.best": "of the best sentence",
    "sentiment.worst": "of the worst sentence",
    "sentiment.range": "best minus worst sentence",
    "sentiment.conflict": "the smaller of how good the best and how bad the worst sentence is",
    "sentiment.first": "of the first sentence",
    "sentiment.last": "of the last sentence",
    "sentiment.flips": "changes between good and bad from sentence to sentence",
}
_BOTH = {
    "both.good_and_bad": "the smaller count of language.positive and language.negative words",
    "both.wish_and_refusal": "the smaller of wishes, and of negations with contrasts",
    "both.wish_and_obstacle": "the smaller of wishes, and of reluctance, inability and obstacles",
    "both.late_contrast": "contrasts in the second half of the answer",
}


class WordList(NamedTuple):
    """Words and phrases of one list.

    Attributes:
        row: Nearest row of the codebook, a key of ``CODES``, or "".
        phrase: What the list tells, third person.
        phrases: By first word, longest first.
    """

    row: str
    phrase: str
    phrases: Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True, slots=True)
class _Said:
    """A text as it is counted: its plain words, those of each sentence, and its counts by list or code."""

    text: str
    words: tuple[str, ...]
    sentences: tuple[tuple[str, ...], ...]
    lists: Mapping[str, WordList]
    counts: Mapping[str, int]


@cache
def word_lists(language: str) -> Mapping[str, WordList]:
    """Return our word lists of one of ``bah_mllm.cues.lexicons.LANGUAGES``, in the order of the English file."""
    folder = files("supervised.light") / "lexicons"
    about, words = (
        tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")) for name in (_UNMARKED, language)
    )
    lists = {}
    for name, entry in about.items():
        found: dict[str, list[tuple[str, ...]]] = {}
        for phrase in words[name]["words"].split(","):
            parts = tuple(phrase.split())
            found.setdefault(parts[0], []).append(parts)
        phrases = {first: tuple(sorted(several, key=lambda one: -len(one))) for first, several in found.items()}
        lists[name] = WordList(entry["row"], entry["phrase"], phrases)
    return lists


def text_features(text: str, language: str | None = None) -> dict[str, float]:
    """Return the features of a text, finite, in a fixed order; their names are the keys of ``describe``.

    Args:
        text: What was said; punctuation may be there or not.
        language: ISO 639-1 code; guessed where None or without lists here.

    Returns:
        Zeros for a text without a word.
    """
    said = _read(text, language)
    n_words = max(1, len(said.words))
    features = _shape(said, n_words)
    for name, count in said.counts.items():
        features[f"{name}.count"] = math.log1p(count)
        features[f"{name}.rate"] = 100 * count / n_words
    return features | _both_sides(said) | _sentiment(said, n_words)


def count_cue_words(text: str, language: str | None = None) -> int:
    """Return how many contrasts, conditionals, delays, words of guilt, negations and hedges a text has.

    >>> count_cue_words("Maybe I would go, but not today.")  # maybe, would, but, not
    4
    """
    counts = _read(text, language).counts
    return counts["language.hedging"] + sum(counts[f"words.{name}"] for name in CUE_WORDS)


def describe() -> dict[str, str]:
    """Return every feature's name and what it is, in the words of the codebook where it has a row for it."""
    told = dict(_SHAPE)
    for code in LANGUAGE_CUES:
        told[f"{code}.count"] = f"{CODES[code].row} ({CODES[code].phrase}): log of 1 + count"
        told[f"{code}.rate"] = f"{CODES[code].row} ({CODES[code].phrase}): per 100 words"
    for name, words in word_lists(_UNMARKED).items():
        near = f"; nearest row: {words.row}, {CODES[words.row].row}" if words.row else ""
        told[f"words.{name}.count"] = f"words of {name} ({words.phrase}{near}): log of 1 + count"
        told[f"words.{name}.rate"] = f"words of {name} ({words.phrase}{near}): per 100 words"
    return told | _BOTH | _SENTIMENT


def _read(text: str, language: str | None) -> _Said:
    written = text.split()
    words = tuple(word for one in written if (word := plain(one)))
    if language not in LANGUAGES:
        language = guess_language(words) or _UNMARKED
    lists = word_lists(language)
    transcript = Transcript(
        text=text,
        language=language,
        words=tuple(Word(one, place * _WORD_S, (place + 1) * _WORD_S) for place, one in enumerate(written)),
    )
    counts = dict.fromkeys(LANGUAGE_CUES, 0)
    for event in language_events(transcript):
        counts[event.code] += 1
    for name, entry in lists.items():
        counts[f"words.{name}"] = _count(words, entry)
    sentences = tuple(
        plain_words
        for sentence in _SENTENCE_END.split(text)
        if (plain_words := tuple(word for one in sentence.split() if (word := plain(one))))
    )
    return _Said(text, words, sentences, lists, counts)


def _count(words: Sequence[str], entry: WordList) -> int:
    """Return how often words of a list occur, longest first, no word counted twice."""
    n_found = place = 0
    while place < len(words):
        fitting = (one for one in entry.phrases.get(words[place], ()) if tuple(words[place : place + len(one)]) == one)
        phrase = next(fitting, None)
        n_found += phrase is not None
        place += len(phrase) if phrase else 1
    return n_found


def _shape(said: _Said, n_words: int) -> dict[str, float]:
    n_different = len(set(said.words))
    values = (
        math.log1p(len(said.words)),
        math.log1p(len(said.sentences)),
        len(said.words) / max(1, len(said.sentences)),
        max(map(len, said.sentences), default=0),
        n_different / n_words,
        n_different / math.sqrt(n_words),
        sum(map(len, said.words)) / n_words,
        100 * said.text.count(",") / n_words,
        said.text.count("?"),
        said.text.count("...") + said.text.count("\u2026"),
    )
    return {name: float(value) for name, value in zip(_SHAPE, values, strict=True)}


def _both_sides(said: _Said) -> dict[str, float]:
    count = {name: said.counts[f"words.{name}"] for name in said.lists}
    wishes = count["desire"] + count["positive"]
    values = (
        min(count["positive"], count["negative"]),
        min(wishes, count["negation"] + count["contrast"]),
        min(count["desire"], count["reluctance"] + count["inability"] + count["obstacle"]),
        _count(said.words[len(said.words) // 2 :], said.lists["contrast"]),
    )
    return {name: float(value) for name, value in zip(_BOTH, values, strict=True)}


def _sentiment(said: _Said, n_words: int) -> dict[str, float]:
    scores = [_sentiment_of(sentence, said.lists) for sentence in said.sentences] or [0]
    best, worst = max(scores), min(scores)
    signs = [score > 0 for score in scores if score]
    values = (
        sum(scores),
        100 * sum(scores) / n_words,
        best,
        worst,
        best - worst,
        min(best, -worst),
        scores[0],
        scores[-1],
        sum(one != other for one, other in pairwise(signs)),
    )
    return {name: float(value) for name, value in zip(_SENTIMENT, values, strict=True)}


def _sentiment_of(sentence: Sequence[str], lists: Mapping[str, WordList]) -> int:
    """Return good minus bad single words of a sentence; a negation shortly before one turns it round."""
    score = 0
    for place, word in enumerate(sentence):
        value = (word in lists["positive"].phrases) - (word in lists["negative"].phrases)
        before = sentence[max(0, place - _NEGATION_REACH) : place]
        score += -value if any(one in lists["negation"].phrases for one in before) else value
    return score
