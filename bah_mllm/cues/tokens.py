"""Timed words as the rules on language compare them: plain, in parts where a stutter is written as one word."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bah_mllm.core.records import Word
from bah_mllm.cues.lexicons import Lexicon, plain

__all__ = ["PAUSE_S", "Token", "tokens_of"]

PAUSE_S = 0.25
"""A gap between words that a listener hears as one."""

_LONGEST_STUTTER = 30  # letters; written longer, it is no stutter

_PARTS = re.compile(r"[^\s\u2013\u2014\u2026]+|[\u2013\u2014\u2026]+")
_CLAUSE_END = frozenset(",;:.?!\u2026\u2013\u2014")
_AFTER_CUT = ',.?!"\u2026'
_CLOSING = "\"')]\u00bb\u201d\u2019"  # may follow the punctuation that counts
_STUTTERED = re.compile(r"(?i)^(\w)-(?:\1-)*(\1\w*)$|^(\w{1,3})-(?:\3-)*(\3)$")


@dataclass(frozen=True, slots=True)
class Token:
    """A spoken word, or a part of one, as the rules compare it.

    Args:
        index: Its place among the tokens.
        word: Place of the word it belongs to.
        text: Plain word; without the hyphen of a cut one.
        family: What it shares with the other forms of the same subject or little word; ``text`` where it has none.
        start_s: Start in seconds.
        stop_s: End.
        gap_s: Silence before it, 0 for the first.
        is_cut: The speaker broke off inside it.
        opens_clause: Punctuation, or a pause, or nothing at all comes before it.
        opens_sentence: A full stop, question mark or exclamation mark comes before it, or nothing at all.
        asks: A question mark comes after it.
    """

    index: int
    word: int
    text: str
    family: str
    start_s: float
    stop_s: float
    gap_s: float
    is_cut: bool
    opens_clause: bool
    opens_sentence: bool
    asks: bool


def _split(text: str) -> list[str]:
    """Return the parts of a written word: at blanks and dashes, and where a stutter is written as one word.

    Example: "I-I" is two words, "w-want" a cut one and a whole one, "well-being" one.
    """
    parts = []
    for part in _PARTS.findall(text):
        core = part.strip(',.;:?!"()[]')
        if len(core) <= _LONGEST_STUTTER and _STUTTERED.match(core):
            *cut, last = core.split("-")
            whole = len(cut[0]) == len(last)
            parts += [piece if whole else f"{piece}-" for piece in cut]
            parts.append(last + part[part.rindex(last) + len(last) :])
        else:
            parts.append(part)
    return parts


def tokens_of(words: Sequence[Word], lists: Lexicon) -> tuple[Token, ...]:
    """Return the tokens of words; those without a letter or digit, or without finite times, only mark clauses."""
    tokens: list[Token] = []
    clause = sentence = True
    stop_s = 0.0
    for place, word in enumerate(words):
        if not (math.isfinite(word.start_s) and math.isfinite(word.stop_s)):
            continue
        parts = _split(word.text)
        start_s, length_s = max(0.0, word.start_s), max(0.0, word.stop_s - max(0.0, word.start_s))
        for number, part in enumerate(parts):
            text = plain(part)
            ending = part.rstrip(_CLOSING)[-1:]
            if text:
                begin_s = start_s + length_s * number / len(parts)
                gap_s = begin_s - stop_s if tokens else 0.0
                tokens.append(
                    Token(
                        index=len(tokens),
                        word=place,
                        text=text,
                        family=_family(part, text, lists),
                        start_s=begin_s,
                        stop_s=start_s + length_s * (number + 1) / len(parts),
                        gap_s=gap_s,
                        is_cut=part.rstrip(_AFTER_CUT)[-1:] == "-",
                        opens_clause=clause or gap_s >= PAUSE_S,
                        opens_sentence=sentence,
                        asks=ending == "?",
                    )
                )
                stop_s = tokens[-1].stop_s
                clause = sentence = False
            clause = clause or ending in _CLAUSE_END
            sentence = sentence or _ends_sentence(part)
    return tuple(tokens)


def _ends_sentence(written: str) -> bool:
    """Tell whether a full stop, but not three, or a question or exclamation mark comes last."""
    core = written.rstrip(_CLOSING)
    return core.endswith((".", "?", "!")) and not core.endswith("..")


def _family(written: str, text: str, lists: Lexicon) -> str:
    prefix, mark, _ = written.lower().replace("\u2019", "'").partition("'")
    if mark and prefix in lists.elisions:
        return lists.elisions[prefix]
    return lists.families.get(text, text)
