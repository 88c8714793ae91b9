"""Cues that are heard, from the signals of one video and what is usual for its person (paper, Table 11)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.records import Word
from bah_mllm.cues.codes import CODES, CONFIDENCE
from bah_mllm.cues.records import Baseline, CueEvent, Side, Track, Usual
from bah_mllm.cues.sound import POPULATION

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["sound_events"]

Span = tuple[float, float]

_SOURCE = "sound"
_NOT_OWN = 0.5  # confidence of a comparison with fixed values instead of the person's own

_MIN_PAUSE_S, _PAUSE_TIMES_USUAL, _PAUSE_Z = 0.5, 1.5, 2.0
_BLIP_S = 0.25  # a click or a cough before or after the answer does not make the silence beside it a pause

# signal -> spreads and distance that it must exceed, and for how many seconds
_RATE_FAR, _LOUDNESS_FAR, _PITCH_FAR = (2.0, 1.2, 1.0), (2.0, 4.0, 0.8), (2.0, 4.0, 0.8)
_MIN_SPEECH_OVER_NOISE_DB = 10.0  # below that the level of speech is partly that of the room

_TREMOR_FAR = (3.0, 0.3, 0.25)
_TURN_END_S = 0.3  # voices creak and tremble where a turn ends

_BREATH_S, _BREATH_NEAR_SPEECH_S = (0.25, 1.5), 1.5
_BREATH_FLATNESS, _BREATH_OVER_FLOOR_DB = 0.2, 12.0

_LAUGH_BURST_S = (0.14, 0.29)  # 3.5 to 7 bursts a second
_LAUGH_MIN_BURSTS, _LAUGH_UNEVENNESS, _LAUGH_DIP_DB, _LAUGH_HIGHER_ST = 5, 0.25, 9.0, 4.0

_UNLEXICALISED_S, _WORD_MARGIN_S = 0.2, 0.1  # recognisers place word borders to about a tenth of a second
_FLAT_ST = 1.0

_SAID_TWICE_ON_PURPOSE = frozenset(
    ["no", "yes", "yeah", "very", "really", "so", "ha", "non", "oui", "si", "très", "tout", "bien", "ah"]
)
_PROLONGED_S, _PROLONGED_TIMES_USUAL = 1.0, 4.0
_MIN_WORDS_FOR_USUAL = 15


def sound_events(
    tracks: Mapping[str, Track], speech: Sequence[Span], words: Sequence[Word], baseline: Baseline
) -> list[CueEvent]:
    """Return what is heard in a video beyond its person's usual way of speaking.

    Args:
        tracks: As ``sound_signals`` returns them.
        speech: When somebody speaks: start and end in seconds, ascending.
        words: With times of their own, in order; empty where unknown, and then nothing is said about stuttering and
            sounds without words. Times spread over a chunk would make gaps between words that are none.
        baseline: The person's; signals that it lacks are compared with the population where that makes sense.

    Returns:
        Events in order of their starts; empty for silence. Weak ones (grade C) only where the sign is strong.
    """
    if not speech:
        return []
    events = [
        *_pauses(speech, baseline),
        *_rates(tracks, baseline),
        *_loudness(tracks, speech, baseline),
        *_pitches(tracks, baseline),
        *_shaking(tracks, speech, baseline),
        *_breaths(tracks, speech),
        *_laughs(tracks, words, baseline),
        *_wordless(tracks, speech, words),
        *_stuttering(tracks, words),
    ]
    return sorted(events, key=lambda event: (event.start_s, event.code))


def _usual(baseline: Baseline, name: str) -> tuple[Usual, bool] | None:
    """Return what to compare with and whether it is the person's own; None where there is nothing to compare with."""
    usual = baseline.usual.get(name, POPULATION.get(name))
    if usual is None:
        return None
    return usual, baseline.scope == "participant" and usual != POPULATION.get(name)


def _event(
    code: str,
    span: Span,
    strength: int,
    *,
    value: float,
    unit: str,
    usual: float | None = None,
    certainty: float = 1.0,
    side: Side | None = None,
) -> CueEvent:
    """Build an event; certainty says how well its input was known, 0 to 1."""
    return CueEvent(
        code=code,
        start_s=round(max(0.0, span[0]), 3),
        stop_s=round(span[1], 3),
        strength=strength,
        value=round(float(value), 2),
        usual=None if usual is None else round(float(usual), 2),
        unit=unit,
        confidence=round(CONFIDENCE[CODES[code].grade] * certainty, 3),
        source=_SOURCE,
        side=side,
    )


def _strength(z: float) -> int:
    return 1 if z < 3 else 2 if z < 5 else 3


def _runs(flags: Bool[np.ndarray, " samples"]) -> Iterator[tuple[int, int]]:
    """Yield the first and one past the last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _pauses(speech: Sequence[Span], baseline: Baseline) -> Iterator[CueEvent]:
    """Yield gaps inside the answer that are long, and longer than this person's by two spreads of their logarithm."""
    compared = _usual(baseline, "gap")
    answer = [index for index, (start_s, stop_s) in enumerate(speech) if stop_s - start_s >= _BLIP_S]
    if compared is None or not answer:
        return
    usual, is_own = compared
    for (_, start_s), (stop_s, _) in pairwise(speech[answer[0] : answer[-1] + 1]):
        length_s = stop_s - start_s
        z = (np.log(max(length_s, 1e-3)) - usual.centre) / usual.spread
        usual_s = float(np.exp(usual.centre))
        if length_s >= _MIN_PAUSE_S and length_s >= _PAUSE_TIMES_USUAL * usual_s and z > _PAUSE_Z:
            yield _event(
                "audio.pause",
                (start_s, stop_s),
                _strength(z),
                value=length_s,
                usual=usual_s if is_own else None,
                unit="s",
                certainty=1.0 if is_own else _NOT_OWN,
            )


def _far_stretches(
    track: Track, usual: Usual, sign: int, far: tuple[float, float, float]
) -> Iterator[tuple[Span, int, float]]:
    """Yield span, index of the extreme and z of each stretch that lies far to one side of what is usual.

    A stretch reaches as far as half its extreme: there half of the analysis window lies inside what caused it.
    """
    min_z, min_distance, min_s = far
    if len(track.t_s) < 2:
        return
    distance = sign * (track.values - usual.centre)
    is_far = (distance > min_distance) & (distance > min_z * usual.spread)  # false where unknown
    step_s = float(np.median(np.diff(track.t_s)))
    together = np.concatenate([[False], np.diff(track.t_s) < 1.5 * step_s])
    peaks = [start + int(np.argmax(distance[start:stop])) for start, stop in _runs(is_far)]
    taken = np.zeros(len(distance), bool)
    for peak in sorted(peaks, key=lambda index: -distance[index]):  # a lesser peak beside a greater one is its slope
        first, last = peak, peak
        while first > 0 and together[first] and distance[first - 1] > distance[peak] / 2:
            first -= 1
        while last + 1 < len(distance) and together[last + 1] and distance[last + 1] > distance[peak] / 2:
            last += 1
        span = (float(track.t_s[first] - step_s / 2), float(track.t_s[last] + step_s / 2))
        if not taken[first : last + 1].any() and span[1] - span[0] >= min_s:
            taken[first : last + 1] = True
            yield span, peak, float(distance[peak] / usual.spread)


def _rates(tracks: Mapping[str, Track], baseline: Baseline) -> Iterator[CueEvent]:
    compared = _usual(baseline, "syllable_rate")
    if compared is None:
        return
    usual, is_own = compared
    for sign, code in ((-1, "audio.slow"), (1, "audio.fast")):
        for span, peak, z in _far_stretches(tracks["syllable_rate"], usual, sign, _RATE_FAR):
            yield _event(
                code,
                span,
                _strength(z),
                value=tracks["syllable_rate"].values[peak],
                usual=usual.centre if is_own else None,
                unit="syl/s",
                certainty=1.0 if is_own else _NOT_OWN,
            )


def _loudness(tracks: Mapping[str, Track], speech: Sequence[Span], baseline: Baseline) -> Iterator[CueEvent]:
    compared = _usual(baseline, "loudness")
    silence = _outside(tracks["level"], speech)
    if compared is None or (silence.any() and -np.median(tracks["level"].values[silence]) < _MIN_SPEECH_OVER_NOISE_DB):
        return
    usual, is_own = compared
    sides: tuple[tuple[int, Side], ...] = ((1, "up"), (-1, "down"))
    for sign, side in sides:
        for span, peak, z in _far_stretches(tracks["loudness"], usual, sign, _LOUDNESS_FAR):
            yield _event(
                "audio.volume",
                span,
                _strength(z),
                value=tracks["loudness"].values[peak],
                usual=usual.centre if is_own else None,
                unit="dB",
                certainty=1.0 if is_own else _NOT_OWN,
                side=side,
            )


def _pitches(tracks: Mapping[str, Track], baseline: Baseline) -> Iterator[CueEvent]:
    compared = _usual(baseline, "pitch")
    if compared is None:
        return
    usual, _ = compared
    sides: tuple[tuple[int, Side], ...] = ((1, "up"), (-1, "down"))
    for sign, side in sides:
        for span, peak, z in _far_stretches(tracks["pitch"], usual, sign, _PITCH_FAR):
            yield _event(
                "audio.pitch",
                span,
                _strength(z),
                value=_hz(tracks["pitch"].values[peak]),
                usual=_hz(usual.centre),
                unit="Hz",
                side=side,
            )


def _hz(semitones: float) -> float:
    return float(100 * np.exp2(semitones / 12))


def _shaking(tracks: Mapping[str, Track], speech: Sequence[Span], baseline: Baseline) -> Iterator[CueEvent]:
    compared = _usual(baseline, "tremor")
    if compared is None:
        return
    usual, is_own = compared
    turn_ends = [before[1] for before, after in pairwise(speech) if after[0] - before[1] >= _MIN_PAUSE_S]
    turn_ends.append(speech[-1][1])
    for span, peak, z in _far_stretches(tracks["tremor"], usual, 1, _TREMOR_FAR):
        if any(stop_s - _TURN_END_S < tracks["tremor"].t_s[peak] <= stop_s + _TURN_END_S for stop_s in turn_ends):
            continue
        yield _event(
            "audio.shaky_voice",
            span,
            _strength(z),
            value=tracks["tremor"].values[peak],
            usual=usual.centre if is_own else None,
            unit="st",
            certainty=1.0 if is_own else _NOT_OWN,
        )


def _outside(track: Track, speech: Sequence[Span], *, margin_s: float = 0.1) -> Bool[np.ndarray, " samples"]:
    flags = np.ones(len(track.t_s), bool)
    for start_s, stop_s in speech:
        flags[np.searchsorted(track.t_s, start_s - margin_s) : np.searchsorted(track.t_s, stop_s + margin_s)] = False
    return flags


def _breaths(tracks: Mapping[str, Track], speech: Sequence[Span]) -> Iterator[CueEvent]:
    """Yield short noises without pitch beside speech, well above the floor of the room."""
    level, flatness, voiced = tracks["level"], tracks["flatness"].values, tracks["voiced"].values
    silence = _outside(level, speech, margin_s=0.0)
    if not silence.any():
        return
    floor_db = float(np.percentile(level.values[silence], 20))
    near = ~_outside(level, speech, margin_s=_BREATH_NEAR_SPEECH_S)
    noisy = silence & near & (level.values > floor_db + _BREATH_OVER_FLOOR_DB) & (voiced == 0)
    for first, last in _runs(noisy):
        span = (float(level.t_s[first]), float(level.t_s[last - 1]))
        if not _BREATH_S[0] <= span[1] - span[0] <= _BREATH_S[1]:
            continue
        if np.median(flatness[first:last]) < _BREATH_FLATNESS:
            continue
        over_db = float(np.median(level.values[first:last])) - floor_db
        yield _event("audio.breath", span, 1 if over_db < 18 else 2 if over_db < 28 else 3, value=over_db, unit="dB")


def _laughs(tracks: Mapping[str, Track], words: Sequence[Word], baseline: Baseline) -> Iterator[CueEvent]:
    """Yield even series of short, high bursts of voice with deep dips between them, where no words are said.

    References:
        Bursts of 4 to 6 a second far above the speaking pitch: Bachorowski, Smoski and Owren 2001, JASA 110.
    """
    from scipy.signal import find_peaks

    usual, level = baseline.usual.get("pitch"), tracks["level"]
    if usual is None:
        return
    peaks, _ = find_peaks(np.maximum(level.values, -60), height=-20, prominence=_LAUGH_DIP_DB, distance=4)
    peaks = peaks[tracks["voiced"].values[peaks] > 0]
    apart_s = np.diff(level.t_s[peaks])
    for first, last in _runs((apart_s >= _LAUGH_BURST_S[0]) & (apart_s <= _LAUGH_BURST_S[1])):
        n_bursts, steps_s = last - first + 1, apart_s[first:last]
        pitch = tracks["f0"].values[peaks[first] : peaks[last] + 1]
        pitch = pitch[np.isfinite(pitch)]
        if n_bursts < _LAUGH_MIN_BURSTS or np.std(steps_s) > _LAUGH_UNEVENNESS * np.mean(steps_s) or not len(pitch):
            continue
        if np.median(pitch) - usual.centre < max(_LAUGH_HIGHER_ST, 2 * usual.spread):
            continue
        half_s = float(np.mean(steps_s)) / 2
        span = (float(level.t_s[peaks[first]]) - half_s, float(level.t_s[peaks[last]]) + half_s)
        if sum(max(0.0, min(w.stop_s, span[1]) - max(w.start_s, span[0])) for w in words) > (span[1] - span[0]) / 2:
            continue
        strength = 1 if n_bursts < 7 else 2 if n_bursts < 10 else 3
        yield _event("audio.laugh", span, strength, value=n_bursts, unit="bursts")


def _wordless(tracks: Mapping[str, Track], speech: Sequence[Span], words: Sequence[Word]) -> Iterator[CueEvent]:
    """Yield voiced speech that no word covers: a sound that the recogniser left out, most likely a filler."""
    if not words:
        return
    voiced, f0 = tracks["voiced"], tracks["f0"].values
    covered = [(word.start_s, word.stop_s) for word in words]
    wordless = (voiced.values > 0) & _outside(voiced, covered, margin_s=_WORD_MARGIN_S) & ~_outside(voiced, speech)
    for first, last in _runs(wordless):
        span = (float(voiced.t_s[first]), float(voiced.t_s[last - 1]))
        length_s = span[1] - span[0]
        if length_s < _UNLEXICALISED_S:
            continue
        pitch = f0[first:last][np.isfinite(f0[first:last])]
        is_flat = len(pitch) > 0 and float(np.std(pitch)) < _FLAT_ST  # as of "um", not of words left out
        strength = 1 if length_s < 0.5 else 2 if length_s < 1 else 3
        yield _event("audio.unlexicalised", span, strength, value=length_s, unit="s", certainty=1.0 if is_flat else 0.6)


def _stuttering(tracks: Mapping[str, Track], words: Sequence[Word]) -> Iterator[CueEvent]:
    """Yield short tokens said three times and more, partial words before their word, and words drawn out."""
    tokens = [re.sub(r"[^\w'-]", "", word.text.lower()) for word in words]
    index = 0
    while index < len(words):
        stop = _same_from(tokens, index)
        n_times = stop - index
        within = re.match(r"(\w{1,3})-(?:\1-)*\1", tokens[index])  # "b-b-but" as one token
        if n_times >= 3 or within:
            n_times = max(n_times, tokens[index].count("-") + 1)
            span = (words[index].start_s, words[stop - 1].stop_s)
            if span[1] > span[0]:
                yield _event("audio.stuttering", span, min(3, n_times - 1), value=n_times, unit="times")
        index = stop
    yield from _drawn_out(tracks, words, tokens)


def _same_from(tokens: Sequence[str], index: int) -> int:
    """Return one past the last token that begins again like the one at an index (``b- b- but``, ``I I I``)."""
    start = tokens[index].rstrip("-")
    is_partial = tokens[index].endswith("-")
    stop = index + 1
    if not start or len(start) > 4 or start in _SAID_TWICE_ON_PURPOSE:
        return stop
    while stop < len(tokens) and tokens[stop].rstrip("-") == start:
        stop += 1
    if is_partial and stop < len(tokens) and tokens[stop].startswith(start):
        stop += 1
    return stop


def _drawn_out(tracks: Mapping[str, Track], words: Sequence[Word], tokens: Sequence[str]) -> Iterator[CueEvent]:
    lengths_s = np.array([word.stop_s - word.start_s for word in words])
    n_letters = np.array([max(1, len(token)) for token in tokens])
    if len(words) < _MIN_WORDS_FOR_USUAL:
        return
    usual_s: Float[np.ndarray, " words"] = float(np.median(lengths_s / n_letters)) * np.maximum(n_letters, 3)
    voiced = tracks["voiced"]
    for word, length_s, expected_s in zip(words, lengths_s, usual_s, strict=True):
        if length_s < max(_PROLONGED_S, _PROLONGED_TIMES_USUAL * expected_s):
            continue
        inside = voiced.values[np.searchsorted(voiced.t_s, word.start_s) : np.searchsorted(voiced.t_s, word.stop_s)]
        if len(inside) and inside.mean() >= 0.8:
            yield _event(
                "audio.stuttering", (word.start_s, word.stop_s), 1, value=length_s, usual=float(expected_s), unit="s"
            )
