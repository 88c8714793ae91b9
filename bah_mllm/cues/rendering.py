"""Cues as short text that a language model reads beside the transcript.

The form is that of ten-second lines: what stood out, when in the window, and against what usual. Words rather than
numbers of spreads; the strongest first to stay within a budget, with every modality that has something represented.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bah_mllm.cues.codes import CODES
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation

__all__ = ["MODALITIES", "render_cues"]

MODALITIES = ("face", "voice", "words", "body", "clash")
_MODALITY_OF_CODE = {"face": "face", "audio": "voice", "language": "words", "body": "body", "clash": "clash"}
_NOT_TOLD = frozenset({"face.blink"})  # normal blinking is no cue (codebook); a changed rate is face.close_2
_LINE_S = 10.0
_CHARS_PER_TOKEN = 3.6  # of such lines in Whisper's vocabulary: 64 tokens took about 230 characters
_WORDS_OF_STRENGTH = {1: "slightly", 2: "", 3: "strongly"}
_LONG_ENOUGH_S = 0.6  # shorter events are given without a duration
_NOT_LOOKED_FOR = {"words": "fillers, hedges and repetitions"}
_USUAL = {  # figure of what is usual -> its modality, and how it is told
    "pitch_hz": ("voice", "pitch {:.0f} Hz"),
    "rate_syl_s": ("voice", "{:.1f} syllables/s"),
    "pause_s": ("voice", "gaps of {:.1f}s between phrases"),
    "blinks_per_min": ("face", "{:.0f} blinks/min"),
}
_ABSENCES = {"face": "face not visible", "voice": "no sound", "words": "no words", "body": "body not visible"}


def render_cues(
    observation: Observation,
    events: Sequence[CueEvent],
    *,
    start_s: float = 0.0,
    stop_s: float | None = None,
    tokens_per_10s: int = 60,
    modalities: Collection[str] = MODALITIES,
) -> str:
    """Return what stood out between two times, one line per ten seconds; ``nothing unusual`` where nothing did.

    Args:
        observation: What was looked at.
        events: Of the whole video.
        start_s: Start of the window in seconds.
        stop_s: End of the window; the end of the video where None.
        tokens_per_10s: Budget of a line, about; a line holds one event of each modality even above it.
        modalities: Which of ``MODALITIES`` to tell.
    """
    stop_s = observation.duration_s if stop_s is None else min(stop_s, observation.duration_s)
    chosen = [
        event
        for event in events
        if event.code not in _NOT_TOLD
        and modality_of(event.code) in modalities
        and event.start_s < stop_s
        and event.stop_s > start_s
    ]
    lines = []
    line_start_s = start_s
    while line_start_s < stop_s:
        line_stop_s = min(line_start_s + _LINE_S, stop_s)
        within = [event for event in chosen if line_start_s <= max(event.start_s, start_s) < line_stop_s]
        said = [_phrase(event, start_s) for event in _within_budget(within, tokens_per_10s)]
        said += _absences(observation, line_start_s, line_stop_s, modalities, since_s=start_s)
        if said:
            lines.append(f"[{line_start_s - start_s:.0f}-{line_stop_s - start_s:.0f}] " + "; ".join(said))
        line_start_s += _LINE_S
    return "\n".join([*_header(observation, modalities), *(lines or ["nothing unusual"])])


def modality_of(code: str) -> str:
    """Return the modality of a code, as named in ``MODALITIES``."""
    return _MODALITY_OF_CODE[code.split(".", maxsplit=1)[0]]


def _within_budget(events: Sequence[CueEvent], tokens: int) -> list[CueEvent]:
    """Keep the strongest within the budget, the best of each modality first; in order of time."""
    ranked = sorted(events, key=lambda event: (-event.strength * event.confidence, event.start_s, event.code))
    best = {modality_of(event.code): event for event in reversed(ranked)}
    ranked = [*best.values(), *(event for event in ranked if event not in best.values())]
    kept, n_chars = [], 0.0
    for place, event in enumerate(ranked):
        n_chars += len(_phrase(event, 0.0)) + 2
        if place >= len(best) and n_chars > tokens * _CHARS_PER_TOKEN:
            break
        kept.append(event)
    return sorted(kept, key=lambda event: (event.start_s, event.code))


def _phrase(event: CueEvent, window_start_s: float) -> str:
    """Return ``looks away 1.5s@12 (usual ...)``: what, how long, at which second of the window."""
    parts = [_WORDS_OF_STRENGTH[event.strength] if event.value is not None else "", CODES[event.code].phrase]
    if event.side in ("one", "up", "down"):
        parts.append({"one": "on one side", "up": "upwards", "down": "downwards"}[event.side])
    if event.text is not None:
        parts.append(f'"{event.text}"')
    at_s = max(0.0, event.start_s - window_start_s)
    length_s = event.stop_s - event.start_s
    duration = f" {length_s:.1f}s" if length_s >= _LONG_ENOUGH_S and event.text is None else ""
    usual = f" (usual {event.usual:.1f}s)" if event.unit == "s" and event.usual is not None else ""
    return " ".join(part for part in parts if part) + f"{duration}@{at_s:.0f}{usual}"


def _absences(
    observation: Observation, start_s: float, stop_s: float, modalities: Collection[str], *, since_s: float
) -> list[str]:
    said = []
    for modality, spans in observation.absent.items():
        if modality not in modalities:
            continue
        for absent_start_s, absent_stop_s in spans:
            overlap = (max(absent_start_s, start_s), min(absent_stop_s, stop_s))
            if overlap[1] - overlap[0] >= 1.0:
                said.append(f"{_ABSENCES[modality]} {overlap[0] - since_s:.0f}-{overlap[1] - since_s:.0f}")
    return said


def _header(observation: Observation, modalities: Collection[str]) -> list[str]:
    """Return a line on what is known to be usual for this very person, and one on what was not looked for."""
    parts = [
        said.format(value)
        for figure, (modality, said) in _USUAL.items()
        if modality in modalities and (value := observation.own(figure)) is not None
    ]
    usual = [f"usual for this person: {', '.join(parts)}"] if parts else []
    return usual + [
        f"{_NOT_LOOKED_FOR.get(modality, modality)} not looked for: {why}"
        for modality, why in observation.not_looked_for.items()
        if modality in modalities
    ]
