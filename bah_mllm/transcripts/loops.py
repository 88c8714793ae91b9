"""Phrases that a recogniser repeats over and over where nobody speaks: what Whisper makes up on quiet stretches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from bah_mllm.core.stretches import TimeSpan, overlap_s

__all__ = ["HeardWord", "Loop", "find_loops"]

_LONGEST_PHRASE = 16  # words
_N_REPETITIONS = 3  # without voice; people say a thing again, and the ends of words reach into pauses
_FASTEST_WORDS_PER_S = 8.0  # twice a fast speaker's rate: what is said faster was not said
_AROUND = re.compile(r"^\W+|\W+$")


class HeardWord(NamedTuple):
    """A word as a recogniser gives it; times in seconds."""

    text: str
    start_s: float
    stop_s: float


class Loop(NamedTuple):
    """A phrase that is repeated where nobody speaks.

    Args:
        made_up: Places of the words that nobody said: of the repetitions without voice, but not of the first time.
        n_repetitions: How many repetitions these are.
        span: Start and end of them in seconds.
    """

    made_up: tuple[int, ...]
    n_repetitions: int
    span: TimeSpan


def find_loops(words: Sequence[HeardWord], speech: Sequence[TimeSpan]) -> list[Loop]:
    """Return the loops among the words of a recording.

    A loop is a phrase of up to 16 words that follows itself, where the voice detector hears too little for so many
    words, and at least three repetitions have hardly any voice of their own. What somebody really says several times
    has voice under it and stays.

    Args:
        words: In order, as heard.
        speech: Stretches with voice in seconds, ascending.
    """
    said = [_AROUND.sub("", word.text.strip().casefold()) for word in words]
    loops: list[Loop] = []
    place = 0
    while place < len(words):
        period, n_times = _repetition(said, place)
        if n_times > _N_REPETITIONS:
            stop = place + period * n_times
            loops += _made_up(words, speech, place, stop, period=period)
            place = stop
        else:
            place += 1
    return loops


def _repetition(said: Sequence[str], start: int) -> tuple[int, int]:
    """Return the length of the phrase at a place that follows itself most often, and how often it stands there."""
    best = (1, 1)
    for period in range(1, _LONGEST_PHRASE + 1):
        phrase = said[start : start + period]
        n_times = 1
        while said[start + period * n_times : start + period * (n_times + 1)] == phrase and len(phrase) == period:
            n_times += 1
        if n_times > 1 and period * n_times > best[0] * best[1]:
            best = (period, n_times)
    return best


def _made_up(
    words: Sequence[HeardWord], speech: Sequence[TimeSpan], start: int, stop: int, *, period: int
) -> list[Loop]:
    if _has_voice(words[start:stop], speech):
        return []
    silent = [at for at in range(start + period, stop, period) if not _has_voice(words[at : at + period], speech)]
    if len(silent) < _N_REPETITIONS:
        return []
    places = tuple(place for at in silent for place in range(at, at + period))
    return [Loop(places, len(silent), (words[places[0]].start_s, words[places[-1]].stop_s))]


def _has_voice(words: Sequence[HeardWord], speech: Sequence[TimeSpan]) -> bool:
    """Return whether there is voice enough in the time of some words to have said them."""
    span = (words[0].start_s, words[-1].stop_s)
    return overlap_s(span, speech) >= len(words) / _FASTEST_WORDS_PER_S
