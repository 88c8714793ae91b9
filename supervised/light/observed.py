"""Features of observed cues: events of face, body and voice, as ``bah-mllm cues extract`` wrote them."""

from __future__ import annotations

from collections.abc import Sequence

from bah_mllm.cues.codes import CODES, detectable_codes
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation
from supervised.light.wording import LANGUAGE_CUES

__all__ = ["OBSERVED_CODES", "cue_features", "describe"]

OBSERVED_CODES = tuple(code for code in detectable_codes() if code not in LANGUAGE_CUES)
"""What is counted: every code that a detector emits but those that are read off the transcript."""


def cue_features(observation: Observation, events: Sequence[CueEvent]) -> dict[str, float]:
    """Return per code the events per minute, the share of the video that they cover, and their mean strength.

    Args:
        observation: Of the video; says how long it is.
        events: Of the video.

    Returns:
        Finite, in the order of the codebook, zeros for codes without an event; names are the keys of ``describe``.
    """
    minutes = max(observation.duration_s, 1.0) / 60  # a video has at least a second, whatever its header says
    features = {}
    for code in OBSERVED_CODES:
        of_code = [event for event in events if event.code == code]
        features[f"{code}.per_minute"] = len(of_code) / minutes
        features[f"{code}.share"] = _covered_s(of_code) / (60 * minutes)
        features[f"{code}.strength"] = sum(event.strength for event in of_code) / max(1, len(of_code))
    return features


def describe() -> dict[str, str]:
    """Return every feature's name and what it is, in the words of the codebook."""
    told = {}
    for code in OBSERVED_CODES:
        name = f"{CODES[code].row} ({CODES[code].phrase})"
        told[f"{code}.per_minute"] = f"{name}: events per minute"
        told[f"{code}.share"] = f"{name}: share of the video"
        told[f"{code}.strength"] = f"{name}: mean strength, 1 slight to 3 strong, 0 for none"
    return told


def _covered_s(events: Sequence[CueEvent]) -> float:
    """Return how many seconds lie inside an event, overlaps counted once."""
    total = reached_s = 0.0
    for event in sorted(events, key=lambda event: event.start_s):
        total += max(0.0, event.stop_s - max(event.start_s, reached_s))
        reached_s = max(reached_s, event.stop_s)
    return total
