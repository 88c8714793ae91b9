"""Whether detectors see in annotated segments what annotators named there.

BAH's annotators ticked, for each A/H segment, the rows of the codebook that made them call it one (``all_cues``: a
sheet each for audio, body, facial, language and inconsistencies). They say what they saw, not when inside the segment,
and nothing about the rest of the video. So the unit is the segment, and each code is a yes or no of both sides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from bah_mllm.cues.codes import CODES
from bah_mllm.cues.records import CueEvent

__all__ = ["SHEETS", "Agreement", "AnnotatedSegment", "NamedCues", "agreement", "named_cues"]

SHEETS: Mapping[str, str] = MappingProxyType(
    {"audio": "audio", "body": "body", "facial": "face", "language": "language", "inconsistencies": "clash"}
)
"""Name of a sheet of ``all_cues`` to the modality of its codes."""

_NOTHING = frozenset(["", "na", "nan", "no", "none", "null", "nil"])
_NOT_LETTERS = re.compile(r"[\W_]+")
_SEVERAL = re.compile(r"[,;/|\n]")
_REMARK = re.compile(r"[(\[:]|\s[-\u2013\u2014]\s")
_NUMBERING = re.compile(r"^\s*\d+\s*[.):\-]\s*")


class NamedCues(NamedTuple):
    """What annotators named in one segment.

    Args:
        codes: Keys of ``CODES``.
        n_unknown: Sheet to how many of its entries name no row of the codebook.
    """

    codes: frozenset[str]
    n_unknown: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AnnotatedSegment:
    """One segment in which annotators named cues, and what detectors found there.

    Args:
        named: Codes that annotators named.
        found: Events that overlap the segment.
        duration_s: Its length, above 0.
    """

    named: frozenset[str]
    found: tuple[CueEvent, ...]
    duration_s: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often detectors and annotators agree on one code, or on any code of one modality.

    Args:
        n_named: Segments in which annotators named it.
        n_found: Segments in which it was found.
        n_both: Segments of both kinds.
        precision: Share of the segments in which it was found that annotators named; None over nothing.
        recall: Share of the segments that annotators named in which it was found; None over nothing.
        kappa: Agreement beyond chance; None where chance alone agrees always.
        false_per_min: Events in segments where annotators did not name it, per minute of annotated segments.
        is_detectable: Some detector emits it.
    """

    n_named: int
    n_found: int
    n_both: int
    precision: float | None
    recall: float | None
    kappa: float | None
    false_per_min: float | None
    is_detectable: bool


def named_cues(cues: Mapping[str, object]) -> NamedCues:
    """Return the codes that the sheets of one segment name.

    A sheet may hold a name, several in one text, a list, or a mapping with ticks or remarks behind the names; names may
    be numbered, spelt in any case, in the plural or as one of our codes. The remarks are left aside.

    Args:
        cues: Sheet to what it holds; empty ones may be there or not.

    >>> named_cues({"audio": ["Pause", "hesitation?"], "facial": {"Close 2": True, "Smile": False}})
    NamedCues(codes=frozenset({...}), n_unknown={'audio': 1})
    """
    codes: set[str] = set()
    unknown: Counter[str] = Counter()
    for sheet, value in cues.items():
        for code in _codes_in(value, SHEETS.get(sheet.strip().casefold(), "")):
            if code is None:
                unknown[sheet] += 1
            else:
                codes.add(code)
    return NamedCues(frozenset(codes), dict(unknown))


def _codes_in(value: object, modality: str) -> Iterator[str | None]:
    """Yield the code of each entry of a sheet; None for one that names no row."""
    if value is None or value is False or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return
    if isinstance(value, str):
        yield from _codes_in_text(value, modality)
    elif isinstance(value, Mapping):
        for key, content in value.items():
            code = _code_of(str(key), modality)
            if code is None and isinstance(content, Mapping | Sequence):
                yield from _codes_in(content, modality)  # a heading, or {"name": "Pause"}
            elif _is_tick(content):
                yield code
    elif isinstance(value, Sequence | set | frozenset):
        for entry in value:
            yield from _codes_in(entry, modality)
    else:
        yield None


def _is_tick(content: object) -> bool:
    return bool(content) and not (isinstance(content, str) and _plain(content) in _NOTHING)


def _codes_in_text(text: str, modality: str) -> Iterator[str | None]:
    whole = _code_of(text, modality)
    parts = [text] if whole is not None or _plain(text) in _NOTHING else _SEVERAL.split(text)
    yield from (_code_of(part, modality) for part in parts if _plain(part) not in _NOTHING)


def _code_of(text: str, modality: str) -> str | None:
    """Return the code of a name, first in the table of its sheet, then in any; None where it is no row's name."""
    written = _NUMBERING.sub("", text)
    names = [_plain(name) for name in (text, written, _REMARK.split(written)[0])]
    names += [name.removesuffix("s") for name in names]
    for name in names:
        for known in (f"{modality}{name}", name):
            if known in _BY_NAME:
                return _BY_NAME[known]
    return None


def _plain(text: str) -> str:
    return _NOT_LETTERS.sub("", text.casefold())


def _by_name() -> dict[str, str]:
    """Return rows and codes as they may be written, plain; rows of two tables only behind their modality."""
    rows = Counter(_plain(entry.row) for entry in CODES.values())
    names = {_plain(code): code for code in CODES}
    return names | {_plain(entry.row): code for code, entry in CODES.items() if rows[_plain(entry.row)] == 1}


_BY_NAME = _by_name()


def agreement(segments: Sequence[AnnotatedSegment]) -> dict[str, Agreement]:
    """Return how detectors and annotators agree, by code in the order of the codebook, then by modality.

    Args:
        segments: Those in which annotators named at least one cue.

    Returns:
        Rows of the codebook that either side names at least once, and the modalities of these; empty without segments.

    References:
        Kappa: Cohen 1960, Educational and Psychological Measurement 20.
    """
    minutes = sum(segment.duration_s for segment in segments) / 60
    seen = {code for segment in segments for code in (*segment.named, *(event.code for event in segment.found))}
    rows = [code for code, entry in CODES.items() if entry.table is not None]  # annotators cannot name any other
    codes = [code for code in rows if code in seen]
    modalities = dict.fromkeys(CODES[code].modality for code in codes)
    groups = {code: frozenset([code]) for code in codes} | {
        modality: frozenset(code for code in rows if CODES[code].modality == modality) for modality in modalities
    }
    return {name: _agreement_on(group, segments, minutes) for name, group in groups.items()}


def _agreement_on(codes: frozenset[str], segments: Sequence[AnnotatedSegment], minutes: float) -> Agreement:
    named = [bool(segment.named & codes) for segment in segments]
    events = [sum(event.code in codes for event in segment.found) for segment in segments]
    n, n_named, n_found = len(segments), sum(named), sum(count > 0 for count in events)
    n_both = sum(is_named and count > 0 for is_named, count in zip(named, events, strict=True))
    observed = (n - n_named - n_found + 2 * n_both) / n
    by_chance = (n_named * n_found + (n - n_named) * (n - n_found)) / n**2
    n_false = sum(count for is_named, count in zip(named, events, strict=True) if not is_named)
    return Agreement(
        n_named=n_named,
        n_found=n_found,
        n_both=n_both,
        precision=n_both / n_found if n_found else None,
        recall=n_both / n_named if n_named else None,
        kappa=(observed - by_chance) / (1 - by_chance) if by_chance < 1 else None,
        false_per_min=n_false / minutes if minutes else None,
        is_detectable=any(CODES[code].detectable for code in codes),
    )
