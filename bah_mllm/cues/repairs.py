"""False starts among timed words: what a speaker said and gave up for other words.

Words are heard one after another as a listener would: fillers are set aside, and each new word may show that the words
just before it were a false start (the *reparandum*), which is then set aside as well, so that the next word is compared
with what the speaker left standing: "I w- I was, I were".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bah_mllm.cues.lexicons import Lexicon
from bah_mllm.cues.tokens import Token

__all__ = ["Repair", "RepairKind", "Repairs", "find_repairs"]

_MAX_GAP_S = 4.0  # a new start after a longer silence is a new thought, not a repair
_MAX_REPEATED = 6  # words in one repeated phrase
_HEARD = 2 * _MAX_REPEATED  # words that the rules look back on


class RepairKind(StrEnum):
    """Why words were taken for a false start."""

    CUT = "cut"
    REPETITION = "repetition"
    NEW_FORM = "new_form"
    SUBSTITUTION = "substitution"
    STRANDED = "stranded"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Repair:
    """A false start and what it was replaced with; places of tokens, fillers left out."""

    kind: RepairKind
    reparandum: tuple[int, ...]
    repair: tuple[int, ...]


class Repairs(NamedTuple):
    """The false starts among tokens.

    Args:
        found: Those told by repetition first; each in the order in which it was heard.
        fluent: Places of the tokens that are left standing.
    """

    found: tuple[Repair, ...]
    fluent: tuple[int, ...]


# Each rule looks at the words heard so far, newest last, and says how many words before the newest ones were given up,
# and how many newest ones stand in for them.
_Found = tuple[RepairKind, int, int]
_Rule = Callable[[Sequence[Token], Lexicon], _Found | None]


def _cut_word(heard: Sequence[Token], lists: Lexicon) -> _Found | None:  # noqa: ARG001
    """A word broken off. Example: "we br- we bought it" gives up "br-"."""
    return (RepairKind.CUT, 1, 1) if heard[-2].is_cut else None


def _repeated_words(heard: Sequence[Token], lists: Lexicon) -> _Found | None:
    """The same words again. Example: "when the, um, when the rain stops" gives up the first "when the".

    Across the end of a sentence only a whole sentence said again counts: not "as it is. It is late".
    """
    for n in range(len(heard) // 2, 0, -1):
        if heard[-1].text != heard[-1 - n].text:  # most words: no need to look at the others
            continue
        first, second = heard[-2 * n : -n], heard[-n:]
        if any(one.text != other.text for one, other in zip(first, second, strict=True)):
            continue
        if all(token.text in lists.never_repeated or token.text.isdigit() for token in first):
            continue
        if second[0].opens_sentence and not first[0].opens_sentence:
            continue
        if _is_grammar(heard, n, lists):
            continue
        return RepairKind.REPETITION, n, n
    return None


def _is_grammar(heard: Sequence[Token], n: int, lists: Lexicon) -> bool:
    """Tell whether words are doubled by grammar: "he said that that was fine" without a pause, "over and over and"."""
    if n == 2:
        links = [token.text in lists.classes["linking"] for token in heard[-2:]]
        is_again = len(heard) > 4 and heard[-5].text == heard[-1].text
        return links == [False, True] or (links == [True, False] and is_again)
    return (
        n == 1
        and len(heard) > 2
        and heard[-1].text in lists.classes["complementizer"]
        and heard[-3].text in lists.classes["clause_verb"]
        and heard[-1].index - heard[-3].index == 2
        and not heard[-1].opens_clause
    )


def _new_form(heard: Sequence[Token], lists: Lexicon) -> _Found | None:
    """Another form of the same little word. Examples: "it it's raining", "I've I had", "je j'ai froid".

    Back to the plain form only where it is a subject: not "c'est ce que".
    """
    first, second = heard[-2], heard[-1]
    if first.family != second.family or first.text == second.text or second.opens_sentence:
        return None
    is_longer = first.text == first.family
    return (RepairKind.NEW_FORM, 1, 1) if is_longer or first.text in lists.classes["nominative"] else None


def _substituted_word(heard: Sequence[Token], lists: Lexicon) -> _Found | None:
    """Two little words in a place for one. Examples: "the a window", "and but it rained", "she we left early"."""
    first, second = heard[-2], heard[-1]
    if second.opens_sentence or first.text == second.text:
        return None
    for one, other in _RIVALS:
        if first.text in lists.classes[one] and second.text in lists.classes[other]:
            return RepairKind.SUBSTITUTION, 1, 1
    return None


_RIVALS = (
    ("article", "article"),
    ("article", "possessive"),
    ("possessive", "article"),
    ("possessive", "possessive"),
    ("nominative", "subject"),
    ("finite", "finite"),
    ("linking", "joining"),
)


def _stranded_word(heard: Sequence[Token], lists: Lexicon) -> _Found | None:
    """A little word without the one it needs. Examples: "I saw the we went home", "he sat on my at his desk"."""
    first, second = heard[-2], heard[-1]
    if second.opens_sentence:
        return None
    for one, other in _NEVER_BEFORE:
        if first.text in lists.classes[one] and second.text in lists.classes[other]:
            return RepairKind.STRANDED, 1, 1
    return None


_NEVER_BEFORE = (
    ("article", "subject"),
    ("article", "preposition"),
    ("article", "relative"),
    ("article", "conjunction"),
    ("article", "finite"),
    ("possessive", "subject"),
    ("possessive", "preposition"),
    ("possessive", "relative"),
    ("possessive", "conjunction"),
)


def _restarted_clause(heard: Sequence[Token], lists: Lexicon) -> _Found | None:
    """A subject that comes again after a word or two. Examples: "I was, I have been", "it just, it's not".

    Not after a subordinate clause: "if you can, you should".
    """
    for n in (2, 3):
        if len(heard) <= n or heard[-1].opens_sentence:
            return None
        first, between = heard[-1 - n], heard[-n:-1]
        if first.family != heard[-1].family or first.text not in lists.classes["subject"]:
            continue
        if not all(token.text in lists.classes["auxiliary"] for token in between):
            continue
        if len(heard) > n + 1 and heard[-2 - n].text in lists.classes["subordinator"]:
            continue
        return RepairKind.RESTART, n, 1
    return None


def _rough_copy(heard: Sequence[Token], lists: Lexicon) -> _Found | None:
    """The same word after another one of its kind. Example: "in town at town"."""
    if len(heard) < 4 or heard[-1].text != heard[-3].text or heard[-2].opens_sentence:
        return None
    if heard[-2].text == heard[-4].text:
        return None  # a repetition that was let pass
    for words in lists.classes.values():
        if heard[-2].text in words and heard[-4].text in words:
            return RepairKind.RESTART, 2, 2
    return None


# First what is said twice, over the whole answer, then what grammar cannot join: heard word by word, "in the in" looks
# like the latter until the second "the" comes.
_PASSES: tuple[tuple[_Rule, ...], ...] = (
    (_repeated_words, _cut_word, _new_form),
    (_repeated_words, _substituted_word, _stranded_word, _restarted_clause, _rough_copy),
)


def find_repairs(tokens: Sequence[Token], fillers: Collection[int], lists: Lexicon) -> Repairs:
    """Return the false starts among tokens; those at the places of fillers are left aside."""
    repairs: list[Repair] = []
    left = [token.index for token in tokens if token.index not in fillers]
    for rules in _PASSES:
        kept: list[int] = []
        for place in left:
            kept.append(place)
            while found := _first_match([tokens[heard] for heard in kept[-_HEARD:]], rules, lists):
                kind, n_reparandum, n_repair = found
                first, second = len(kept) - n_reparandum - n_repair, len(kept) - n_repair
                repairs.append(Repair(kind, reparandum=tuple(kept[first:second]), repair=tuple(kept[second:])))
                del kept[first:second]
        left = kept
    return Repairs(tuple(repairs), tuple(left))


def _first_match(heard: Sequence[Token], rules: Sequence[_Rule], lists: Lexicon) -> _Found | None:
    if len(heard) < 2 or heard[-1].start_s - heard[-2].stop_s > _MAX_GAP_S:
        return None
    return next((found for rule in rules if (found := rule(heard, lists))), None)
