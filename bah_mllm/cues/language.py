"""Disfluency and hedging in timed words: filler sounds and words, repetition, correction, hedges (paper, Table 10).

English and French, by a small set of named rules over word lists that hold knowledge of the language only
(``lexicons/*.toml``). Words are heard one after another as a listener would: fillers are set aside, and each new word
may show that the words just before it were a false start (the *reparandum*), which is then set aside as well, so that
the next word is compared with what the speaker left standing: "I w- I was, I were".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from bah_mllm.core.records import Transcript, Word
from bah_mllm.cues.codes import CODES, CONFIDENCE
from bah_mllm.cues.lexicons import LANGUAGES, Lexicon, Phrase, guess_language, lexicon, plain
from bah_mllm.cues.records import CueEvent
from bah_mllm.transcripts import timed_words

__all__ = ["Filler", "Repair", "RepairKind", "Token", "WordFlags", "analyse", "language_events", "word_flags"]

_PAUSE_S = 0.25  # a gap between words that a listener hears as one
_MAX_GAP_S = 4.0  # a new start after a longer silence is a new thought, not a repair
_MAX_REPEATED = 6  # words in one repeated phrase
_HEARD = 2 * _MAX_REPEATED  # words that the rules look back on

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


class Filler(StrEnum):
    """What an edit term is."""

    SOUND = "filler_sound"
    WORD = "filler_word"


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


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the rules made of the words.

    Args:
        lists: Word lists used.
        tokens: In order.
        fillers: Place of a token to what kind of filler it belongs to.
        filler_spans: First and last token of each filler, by place.
        repairs: Those told by repetition first; each in the order in which it was heard.
        fluent: Places of the tokens that are left standing.
    """

    lists: Lexicon
    tokens: tuple[Token, ...]
    fillers: Mapping[int, Filler]
    filler_spans: tuple[tuple[int, int], ...]
    repairs: tuple[Repair, ...]
    fluent: tuple[int, ...]


class WordFlags(NamedTuple):
    """Whether one word is (part of) an edit term, and of a false start."""

    filler: Filler | None
    repair: RepairKind | None


# --- from words to tokens


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


def _tokens(words: Sequence[Word], lists: Lexicon) -> tuple[Token, ...]:
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
                        opens_clause=clause or gap_s >= _PAUSE_S,
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


# --- fillers


def _find_fillers(tokens: Sequence[Token], lists: Lexicon) -> tuple[dict[int, Filler], list[tuple[int, int]]]:
    """Return the kind of filler of each token that is one, and the first and last token of each filler."""
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
    return fillers, spans


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


# --- false starts: each rule looks at the words heard so far, newest last, and says how many words before the newest
# ones were given up, and how many newest ones stand in for them

Found = tuple[RepairKind, int, int]
Rule = Callable[[Sequence[Token], Lexicon], Found | None]


def _cut_word(heard: Sequence[Token], lists: Lexicon) -> Found | None:  # noqa: ARG001
    """A word broken off. Example: "we br- we bought it" gives up "br-"."""
    return (RepairKind.CUT, 1, 1) if heard[-2].is_cut else None


def _repeated_words(heard: Sequence[Token], lists: Lexicon) -> Found | None:
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


def _new_form(heard: Sequence[Token], lists: Lexicon) -> Found | None:
    """Another form of the same little word. Examples: "it it's raining", "I've I had", "je j'ai froid".

    Back to the plain form only where it is a subject: not "c'est ce que".
    """
    first, second = heard[-2], heard[-1]
    if first.family != second.family or first.text == second.text or second.opens_sentence:
        return None
    is_longer = first.text == first.family
    return (RepairKind.NEW_FORM, 1, 1) if is_longer or first.text in lists.classes["nominative"] else None


def _substituted_word(heard: Sequence[Token], lists: Lexicon) -> Found | None:
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


def _stranded_word(heard: Sequence[Token], lists: Lexicon) -> Found | None:
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


def _restarted_clause(heard: Sequence[Token], lists: Lexicon) -> Found | None:
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


def _rough_copy(heard: Sequence[Token], lists: Lexicon) -> Found | None:
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
_PASSES: tuple[tuple[Rule, ...], ...] = (
    (_repeated_words, _cut_word, _new_form),
    (_repeated_words, _substituted_word, _stranded_word, _restarted_clause, _rough_copy),
)


def _find_repairs(
    tokens: Sequence[Token], fillers: Mapping[int, Filler], lists: Lexicon
) -> tuple[list[Repair], list[int]]:
    """Return the repairs, and the tokens left standing."""
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
    return repairs, left


def _first_match(heard: Sequence[Token], rules: Sequence[Rule], lists: Lexicon) -> Found | None:
    if len(heard) < 2 or heard[-1].start_s - heard[-2].stop_s > _MAX_GAP_S:
        return None
    return next((found for rule in rules if (found := rule(heard, lists))), None)


# --- the whole


def analyse(words: Sequence[Word], language: str | None = None) -> Analysis | None:
    """Return fillers and false starts among timed words.

    Args:
        words: In order; punctuation and case may be there or not.
        language: ISO 639-1 code; guessed where None.

    Returns:
        None where the language is unknown or has no word lists here.
    """
    if language is None:
        language = guess_language(plain(word.text) for word in words)
    if language not in LANGUAGES:
        return None
    lists = lexicon(language)
    tokens = _tokens(words, lists)
    fillers, spans = _find_fillers(tokens, lists)
    repairs, fluent = _find_repairs(tokens, fillers, lists)
    return Analysis(lists, tokens, fillers, tuple(spans), tuple(repairs), tuple(fluent))


def word_flags(words: Sequence[Word], language: str | None = None) -> list[WordFlags]:
    """Return for each word whether it is an edit term, and whether it was given up as a false start.

    >>> said = [Word(text, i, i + 0.3) for i, text in enumerate("um I w- I was was late".split())]
    >>> ["".join(name[0] for name in (flags.filler, flags.repair) if name) for flags in word_flags(said)]
    ['f', 'r', 'c', '', 'r', '', '']
    """
    flags = [WordFlags(None, None)] * len(words)
    analysis = analyse(words, language)
    if analysis is None:
        return flags
    for place, kind in analysis.fillers.items():
        flags[analysis.tokens[place].word] = WordFlags(kind, None)
    for repair in analysis.repairs:
        for place in repair.reparandum:
            flags[analysis.tokens[place].word] = WordFlags(None, repair.kind)
    return flags


def language_events(transcript: Transcript) -> list[CueEvent]:
    """Return fillers, hedges, corrections, repetitions and cut words of a transcript, in order of time.

    Confidence is that of the grade (``CODES``), less where word times are only spread over a chunk. Corrections are
    told by what introduces them ("or rather") and by words broken off for other words: changes of grammar alone are
    none (paper, Table 10), and changes of mind without a sign are left to a language model.

    Args:
        transcript: With word times, or chunks with times. Without any times, or in a language without word lists,
            there are no events.

    Returns:
        Events whose text is the words concerned: for a repetition, what was repeated, once (both forms of "it it's").
    """
    if not transcript.words and all(chunk.start_s is None for chunk in transcript.chunks):
        return []
    words = timed_words(transcript)
    analysis = analyse(words, transcript.language)
    if analysis is None:
        return []
    knowledge = 1.0 if transcript.words else _SPREAD_KNOWLEDGE
    events = [
        _event(marked, analysis, words, knowledge)
        for marked in (
            *_filler_marks(analysis),
            *_repetition_marks(analysis),
            *_hedge_marks(analysis),
            *_correction_marks(analysis),
            *_cut_marks(analysis),
        )
    ]
    return sorted(events, key=lambda event: (event.start_s, event.stop_s, event.code))


_SPREAD_KNOWLEDGE = 0.8  # of times that are good to about a second
_AROUND_QUOTE = ' ,.;:!\u2026"\u00ab\u00bb\u201c\u201d'
_SHORTEST_S = 0.01  # aligners give some words no length
_LONG_SOUND_S, _VERY_LONG_SOUND_S = 0.6, 1.0  # "um" takes about 0.3 s


class _Mark(NamedTuple):
    """A cue among the tokens: from the first to the last one, told in the words of ``quoted`` tokens."""

    code: str
    first: int
    last: int
    quoted: tuple[int, ...]
    strength: int
    certainty: float = 1.0


def _event(mark: _Mark, analysis: Analysis, words: Sequence[Word], knowledge: float) -> CueEvent:
    start_s = analysis.tokens[mark.first].start_s
    quoted = dict.fromkeys(analysis.tokens[place].word for place in mark.quoted)
    return CueEvent(
        code=mark.code,
        start_s=start_s,
        stop_s=max(analysis.tokens[mark.last].stop_s, start_s + _SHORTEST_S),
        strength=mark.strength,
        value=None,
        usual=None,
        unit="",
        confidence=CONFIDENCE[CODES[mark.code].grade] * mark.certainty * knowledge,
        source="words",
        text=" ".join(words[place].text.strip() for place in quoted).strip(_AROUND_QUOTE),
    )


def _filler_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield fillers; those of a kind that follow each other at once are one, and the stronger for it."""
    spans = [[first, last, 1] for first, last in analysis.filler_spans]
    merged: list[list[int]] = []
    for span in spans:
        if merged and _continues(merged[-1], span, analysis):
            merged[-1][1:] = [span[1], merged[-1][2] + 1]
        else:
            merged.append(span)
    for first, last, n_fillers in merged:
        kind = analysis.fillers[first]
        length_s = analysis.tokens[last].stop_s - analysis.tokens[first].start_s
        by_length = 1 + (length_s >= _LONG_SOUND_S) + (length_s >= _VERY_LONG_SOUND_S) if kind is Filler.SOUND else 1
        yield _Mark(
            f"language.{kind}", first, last, tuple(range(first, last + 1)), strength=min(3, max(by_length, n_fillers))
        )


def _continues(before: Sequence[int], after: Sequence[int], analysis: Analysis) -> bool:
    return (
        before[1] + 1 == after[0]
        and analysis.fillers[before[0]] is analysis.fillers[after[0]]
        and analysis.tokens[after[0]].gap_s < _PAUSE_S
    )


def _repetition_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield repeated words; copies of copies are one, and the stronger for the number of words said in vain."""
    chains: list[list[Repair]] = []
    for repair in sorted(
        (repair for repair in analysis.repairs if repair.kind in (RepairKind.REPETITION, RepairKind.NEW_FORM)),
        key=lambda repair: repair.reparandum[0],
    ):
        if chains and repair.reparandum[0] <= chains[-1][-1].repair[-1]:
            chains[-1].append(repair)
        else:
            chains.append([repair])
    for chain in chains:
        first, last = chain[0].reparandum[0], max(repair.repair[-1] for repair in chain)
        copies = [repair.repair for repair in chain if repair.kind is RepairKind.REPETITION]
        n_in_vain = sum(len(repair.reparandum) for repair in chain)
        yield _Mark(
            "language.repetition",
            first,
            last,
            quoted=max(copies, key=len) if copies else tuple(range(first, last + 1)),
            strength=1 + (n_in_vain >= 2) + (n_in_vain >= 4),
            certainty=1.0 if copies else CONFIDENCE["B"],
        )


def _hedge_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield hedges among the words left standing, so that "I, um, I think" is found, and found once."""
    tokens = [analysis.tokens[place] for place in analysis.fluent]
    for first, last in _phrase_spans(tokens, analysis.lists.hedges, analysis.lists):
        quoted = tuple(token.index for token in tokens[first : last + 1])
        yield _Mark("language.hedging", quoted[0], quoted[-1], quoted, strength=1 + (last - first >= 2))


def _correction_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield words that take something back, and words broken off for others: "by Mon- Tuesday"."""
    for first, last in _phrase_spans(analysis.tokens, analysis.lists.corrections, analysis.lists):
        yield _Mark("language.correction", first, last, tuple(range(first, last + 1)), strength=2)
    following = dict(pairwise(analysis.fluent))
    for repair in analysis.repairs:
        first, second = repair.reparandum[0], repair.repair[0]
        cut = analysis.tokens[first].text
        meant = [analysis.tokens[place].text for place in (second, following.get(second, second))]
        if repair.kind is not RepairKind.CUT or _stands_for_a_compound(analysis.tokens[first], analysis):
            continue
        if len(cut) >= _TELLING_CUT and not any(text.startswith(cut) for text in meant):
            yield _Mark("language.correction", first, second, (first, second), strength=1)


_TELLING_CUT = 3  # letters of a cut word by which it differs from the word that follows; fewer may be any restart


def _cut_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield words broken off, as a verbatim transcript writes them ("exer-"); those in a row are one, and stronger."""
    runs: list[list[int]] = []
    for token in analysis.tokens:
        if not token.is_cut or _stands_for_a_compound(token, analysis):
            continue
        if runs and runs[-1][-1] == token.index - 1:
            runs[-1].append(token.index)
        else:
            runs.append([token.index])
    for run in runs:
        yield _Mark("audio.cut_words", run[0], run[-1], tuple(run), strength=min(3, len(run)))


def _stands_for_a_compound(token: Token, analysis: Analysis) -> bool:
    """Tell whether a hyphen stands for what follows: "short- and long-term"."""
    following = analysis.tokens[token.index + 1 : token.index + 2]
    return bool(following) and following[0].text in analysis.lists.classes["linking"]


def _phrase_spans(
    tokens: Sequence[Token], phrases: Mapping[str, tuple[Phrase, ...]], lists: Lexicon
) -> Iterator[tuple[int, int]]:
    place = 0
    while place < len(tokens):
        phrase = _phrase_at(tokens, place, phrases, fillers={}, lists=lists)
        if phrase:
            yield place, place + len(phrase.words) - 1
        place += len(phrase.words) if phrase else 1
