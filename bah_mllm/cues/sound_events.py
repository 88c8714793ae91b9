"""Cues that are heard, from the signals of one video and what is usual for its person (paper, Table 11)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.records import Word
from bah_mllm.core.stretches import TimeSpan, overlap_s, true_stretches, within
from bah_mllm.cues.baselines import is_own
from bah_mllm.cues.records import Baseline, CueEvent, Side, Track, Usual, in_order
from bah_mllm.cues.rules import Measured, measured_event, strength_of
from bah_mllm.cues.sound import POPULATION, pitch_hz

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["sound_events"]

_SIDES: tuple[tuple[int, Side], ...] = ((1, "up"), (-1, "down"))
_SPEECH_MARGIN_S = 0.1  # sound fades in and out
_NOT_OWN = 0.5  # confidence of a comparison with fixed values instead of the person's own

_THRESHOLD_Z = 2.0
_MIN_PAUSE_S, _PAUSE_TIMES_USUAL = 0.5, 1.5
_BLIP_S = 0.25  # a click or a cough before or after the answer does not make the silence beside it a pause


class _Far(NamedTuple):
    """How far from the usual is far: spreads and distance that a signal must exceed, and for how many seconds."""

    z: float
    distance: float
    min_s: float


_RATE_FAR, _LOUDNESS_FAR, _PITCH_FAR = _Far(2.0, 1.2, 1.0), _Far(2.0, 4.0, 0.8), _Far(2.0, 4.0, 0.8)
_MIN_SPEECH_OVER_NOISE_DB = 10.0  # below that the level of speech is partly that of the room

_TREMOR_FAR = _Far(3.0, 0.3, 0.25)
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
    tracks: Mapping[str, Track], speech: Sequence[TimeSpan], words: Sequence[Word], baseline: Baseline
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
    return in_order(events)


class _Compared(NamedTuple):
    """What a signal is compared with."""

    usual: Usual
    is_own: bool

    @property
    def certainty(self) -> float:
        return 1.0 if self.is_own else _NOT_OWN


def _compared(baseline: Baseline, name: str) -> _Compared | None:
    usual = baseline.usual.get(name, POPULATION.get(name))
    return None if usual is None else _Compared(usual, is_own(baseline, name))


def _heard(
    code: str,
    span: TimeSpan,
    strength: int,
    measured: Measured,
    *,
    certainty: float = 1.0,
    side: Side | None = None,
) -> CueEvent:
    return measured_event(code, span, strength, measured, certainty=certainty, source="sound", side=side)


def _figure(value: float, unit: str, usual: float | None = None) -> Measured:
    return Measured(value, unit, usual, decimals=2)


def _strength(z: float) -> int:
    return strength_of(z / _THRESHOLD_Z)


def _pauses(speech: Sequence[TimeSpan], baseline: Baseline) -> Iterator[CueEvent]:
    """Yield gaps inside the answer that are long, and longer than this person's by two spreads of their logarithm."""
    compared = _compared(baseline, "gap")
    answer = [index for index, (start_s, stop_s) in enumerate(speech) if stop_s - start_s >= _BLIP_S]
    if compared is None or not answer:
        return
    usual_s = float(np.exp(compared.usual.centre))
    for (_, start_s), (stop_s, _) in pairwise(speech[answer[0] : answer[-1] + 1]):
        length_s = stop_s - start_s
        z = (np.log(max(length_s, 1e-3)) - compared.usual.centre) / compared.usual.spread
        if length_s >= _MIN_PAUSE_S and length_s >= _PAUSE_TIMES_USUAL * usual_s and z > _THRESHOLD_Z:
            pause = _figure(length_s, "s", usual_s if compared.is_own else None)
            yield _heard("audio.pause", (start_s, stop_s), _strength(z), pause, certainty=compared.certainty)


class _FarStretch(NamedTuple):
    """A stretch that lies far to one side of what is usual: when, the index of its extreme, and the z of that."""

    span: TimeSpan
    peak: int
    z: float


def _far_stretches(track: Track, usual: Usual, sign: int, far: _Far) -> Iterator[_FarStretch]:
    """Yield the stretches that lie far to one side (1 above, -1 below) of what is usual.

    A stretch reaches as far as half its extreme: there half of the analysis window lies inside what caused it.
    """
    if len(track.t_s) < 2:
        return
    distance = sign * (track.values - usual.centre)
    is_far = (distance > far.distance) & (distance > far.z * usual.spread)  # false where unknown
    step_s = float(np.median(np.diff(track.t_s)))
    together = np.concatenate([[False], np.diff(track.t_s) < 1.5 * step_s])
    peaks = [start + int(np.argmax(distance[start:stop])) for start, stop in true_stretches(is_far)]
    taken = np.zeros(len(distance), bool)
    for peak in sorted(peaks, key=lambda index: -distance[index]):  # a lesser peak beside a greater one is its slope
        first, last = peak, peak
        while first > 0 and together[first] and distance[first - 1] > distance[peak] / 2:
            first -= 1
        while last + 1 < len(distance) and together[last + 1] and distance[last + 1] > distance[peak] / 2:
            last += 1
        span = (float(track.t_s[first] - step_s / 2), float(track.t_s[last] + step_s / 2))
        if not taken[first : last + 1].any() and span[1] - span[0] >= far.min_s:
            taken[first : last + 1] = True
            yield _FarStretch(span, peak, float(distance[peak] / usual.spread))


def _rates(tracks: Mapping[str, Track], baseline: Baseline) -> Iterator[CueEvent]:
    compared, track = _compared(baseline, "syllable_rate"), tracks["syllable_rate"]
    if compared is None:
        return
    for sign, code in ((-1, "audio.slow"), (1, "audio.fast")):
        for one in _far_stretches(track, compared.usual, sign, _RATE_FAR):
            rate = _figure(track.values[one.peak], "syl/s", compared.usual.centre if compared.is_own else None)
            yield _heard(code, one.span, _strength(one.z), rate, certainty=compared.certainty)


def _loudness(tracks: Mapping[str, Track], speech: Sequence[TimeSpan], baseline: Baseline) -> Iterator[CueEvent]:
    compared, track = _compared(baseline, "loudness"), tracks["loudness"]
    silence = ~within(tracks["level"].t_s, speech, _SPEECH_MARGIN_S)
    if compared is None or (silence.any() and -np.median(tracks["level"].values[silence]) < _MIN_SPEECH_OVER_NOISE_DB):
        return
    for sign, side in _SIDES:
        for one in _far_stretches(track, compared.usual, sign, _LOUDNESS_FAR):
            level = _figure(track.values[one.peak], "dB", compared.usual.centre if compared.is_own else None)
            yield _heard("audio.volume", one.span, _strength(one.z), level, certainty=compared.certainty, side=side)


def _pitches(tracks: Mapping[str, Track], baseline: Baseline) -> Iterator[CueEvent]:
    compared, track = _compared(baseline, "pitch"), tracks["pitch"]
    if compared is None:
        return
    for sign, side in _SIDES:
        for one in _far_stretches(track, compared.usual, sign, _PITCH_FAR):
            pitch = _figure(pitch_hz(track.values[one.peak]), "Hz", pitch_hz(compared.usual.centre))
            yield _heard("audio.pitch", one.span, _strength(one.z), pitch, side=side)


def _shaking(tracks: Mapping[str, Track], speech: Sequence[TimeSpan], baseline: Baseline) -> Iterator[CueEvent]:
    compared, track = _compared(baseline, "tremor"), tracks["tremor"]
    if compared is None:
        return
    turn_ends = [before[1] for before, after in pairwise(speech) if after[0] - before[1] >= _MIN_PAUSE_S]
    turn_ends.append(speech[-1][1])
    for one in _far_stretches(track, compared.usual, 1, _TREMOR_FAR):
        if any(stop_s - _TURN_END_S < track.t_s[one.peak] <= stop_s + _TURN_END_S for stop_s in turn_ends):
            continue
        tremor = _figure(track.values[one.peak], "st", compared.usual.centre if compared.is_own else None)
        yield _heard("audio.shaky_voice", one.span, _strength(one.z), tremor, certainty=compared.certainty)


def _breaths(tracks: Mapping[str, Track], speech: Sequence[TimeSpan]) -> Iterator[CueEvent]:
    """Yield short noises without pitch beside speech, well above the floor of the room."""
    level, flatness, voiced = tracks["level"], tracks["flatness"].values, tracks["voiced"].values
    silence = ~within(level.t_s, speech)
    if not silence.any():
        return
    floor_db = float(np.percentile(level.values[silence], 20))
    near = within(level.t_s, speech, _BREATH_NEAR_SPEECH_S)
    noisy = silence & near & (level.values > floor_db + _BREATH_OVER_FLOOR_DB) & (voiced == 0)
    for first, last in true_stretches(noisy):
        span = (float(level.t_s[first]), float(level.t_s[last - 1]))
        if not _BREATH_S[0] <= span[1] - span[0] <= _BREATH_S[1]:
            continue
        if np.median(flatness[first:last]) < _BREATH_FLATNESS:
            continue
        over_db = float(np.median(level.values[first:last])) - floor_db
        strength = 1 if over_db < 18 else 2 if over_db < 28 else 3
        yield _heard("audio.breath", span, strength, _figure(over_db, "dB"))


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
    for first, last in true_stretches((apart_s >= _LAUGH_BURST_S[0]) & (apart_s <= _LAUGH_BURST_S[1])):
        n_bursts, steps_s = last - first + 1, apart_s[first:last]
        pitch = tracks["f0"].values[peaks[first] : peaks[last] + 1]
        pitch = pitch[np.isfinite(pitch)]
        if n_bursts < _LAUGH_MIN_BURSTS or np.std(steps_s) > _LAUGH_UNEVENNESS * np.mean(steps_s) or not len(pitch):
            continue
        if np.median(pitch) - usual.centre < max(_LAUGH_HIGHER_ST, 2 * usual.spread):
            continue
        half_s = float(np.mean(steps_s)) / 2
        span = (float(level.t_s[peaks[first]]) - half_s, float(level.t_s[peaks[last]]) + half_s)
        if overlap_s(span, ((word.start_s, word.stop_s) for word in words)) > (span[1] - span[0]) / 2:
            continue
        strength = 1 if n_bursts < 7 else 2 if n_bursts < 10 else 3
        yield _heard("audio.laugh", span, strength, _figure(n_bursts, "bursts"))


def _wordless(tracks: Mapping[str, Track], speech: Sequence[TimeSpan], words: Sequence[Word]) -> Iterator[CueEvent]:
    """Yield voiced speech that no word covers: a sound that the recogniser left out, most likely a filler."""
    if not words:
        return
    voiced, f0 = tracks["voiced"], tracks["f0"].values
    covered = [(word.start_s, word.stop_s) for word in words]
    is_speech, is_word = within(voiced.t_s, speech, _SPEECH_MARGIN_S), within(voiced.t_s, covered, _WORD_MARGIN_S)
    wordless = (voiced.values > 0) & is_speech & ~is_word
    for first, last in true_stretches(wordless):
        span = (float(voiced.t_s[first]), float(voiced.t_s[last - 1]))
        length_s = span[1] - span[0]
        if length_s < _UNLEXICALISED_S:
            continue
        pitch = f0[first:last][np.isfinite(f0[first:last])]
        is_flat = len(pitch) > 0 and float(np.std(pitch)) < _FLAT_ST  # as of "um", not of words left out
        strength = 1 if length_s < 0.5 else 2 if length_s < 1 else 3
        yield _heard("audio.unlexicalised", span, strength, _figure(length_s, "s"), certainty=1.0 if is_flat else 0.6)


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
                yield _heard("audio.stuttering", span, min(3, n_times - 1), _figure(n_times, "times"))
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
            drawn_out = _figure(length_s, "s", float(expected_s))
            yield _heard("audio.stuttering", (word.start_s, word.stop_s), 1, drawn_out)
