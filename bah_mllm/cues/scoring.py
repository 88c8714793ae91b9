"""How well cues are found: words against an annotated disfluency corpus, events against annotated events.

Words (``score_words``): precision, recall and F1 over words, for edit terms (fillers) and for the reparandum (words
given up as a false start), pooled over speakers; and the share of annotated repetitions of which at least one word was
flagged.

Events (``score_events``): found and true events of one code are paired one to one; a pair overlaps in time, or lies no
further apart than a tolerance. As many pairs as possible are formed, so that the order of events does not matter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Word
from bah_mllm.core.saying import say
from bah_mllm.core.tables import Column, Kind, Layout, read_table
from bah_mllm.cues.language import word_flags
from bah_mllm.cues.records import CueEvent

__all__ = ["EventScore", "Recall", "Truth", "WordScore", "WordScores", "score_events", "score_words"]

Truth = tuple[str, float, float]  # code, start_s, stop_s

_LAYOUT = Layout(
    (
        Column("id"),
        Column("start", Kind.NUMBER, is_needed=True, may_be_blank=False),
        Column("end", Kind.NUMBER, is_needed=True, may_be_blank=False),
        Column("word", is_needed=True),
        Column("POS"),
        Column("tags", is_needed=True),
    ),
    expected="id, start, end, word, POS, tags, separated by tabs",
    is_private=True,
    needs_header=False,
    section="Speaker:",
)
_UNCERTAIN = re.compile(r"^\$\w*\$")  # marks words that the corpus's transcribers were not sure of
_TAG = re.compile(r'<(rms|rm|rpnrep|rpnsub|rpndel) id="([^"]*)"/>')


@dataclass(frozen=True, slots=True)
class EventScore:
    """How the events of one code were found.

    Args:
        n_found: Events found.
        n_truth: Events that are there.
        n_matched: Pairs of the two.
        precision: Share of found events that are there; None where none was found.
        recall: Share of events that were found; None where there are none.
        false_per_min: Found events that are not there, per minute of video.
    """

    n_found: int
    n_truth: int
    n_matched: int
    precision: float | None
    recall: float | None
    false_per_min: float


def score_events(
    found: Sequence[CueEvent], truth: Sequence[Truth], *, tolerance_s: float, minutes: float
) -> dict[str, EventScore]:
    """Return how well the events of each code were found, by code in alphabetical order.

    Args:
        found: Of one video; give several videos as one by shifting their times.
        truth: Code, start and stop in seconds.
        tolerance_s: How far apart two events may lie and still be the same one; 0 asks for overlap or touch.
        minutes: How much was looked at, above 0.

    Returns:
        Codes found or true; empty where there are neither.

    >>> truth = [("face.smile", 1.0, 2.0), ("face.smile", 5.0, 6.0)]
    >>> score_events([], truth, tolerance_s=0.5, minutes=1.0)["face.smile"].recall
    0.0
    """
    if not (minutes > 0 and tolerance_s >= 0):
        raise ValueError(f"{minutes} minutes, {tolerance_s} s of tolerance")
    by_code: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = defaultdict(lambda: ([], []))
    for event in found:
        by_code[event.code][0].append((event.start_s, event.stop_s))
    for code, start_s, stop_s in truth:
        by_code[code][1].append((start_s, stop_s))
    scores = {}
    for code in sorted(by_code):
        ours, theirs = by_code[code]
        n_matched = _n_pairs(ours, theirs, tolerance_s)
        scores[code] = EventScore(
            n_found=len(ours),
            n_truth=len(theirs),
            n_matched=n_matched,
            precision=_share(n_matched, len(ours)),
            recall=_share(n_matched, len(theirs)),
            false_per_min=(len(ours) - n_matched) / minutes,
        )
    return scores


def _n_pairs(found: Sequence[tuple[float, float]], truth: Sequence[tuple[float, float]], tolerance_s: float) -> int:
    """Return the size of the largest one-to-one matching."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    edges = [
        (place, other)
        for place, (start_s, stop_s) in enumerate(found)
        for other, (true_start_s, true_stop_s) in enumerate(truth)
        if start_s <= true_stop_s + tolerance_s and true_start_s <= stop_s + tolerance_s
    ]
    if not edges:
        return 0
    rows, columns = zip(*edges, strict=True)
    graph = csr_matrix(([1] * len(edges), (rows, columns)), shape=(len(found), len(truth)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


@dataclass(slots=True)
class _Side:
    """The words of one speaker in one conversation, with what annotators said about them."""

    words: list[Word] = field(default_factory=list)
    is_edit: list[bool] = field(default_factory=list)
    is_reparandum: list[bool] = field(default_factory=list)
    repetitions: list[tuple[int, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WordScore:
    """How words of one kind were found; ratios over nothing are None.

    Args:
        precision: Share of the words found that are of the kind, 0 to 1.
        recall: Share of the words of the kind that were found.
        f1: Harmonic mean of both.
        n: Words of the kind.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of what is there were found: the share (None over nothing), and how many there are."""

    recall: float | None
    n: int


@dataclass(frozen=True, slots=True)
class WordScores:
    """How the rules for words do on an annotated corpus.

    Args:
        n_words: Words of the corpus.
        n_speakers: Speakers, one for each conversation that they are in.
        edit_terms: Fillers.
        reparandum: Words given up as a false start.
        repetition_events: Annotated repetitions of which a word was flagged.
        partial: Words broken off that annotators marked as reparandum.
    """

    n_words: int
    n_speakers: int
    edit_terms: WordScore
    reparandum: WordScore
    repetition_events: Recall
    partial: Recall


def score_words(path: Path) -> WordScores:
    """Return how well the rules for English words find what annotators of disfluency marked.

    Only the words and their times are looked at. A word is an edit term where its tags hold ``<e/>``, part of a
    reparandum where they hold ``<rms .../>`` or ``<rm .../>``; a repair that ends in ``<rpnrep .../>`` is a repetition,
    found when one of its reparandum words is flagged.

    Args:
        path: In the Switchboard form of the deep_disfluency corpus: ``Speaker: ...`` lines, and lines of six cells
            separated by tabs (id, start and end in seconds, word, part of speech, tags); or any other table with a
            header that ``read_table`` takes.

    Raises:
        DataError: The file cannot be read, or a line is malformed.
        PrerequisiteError: It is an Excel file, and openpyxl is not there.
    """
    sides = list(_sides(Path(path)))
    edit, reparandum, partial = [], [], []
    n_repetitions = n_repetitions_found = 0
    for side in sides:
        flags = word_flags(side.words, "en")
        edit += [(flag.filler is not None, gold) for flag, gold in zip(flags, side.is_edit, strict=True)]
        given_up = [flag.repair is not None for flag in flags]
        pairs = list(zip(given_up, side.is_reparandum, strict=True))
        reparandum += pairs
        partial += [pair for pair, word in zip(pairs, side.words, strict=True) if word.text.endswith("-")]
        n_repetitions += len(side.repetitions)
        n_repetitions_found += sum(any(given_up[place] for place in places) for places in side.repetitions)
    return WordScores(
        n_words=len(edit),
        n_speakers=len(sides),
        edit_terms=_over_words(edit),
        reparandum=_over_words(reparandum),
        repetition_events=Recall(_share(n_repetitions_found, n_repetitions), n_repetitions),
        partial=Recall(_over_words(partial).recall, len(partial)),
    )


def _over_words(pairs: Sequence[tuple[bool, bool]]) -> WordScore:
    n_both = sum(ours and gold for ours, gold in pairs)
    n_ours, n_gold = sum(ours for ours, _ in pairs), sum(gold for _, gold in pairs)
    return WordScore(
        precision=_share(n_both, n_ours),
        recall=_share(n_both, n_gold),
        f1=_share(2 * n_both, n_ours + n_gold),
        n=n_gold,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _sides(path: Path) -> Iterator[_Side]:
    """Yield the speakers of a file; one that opens without a ``Speaker:`` line counts as one."""
    table = read_table(path, _LAYOUT)
    for note in table.notes:
        say(f"note: {note}")
    side, pending = _Side(), defaultdict[str, list[int]](list)
    for row in table.rows:
        if row.section is not None:
            if side.words:
                yield side
            side, pending = _Side(), defaultdict(list)
        else:
            text, start_s, stop_s = (row.values[name] for name in ("word", "start", "end"))
            _add(side, pending, Word(_UNCERTAIN.sub("", text), start_s, stop_s), row.values["tags"])
    if side.words:
        yield side
    if all(row.section is not None for row in table.rows):
        raise DataError(f"{path} holds no words.", remedy=f"Give a file in the Switchboard form: {_LAYOUT.expected}.")


def _add(side: _Side, pending: dict[str, list[int]], word: Word, tags: str) -> None:
    """Append a word; a repair that ends at it joins the repetitions if it is one. Ids recur: a start begins anew."""
    place = len(side.words)
    side.words.append(word)
    side.is_edit.append("<e/>" in tags)
    side.is_reparandum.append("<rms " in tags or "<rm " in tags)
    for tag, name in _TAG.findall(tags):
        if tag == "rms":
            pending[name] = [place]
        elif tag == "rm":
            pending[name].append(place)
        else:
            places = tuple(pending.pop(name, ()))
            if tag == "rpnrep" and places:
                side.repetitions.append(places)
