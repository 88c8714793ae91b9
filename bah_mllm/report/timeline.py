"""One video over time: its observed cues, words and annotated A/H segments, as picture and text show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from bah_mllm.core.stretches import TimeSpan

__all__ = [
    "NAME_OF_STRENGTH",
    "Timeline",
    "TimelineEvent",
    "TimelineRow",
    "inside",
    "printable",
    "shortened",
    "timeline_rows",
]

NAME_OF_STRENGTH = {1: "slight", 2: "clear", 3: "strong"}

# "audio" and "language" are the codebook's names for voice and words.
_MODALITIES = ("face", "body", "voice", "audio", "words", "language", "clash", "extra")


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One bar of the timeline.

    Args:
        code: What was observed (``face.smile``); events of the same code share a row.
        start_s: Start in seconds from the start of the video.
        stop_s: End in seconds, after the start.
        strength: 1 slight, 2 clear, 3 strong.
        modality: ``face``, ``body``, ``voice`` or ``audio``, ``words`` or ``language``, ``clash``, ``extra``; others
            come last.
    """

    code: str
    start_s: float
    stop_s: float
    strength: int
    modality: str

    def __post_init__(self) -> None:
        if not -math.inf < self.start_s < self.stop_s < math.inf or self.strength not in NAME_OF_STRENGTH:
            raise ValueError(f"{self.code} from {self.start_s} to {self.stop_s} s of strength {self.strength}")


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a timeline shows of one video.

    Args:
        title: Heading, such as the id of the video.
        duration_s: Length of the video; 0 for one that cannot be read.
        events: In any order; what lies outside the video is left out.
        words: Spoken words with start and end in seconds.
        segments: Annotated A/H segments, start and end in seconds.
    """

    title: str
    duration_s: float
    events: Sequence[TimelineEvent] = ()
    words: Sequence[tuple[str, float, float]] = ()
    segments: Sequence[TimeSpan] = ()


class TimelineRow(NamedTuple):
    """The events of one code, cut to the video."""

    code: str
    modality: str
    events: Sequence[TimelineEvent]


def timeline_rows(timeline: Timeline) -> list[TimelineRow]:
    """Return a row a code, those of a modality together, with what lies in the video cut to its length."""
    order = _MODALITIES
    by_row: dict[tuple[int, str, str], list[TimelineEvent]] = {}
    for event in timeline.events:
        for start_s, stop_s in inside([(event.start_s, event.stop_s)], timeline.duration_s):
            place = order.index(event.modality) if event.modality in order else len(order)
            cut = TimelineEvent(event.code, start_s, stop_s, event.strength, event.modality)
            by_row.setdefault((place, event.modality, event.code), []).append(cut)
    return [TimelineRow(key[2], key[1], by_row[key]) for key in sorted(by_row)]


def inside(spans: Sequence[tuple[float, float]], duration_s: float) -> list[tuple[float, float]]:
    """Cut spans to the video, and leave out those outside, and those that are not spans."""
    cut = [(max(0.0, start_s), min(stop_s, duration_s)) for start_s, stop_s in spans]
    return [(start_s, stop_s) for start_s, stop_s in cut if start_s < stop_s]


def printable(text: str) -> str:
    """Return text on one line, free of control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def shortened(text: str, n_columns: int) -> str:
    """Return printable text that takes at most so many columns of a terminal."""
    text = printable(text)
    return text if cell_len(text) <= n_columns else set_cell_size(text, n_columns).rstrip()
