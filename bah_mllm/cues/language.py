"""Disfluency and hedging in timed words: filler sounds and words, repetition, correction, hedges (paper, Table 10).

English and French, by a small set of named rules over word lists that hold knowledge of the language only
(``lexicons/*.toml``): words become ``tokens``, in which ``phrases`` and ``repairs`` are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from bah_mllm.core.records import Transcript, Word
from bah_mllm.cues.codes import CODES, CONFIDENCE
from bah_mllm.cues.lexicons import LANGUAGES, Lexicon, guess_language, lexicon, plain
from bah_mllm.cues.phrases import Filler, Fillers, find_fillers, phrase_spans
from bah_mllm.cues.records import SPREAD_KNOWLEDGE, CueEvent, in_order, worded_event
from bah_mllm.cues.repairs import Repair, RepairKind, Repairs, find_repairs
from bah_mllm.cues.tokens import PAUSE_S, Token, tokens_of
from bah_mllm.transcripts import timed_words

__all__ = ["Analysis", "WordFlags", "analyse", "language_events", "why_not_looked_for", "word_flags"]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the rules made of the words: word lists used, tokens in order, fillers and false starts."""

    lists: Lexicon
    tokens: tuple[Token, ...]
    fillers: Fillers
    repairs: Repairs


class WordFlags(NamedTuple):
    """Whether one word is (part of) an edit term, and of a false start."""

    filler: Filler | None
    repair: RepairKind | None


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
    tokens = tokens_of(words, lists)
    fillers = find_fillers(tokens, lists)
    return Analysis(lists, tokens, fillers, find_repairs(tokens, fillers.kinds, lists))


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
    for place, kind in analysis.fillers.kinds.items():
        flags[analysis.tokens[place].word] = WordFlags(kind, None)
    for repair in analysis.repairs.found:
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
    knowledge = 1.0 if transcript.words else SPREAD_KNOWLEDGE
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
    return in_order(events)


def why_not_looked_for(transcript: Transcript) -> str | None:
    """Return why there can be no fillers, hedges or repetitions among some words; None where they are looked for."""
    if not transcript.text:
        return None
    if not transcript.words and all(chunk.start_s is None for chunk in transcript.chunks):
        return "the words have no times"
    language = transcript.language or guess_language(plain(word.text) for word in timed_words(transcript))
    if language in LANGUAGES:
        return None
    return "the language of the words is unknown" if language is None else f"no word lists for the language {language}"


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
    quoted = dict.fromkeys(analysis.tokens[place].word for place in mark.quoted)
    return worded_event(
        mark.code,
        (analysis.tokens[mark.first].start_s, analysis.tokens[mark.last].stop_s),
        strength=mark.strength,
        confidence=CONFIDENCE[CODES[mark.code].grade] * mark.certainty * knowledge,
        source="words",
        text=" ".join(words[place].text.strip() for place in quoted),
    )


def _filler_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield fillers; those of a kind that follow each other at once are one, and the stronger for it."""
    spans = [[first, last, 1] for first, last in analysis.fillers.spans]
    merged: list[list[int]] = []
    for span in spans:
        if merged and _continues(merged[-1], span, analysis):
            merged[-1][1:] = [span[1], merged[-1][2] + 1]
        else:
            merged.append(span)
    for first, last, n_fillers in merged:
        kind = analysis.fillers.kinds[first]
        length_s = analysis.tokens[last].stop_s - analysis.tokens[first].start_s
        by_length = 1 + (length_s >= _LONG_SOUND_S) + (length_s >= _VERY_LONG_SOUND_S) if kind is Filler.SOUND else 1
        yield _Mark(
            f"language.{kind}", first, last, tuple(range(first, last + 1)), strength=min(3, max(by_length, n_fillers))
        )


def _continues(before: Sequence[int], after: Sequence[int], analysis: Analysis) -> bool:
    return (
        before[1] + 1 == after[0]
        and analysis.fillers.kinds[before[0]] is analysis.fillers.kinds[after[0]]
        and analysis.tokens[after[0]].gap_s < PAUSE_S
    )


def _repetition_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield repeated words; copies of copies are one, and the stronger for the number of words said in vain."""
    chains: list[list[Repair]] = []
    for repair in sorted(
        (repair for repair in analysis.repairs.found if repair.kind in (RepairKind.REPETITION, RepairKind.NEW_FORM)),
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
    tokens = [analysis.tokens[place] for place in analysis.repairs.fluent]
    for first, last in phrase_spans(tokens, analysis.lists.hedges, analysis.lists):
        quoted = tuple(token.index for token in tokens[first : last + 1])
        yield _Mark("language.hedging", quoted[0], quoted[-1], quoted, strength=1 + (last - first >= 2))


def _correction_marks(analysis: Analysis) -> Iterator[_Mark]:
    """Yield words that take something back, and words broken off for others: "by Mon- Tuesday"."""
    for first, last in phrase_spans(analysis.tokens, analysis.lists.corrections, analysis.lists):
        yield _Mark("language.correction", first, last, tuple(range(first, last + 1)), strength=2)
    following = dict(pairwise(analysis.repairs.fluent))
    for repair in analysis.repairs.found:
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
