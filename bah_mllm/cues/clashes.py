"""Cues of two modalities that contradict each other (paper, Table 13): question-like evidence, all of grade C.

A clash is reported only where both sides are reliable (confidence of at least 0.6) and overlap by 0.3 s or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bah_mllm.core.records import Word
from bah_mllm.cues.codes import CONFIDENCE
from bah_mllm.cues.lexicons import plain
from bah_mllm.cues.records import CueEvent

__all__ = ["clash_events"]

_MIN_CONFIDENCE = 0.6
_MIN_OVERLAP_S = 0.3
_WORD_MARGIN_S = 0.4  # a nod begins before and ends after the "yes" that it goes with

_YES = frozenset({"yes", "yeah", "yep", "sure", "absolutely", "definitely", "oui", "ouais", "absolument"})
_NO = frozenset({"no", "nope", "never", "non", "jamais"})


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two kinds of events that contradict each other when they overlap."""

    code: str
    first: Callable[[CueEvent], bool]
    second: Callable[[CueEvent], bool]


def _is(*codes: str) -> Callable[[CueEvent], bool]:
    return lambda event: event.code in codes


def _lower(*codes: str) -> Callable[[CueEvent], bool]:
    """Match events of these codes whose value lies below the usual one."""
    return lambda event: (
        event.code in codes and event.value is not None and event.usual is not None and event.value < event.usual
    )


_PAIRS = (
    _Pair("clash.fb", _is("body.nod"), _is("face.frown", "face.lip_press")),
    _Pair("clash.fa", _is("face.smile"), _lower("audio.pitch", "audio.volume")),
    _Pair("clash.ab", _is("body.nod"), _lower("audio.volume", "audio.slow")),
    _Pair("clash.fl", _is("face.smile"), _is("language.negative", "language.no_mot", "language.fail")),
    _Pair("clash.fl", _is("face.frown", "face.pout"), _is("language.positive", "language.success")),
    _Pair("clash.la", _is("language.positive"), _lower("audio.pitch", "audio.volume")),
)


def clash_events(events: Sequence[CueEvent], words: Sequence[Word]) -> list[CueEvent]:
    """Return the contradictions among the events of one video, and between head movements and words.

    Args:
        events: All other events of the video.
        words: With times of their own; empty where unknown.
    """
    sure = [event for event in events if event.confidence >= _MIN_CONFIDENCE]
    found = [
        _clash(pair.code, a, b.start_s, b.stop_s, confidence=min(a.confidence, b.confidence))
        for pair in _PAIRS
        for a in filter(pair.first, sure)
        for b in filter(pair.second, sure)
        if min(a.stop_s, b.stop_s) - max(a.start_s, b.start_s) >= _MIN_OVERLAP_S
    ]
    return [*found, *_head_against_words(sure, words)]


def _head_against_words(events: Sequence[CueEvent], words: Sequence[Word]) -> Iterator[CueEvent]:
    """Yield "yes" said with a shake of the head, and "no" with a nod."""
    for code, against in (("body.shake", _YES), ("body.nod", _NO)):
        for event in events:
            if event.code != code:
                continue
            for word in words:
                start_s, stop_s = word.start_s - _WORD_MARGIN_S, word.stop_s + _WORD_MARGIN_S
                if (
                    plain(word.text) in against
                    and min(event.stop_s, stop_s) - max(event.start_s, start_s) >= _MIN_OVERLAP_S
                ):
                    yield _clash("clash.lb", event, start_s, stop_s, confidence=event.confidence)
                    break


def _clash(code: str, event: CueEvent, start_s: float, stop_s: float, *, confidence: float) -> CueEvent:
    return CueEvent(
        code=code,
        start_s=max(event.start_s, start_s),
        stop_s=min(event.stop_s, stop_s),
        strength=1,
        value=None,
        usual=None,
        unit="",
        confidence=CONFIDENCE["C"] * confidence,
        source="rule",
    )
