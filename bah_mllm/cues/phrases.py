"""Fillers and other phrases of the word lists, found where they stand as they have to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from bah_mllm.cues.lexicons import Lexicon, Phrase
from bah_mllm.cues.tokens import Token

__all__ = ["Filler", "Fillers", "find_fillers", "phrase_spans"]


class Filler(StrEnum):
    """What an edit term is."""

    SOUND = "filler_sound"
    WORD = "filler_word"


class Fillers(NamedTuple):
    """The fillers among tokens.

    Args:
        kinds: Place of a token to what kind of filler it belongs to.
        spans: First and last token of each filler, by place.
    """

    kinds: Mapping[int, Filler]
    spans: tuple[tuple[int, int], ...]


def find_fillers(tokens: Sequence[Token], lists: Lexicon) -> Fillers:
    """Return the fillers among tokens, sounds and words."""
    fillers: dict[int, Filler] = {}
    spans: list[tuple[int, int]] = []
    place = 0
    while place < len(tokens):
        if _is_sound(tokens, place, lists):
            kind, n_tokens = Filler.SOUND, 1
        else:
            phrase = _phrase_at(tokens, place, lists.filler_words, fillers=fillers, lists=lists)
            kind, n_tokens = Filler.WORD, len(phrase.words) if phrase else 0
        if n_tokens:
            fillers.update(dict.fromkeys(range(place, place + n_tokens), kind))
            spans.append((place, place + n_tokens - 1))
        place += n_tokens or 1
    return Fillers(fillers, tuple(spans))


def _is_sound(tokens: Sequence[Token], place: int, lists: Lexicon) -> bool:
    """Tell whether a token is a filler sound; "uh huh" in two words is a yes."""
    if lists.filler_sound.fullmatch(tokens[place].text) is None or tokens[place].is_cut:
        return False
    return not (tokens[place].text == "uh" and place + 1 < len(tokens) and tokens[place + 1].text == "huh")


def _phrase_at(
    tokens: Sequence[Token],
    place: int,
    phrases: Mapping[str, tuple[Phrase, ...]],
    *,
    fillers: Mapping[int, Filler],
    lists: Lexicon,
) -> Phrase | None:
    """Return the longest phrase that starts at a token and stands where it may, or None."""
    for phrase in phrases.get(tokens[place].text, ()):
        stop = place + len(phrase.words)
        if any(token.text != word for token, word in zip(tokens[place:stop], phrase.words, strict=False)):
            continue
        if stop > len(tokens) or any(token.is_cut or token.opens_sentence for token in tokens[place + 1 : stop]):
            continue
        if not tokens[place].opens_clause and place - 1 not in fillers and tokens[place - 1].text in phrase.not_after:
            continue
        if stop < len(tokens) and not tokens[stop].opens_clause and tokens[stop].text in phrase.not_before:
            continue
        if _stands(phrase, tokens, place, stop, fillers=fillers, lists=lists):
            return phrase
    return None


def _stands(
    phrase: Phrase, tokens: Sequence[Token], place: int, stop: int, *, fillers: Mapping[int, Filler], lists: Lexicon
) -> bool:
    """Tell whether a phrase stands where it has to (``Phrase.where``)."""
    before = tokens[place].opens_clause or place - 1 in fillers
    ends = stop == len(tokens) or tokens[stop].opens_clause
    after = ends or _is_sound(tokens, stop, lists)
    return {
        "anywhere": True,
        "start": before or tokens[place - 1].text in lists.classes["conjunction"],
        "set_off": before or after,
        "alone": before and after,
        "not_last": before or not after,
        "ends": ends,
        "asks": tokens[stop - 1].asks,
    }[phrase.where]


def phrase_spans(
    tokens: Sequence[Token], phrases: Mapping[str, tuple[Phrase, ...]], lists: Lexicon
) -> Iterator[tuple[int, int]]:
    """Yield first and last token, by place, of each phrase that stands where it may, the longest first."""
    place = 0
    while place < len(tokens):
        phrase = _phrase_at(tokens, place, phrases, fillers={}, lists=lists)
        if phrase:
            yield place, place + len(phrase.words) - 1
        place += len(phrase.words) if phrase else 1
