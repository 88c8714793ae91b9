"""What a speaker says about change, marked by a language model: the COM-B rows and their neighbours (paper, Table 10).

Whether "I could walk there" speaks of ability or of a wish is about what is meant, which word lists hardly tell. So a
model is asked for quotes with a code each, and believed only as far as it can be checked: a quote that is not in the
transcript, or a code that is not in the codebook, makes no event. Text and times of an event are those of the
transcript's words, never the model's own.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bah_mllm.core.engine import Engine
from bah_mllm.core.errors import ConfigError, DataError, PromptError
from bah_mllm.core.records import Answer, Transcript, WindowJob, Word
from bah_mllm.cues.codes import CONFIDENCE
from bah_mllm.cues.records import SPREAD_KNOWLEDGE, CueEvent, in_order, worded_event
from bah_mllm.prompting import PromptTemplate, PromptValues, neutralise, render_prompt
from bah_mllm.prompting.template import parse_template
from bah_mllm.transcripts import timed_words

__all__ = ["COMB_CODES", "CombResult", "comb_events", "comb_prompt"]

COMB_CODES = (
    "language.positive",
    "language.negative",
    "language.excuse",
    "language.success",
    "language.fail",
    "language.cap",
    "language.no_cap",
    "language.mot",
    "language.no_mot",
    "language.opp",
    "language.no_opp",
)
"""The codes that a model is asked for."""

_PROMPT_FILE = "comb_prompt.jinja"
_MAX_REPLY_CHARS = 20_000  # eleven codes with a few quotes each take 2,000
_MIN_QUOTE_WORDS, _MIN_QUOTE_CHARS = 2, 8  # one of them: "but" would be found anywhere
_MAX_QUOTE_WORDS = 40  # the prompt asks for fewer than 20; a whole answer as a quote says nothing about when
_CONFIDENCE = CONFIDENCE["B"]  # what a model reads is usable with care; the table's own grade is that without a model

_APOSTROPHES = str.maketrans("", "", "'\u2018\u2019\u02bc`")
_PIECE = re.compile(r"[^\W_]+")
_EMPTY_LIST = re.compile(r"\[\s*\]")
_UNFINISHED = re.compile(r'\{\s*(?:"[^{}]*)?\Z')


@dataclass(frozen=True, slots=True)
class CombResult:
    """What a model found in one transcript.

    Args:
        events: In order of time; source ``llm``.
        n_rejected: Entries of the reply that became no event: another code, a quote that is too short or too long, not
            in the transcript or without a time, or the same words under the same code once more.
        problem: Why nothing, or not all, was read; None where all was. Never quotes transcript or reply.
    """

    events: tuple[CueEvent, ...] = ()
    n_rejected: int = 0
    problem: str | None = None


@cache
def comb_prompt() -> PromptTemplate:
    """Return the prompt, with version and digest for the record."""
    text = (files("bah_mllm.cues") / _PROMPT_FILE).read_text(encoding="utf-8")
    return parse_template(text, name="comb", path=Path(_PROMPT_FILE), load_partial=_no_partial)


def _no_partial(name: str) -> tuple[Path, str]:
    raise PromptError(f"The prompt {_PROMPT_FILE} includes {name!r}.", remedy="Write it in one file.")


def comb_events(transcript: Transcript, engine: Engine, *, max_new_tokens: int = 256, video_id: str = "") -> CombResult:
    """Return statements for and against change in a transcript, as an engine marks them.

    The engine is asked once, without a clip. It is not asked where nothing is said, or where it is not known when
    anything was said: quotes would have no time. Confidence is that of grade B, less where word times are only spread
    over a chunk.

    Args:
        transcript: With word times, or chunks with times; any language that the engine reads.
        engine: Any that generates.
        max_new_tokens: Length of its reply at most, at least 1; a quote with its code takes about 25.
        video_id: Whose transcript; the engine's failures name it.

    Raises:
        ConfigError: The engine does not generate.

    References:
        Paper, Table 10, from "Positive" to "No opp", in our words.
    """
    if not engine.capabilities.generates:
        raise ConfigError(
            f"The engine {engine.name!r} only scores labels, but marking statements takes one that writes.",
            remedy="Choose another with --engine, or leave these cues out.",
        )
    text = transcript.text.strip() or " ".join(part.text for part in transcript.words or transcript.chunks).strip()
    if not text:
        return CombResult()
    words = _words_with_times(transcript)
    if not words:
        return CombResult(problem="the transcript has no times")
    prompt = render_prompt(comb_prompt(), PromptValues(transcript=text), engine.control_markers())
    job = WindowJob(video_id, window=None, clip=None, prompts=(prompt,))
    answer = engine.generate([job], max_new_tokens=max_new_tokens)[0][0]
    if answer.reply is None:
        return CombResult(problem=_why_no_reply(answer))
    knowledge = 1.0 if transcript.words else SPREAD_KNOWLEDGE
    return _read_reply(answer.reply[:_MAX_REPLY_CHARS], words, confidence=_CONFIDENCE * knowledge)


def _words_with_times(transcript: Transcript) -> tuple[Word, ...]:
    try:
        return timed_words(transcript)
    except DataError:
        return ()


def _why_no_reply(answer: Answer) -> str:
    if answer.failure is None:
        return "the engine gave no reply"
    status, reason = answer.failure
    return f"{status.value}: {reason}"


def _read_reply(reply: str, words: Sequence[Word], *, confidence: float) -> CombResult:
    entries = list(_entries(reply))
    said = _Said(words)
    found_before: dict[tuple[str, str], int] = {}
    events = []
    for entry in entries:
        code, needle = _code_of(entry.get("code")), _needle_of(entry.get("quote"))
        if code is None or needle is None:
            continue
        found = said.find(needle, after=found_before.get((code, needle), 0))
        if found is None:
            continue
        found_before[code, needle] = found.next_search
        event = _event(code, words[found.first : found.last + 1], confidence)
        if event is not None:
            events.append(event)
    return CombResult(tuple(in_order(events)), len(entries) - len(events), _what_is_missing(reply, entries))


# --- the reply: untrusted text


_DECODER = json.JSONDecoder(strict=False)  # models write line breaks inside strings


def _entries(reply: str) -> Iterator[Mapping[str, object]]:
    """Yield the objects with a code or a quote, whatever stands around them: a list, lines, a fence, prose."""
    place = reply.find("{")
    while place != -1:
        following = place + 1  # an object of another form may hold what we look for
        try:
            value, stop = _DECODER.raw_decode(reply, place)
        except (ValueError, RecursionError):
            pass
        else:
            if "code" in value or "quote" in value:
                yield value
                following = stop
        place = reply.find("{", following)


def _what_is_missing(reply: str, entries: Sequence[object]) -> str | None:
    before, after = reply[: max(reply.find("{"), 0)], reply[reply.rfind("}") + 1 :]
    is_open_list = before.rfind("[") > before.rfind("]") and "]" not in after
    if is_open_list or _UNFINISHED.search(reply):
        return f"the reply of {len(reply):,} characters stops before its end: it needs more tokens"
    if not entries and not _EMPTY_LIST.search(reply):
        return f"the reply of {len(reply):,} characters has neither an entry with code and quote nor an empty list"
    return None


def _code_of(value: object) -> str | None:
    """Return the code that is meant by "no_opp", "No opp" or "language.no_opp"."""
    if not isinstance(value, str):
        return None
    row = "_".join(_PIECE.findall(value.casefold())).removeprefix("language_")
    return code if (code := f"language.{row}") in COMB_CODES else None


def _needle_of(value: object) -> str | None:
    """Return what to look for, or None for what is no quote, or one too short or too long to count."""
    if not isinstance(value, str):
        return None
    pieces = _pieces(value)
    is_long_enough = len(pieces) >= _MIN_QUOTE_WORDS or len("".join(pieces)) >= _MIN_QUOTE_CHARS
    return f" {' '.join(pieces)} " if is_long_enough and len(pieces) <= _MAX_QUOTE_WORDS else None


# --- quotes in the transcript


def _pieces(text: str) -> list[str]:
    """Return runs of letters and digits: what is left of text when case, punctuation and white space do not count."""
    seen = neutralise(text, ()).text.translate(_APOSTROPHES)  # invisible characters never reached the model either
    return _PIECE.findall(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()))


class _Found(NamedTuple):
    """First and last word of a quote, and where to look for the next one like it."""

    first: int
    last: int
    next_search: int


class _Said:
    """Timed words, as one text in which quotes are looked for."""

    def __init__(self, words: Sequence[Word]) -> None:
        pieces = [(piece, place) for place, word in enumerate(words) for piece in _pieces(word.text)]
        self._word_of_piece = [place for _, place in pieces]
        self._text = f" {' '.join(piece for piece, _ in pieces)} "
        self._starts = list(accumulate((len(piece) + 1 for piece, _ in pieces), initial=1))

    def find(self, needle: str, *, after: int) -> _Found | None:
        """Return where whole words stand that are spelt alike, at or after a place of the text."""
        place = self._text.find(needle, after)
        if place == -1:
            return None
        first = bisect_right(self._starts, place + 1) - 1
        last = first + needle.count(" ") - 2
        return _Found(self._word_of_piece[first], self._word_of_piece[last], place + len(needle) - 1)


def _event(code: str, words: Sequence[Word], confidence: float) -> CueEvent | None:
    """Return the event of quoted words, or None where their times are no times."""
    start_s, last_s = words[0].start_s, words[-1].stop_s
    if not start_s <= last_s < math.inf:  # also where either is NaN
        return None
    said = " ".join(neutralise(" ".join(word.text for word in words), ()).text.split())
    try:
        return worded_event(code, (start_s, last_s), strength=2, confidence=confidence, source="llm", text=said)
    except DataError:  # before the start, or so late that adding to it changes nothing
        return None
