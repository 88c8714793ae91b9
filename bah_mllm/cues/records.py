"""The records of cue extraction: signals over time, what is usual for a person, and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.core.stretches import TimeSpan

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SPREAD_KNOWLEDGE", "Baseline", "CueEvent", "Scope", "Side", "Track", "Usual", "in_order", "worded_event"]

SPREAD_KNOWLEDGE = 0.8
"""How well word times are known that are only spread over a chunk: they are good to about a second."""

_AROUND_WORDS = ' ,.;:!\u2026"\u00ab\u00bb\u201c\u201d'
_SHORTEST_S = 0.01

Side = Literal["one", "both", "up", "down", "side"]
Scope = Literal["participant", "population"]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One signal of one video over time.

    Args:
        t_s: Times in seconds from the start of the video, ascending, shape (samples,).
        values: The signal, NaN where it is unknown (no face, silence ...), shape (samples,).
    """

    t_s: Float[np.ndarray, " samples"]
    values: Float[np.ndarray, " samples"]

    def __post_init__(self) -> None:
        if self.t_s.shape != self.values.shape or self.t_s.ndim != 1:
            raise ValueError(f"times of shape {self.t_s.shape} and values of shape {self.values.shape}")

    @property
    def share_known(self) -> float:
        """Share of samples that are known, 0 to 1; 0 for an empty track."""
        return float(np.isfinite(self.values).mean()) if len(self.values) else 0.0


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for one signal of one person.

    Args:
        centre: Median, in the unit of the signal.
        spread: Robust spread (1.4826 times the median absolute deviation), clamped to the population's range.
        scope: ``participant``: found on this person; ``population``: a fixed value that stands in, as too little of the
            signal was known.
    """

    centre: float
    spread: float
    scope: Scope = "participant"

    def z(self, values: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
        """Return how many spreads values lie from the centre."""
        return (values - self.centre) / self.spread


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for one person, pooled over that person's videos. Made without labels.

    Args:
        participant_id: Whose.
        usual: Signal name to what is usual; signals that were hardly ever known are missing.
        n_videos: Videos it was pooled over.
        n_frames: Frames with a face among them.
        speech_s: Seconds of speech among them.
    """

    participant_id: str
    usual: Mapping[str, Usual] = field(default_factory=dict)
    n_videos: int = 0
    n_frames: int = 0
    speech_s: float = 0.0

    @property
    def scope(self) -> Scope:
        """Return ``participant`` where at least one signal is the person's own; each signal has a scope of its own."""
        return "participant" if any(one.scope == "participant" for one in self.usual.values()) else "population"


@dataclass(frozen=True, slots=True)
class CueEvent:
    """One observed cue.

    Args:
        code: Modality and row of the codebook: ``face.smile``, ``audio.pause`` ...; a key of ``CODES``.
        start_s: Start in seconds from the start of the video.
        stop_s: End in seconds, after the start.
        strength: 1 slight, 2 clear, 3 strong.
        value: What was measured, in ``unit``; None for words.
        usual: The same for this person usually; None where unknown.
        unit: Of both (``s``, ``deg``, ``dB``, ``z`` ...); empty for words.
        confidence: 0 to 1: grade of the detector (A 1, B 0.7, C 0.4) times how well its input was known.
        source: What it was seen in: ``facemesh``, ``pose``, ``hands``, ``sound``, ``words``, ``llm``, ``rule``.
        side: One or both sides, or a direction; never left or right, since webcams may mirror.
        text: The words concerned, for language cues; never logged.

    Raises:
        DataError: It ends before it starts, or strength or confidence are out of range.
    """

    code: str
    start_s: float
    stop_s: float
    strength: int
    value: float | None
    usual: float | None
    unit: str
    confidence: float
    source: str
    side: Side | None = None
    text: str | None = None

    @property
    def span(self) -> TimeSpan:
        """Start and end in seconds."""
        return self.start_s, self.stop_s

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.stop_s or self.strength not in (1, 2, 3) or not 0 <= self.confidence <= 1:
            raise DataError(
                f"The cue {self.code} at {self.start_s} to {self.stop_s} s (strength {self.strength}, confidence "
                f"{self.confidence}) makes no sense.",
                remedy="Run `bah-mllm cues extract` again for this video.",
            )


def worded_event(
    code: str,
    span: TimeSpan,
    *,
    strength: int,
    confidence: float,
    source: str,
    text: str,
) -> CueEvent:
    """Return an event of spoken words, of some length, without the punctuation around them.

    Args:
        code: Row of the codebook.
        span: Start and end in seconds; aligners give some words no length.
        strength: 1 slight, 2 clear, 3 strong.
        confidence: 0 to 1.
        source: ``words`` or ``llm``.
        text: The words.

    Raises:
        DataError: The times make no sense.
    """
    start_s, stop_s = span
    return CueEvent(
        code=code,
        start_s=start_s,
        stop_s=max(stop_s, start_s + _SHORTEST_S),
        strength=strength,
        value=None,
        usual=None,
        unit="",
        confidence=confidence,
        source=source,
        text=text.strip(_AROUND_WORDS),
    )


def in_order(events: Iterable[CueEvent]) -> list[CueEvent]:
    """Return events in order of time."""
    return sorted(events, key=lambda event: (event.start_s, event.stop_s, event.code))
