"""What is heard in a video, as signals over time: speech, gaps, pitch, loudness, speaking rate, noise.

========================  =======  =====================================================================================
Track                     unit     value
========================  =======  =====================================================================================
``pitch``                 st       semitones above 100 Hz, median over 1 s of speech
``loudness``              dB       level of the voiced speech of 1 s against this recording's usual, median
``syllable_rate``         1/s      syllable nuclei per second of speech without its gaps, over 3 s with 2 s of speech
``gap``                   ln s     natural logarithm of the length of each gap inside the answer, at its middle
``tremor``                st       trembling of the pitch (3 to 12 Hz) in sustained voice, root mean square over 0.4 s
``voiced_share``          share    of the speech of 1 s that has a pitch, 0 to 1
``f0``                    st       as ``pitch``, every 16 ms where the detector is sure; NaN elsewhere
``voiced``                0 or 1   the sound has a pitch, every 16 ms
``level``                 dB       as ``loudness``, every 16 ms of the whole recording
``flatness``              0 to 1   spectral flatness: near 0 for voice, above .2 for breath and noise, every 16 ms
========================  =======  =====================================================================================

The first five are compared with the person (``CLAMPS``). A recording is brought to one level first, and levels are
relative to its own speech: a louder or quieter recording gives the same signals, and a person is loud against the same
video only. Windows lie around the time of their sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.loading import import_optional
from bah_mllm.core.stretches import true_stretches, within
from bah_mllm.cues.records import Track, Usual
from bah_mllm.transcripts.voice import BLOCK_S, SAMPLE_RATE_HZ, levelled, speech_in_levelled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["CLAMPS", "MINIMA_S", "POPULATION", "RATE_WINDOW_S", "Sound", "pitch_hz", "sound_signals"]

# Range of the robust spread of each signal over one person's videos. gap: of 102 speakers of telephone conversation
# (word times, gaps of 0.1 to 3 s), 5 % have a spread below .44 and half above .73; more than .7 would hide pauses of
# 2 s. The others: measured on the demo set and on conversational clips, widened by half to both sides.
CLAMPS: dict[str, tuple[float, float]] = {
    "pitch": (1.0, 2.0),
    "loudness": (1.2, 3.0),
    "syllable_rate": (0.35, 0.6),
    "gap": (0.4, 0.7),
    "tremor": (0.05, 0.15),
}

# Where too little is known of the person. No pitch: voices differ by an octave, so that nobody has the usual one.
# gap: the median of those 102 speakers is .49 s. syllable_rate: 4.0 by this counting on a conversational speaker;
# true rates are higher (Pellegrino, Coupe and Marsico 2011, Language 87: read English 6.2, French 7.2), for nuclei
# that run together count once. loudness is relative already.
POPULATION: dict[str, Usual] = {
    "loudness": Usual(0.0, CLAMPS["loudness"][1], "population"),
    "syllable_rate": Usual(4.0, CLAMPS["syllable_rate"][1], "population"),
    "gap": Usual(float(np.log(0.49)), CLAMPS["gap"][1], "population"),
    "tremor": Usual(0.2, CLAMPS["tremor"][1], "population"),
}

# For how many seconds each must be known before it counts as the person's own; one gap counts as one second.
MINIMA_S: dict[str, float] = {"pitch": 8.0, "loudness": 12.0, "syllable_rate": 8.0, "gap": 5.0, "tremor": 3.0}

RATE_WINDOW_S = 3.0  # windows of 1 s gave "5 syllables a second slower" at every pause

_HOP = 256  # swift-f0's: one sample of a track every 16 ms
_HOP_S = _HOP / SAMPLE_RATE_HZ
_FRAME = 2 * _HOP
_BLOCK_FRAMES = round(BLOCK_S / _HOP_S)
_GRID_S = 0.1
_WINDOW_S = 1.0
_MIN_KNOWN_S = 0.4  # less than that is the edge of a word, and words fade and fall at their edges
_MIN_PITCH_S = 0.2  # of pitch that is sure: lively speakers have no more of it in a second, where it moves most
_MIN_RATE_SPEECH_S = 2.0

_F0_HZ = (60.0, 500.0)  # voices of adults
_SURE, _VOICED = 0.7, 0.5  # confidence: at .7 it stays within .1 semitone of Praat, at .5 it covers most of the voice
_BAND_HZ = (300.0, 3400.0)  # of a telephone: what vowels fill, hum and hiss do not, and 8 kHz recordings still have

_MIN_PROMINENCE_DB = 2.0  # of a syllable nucleus: de Jong and Wempe 2009, Behavior Research Methods 41
_NUCLEUS_BELOW_DB = 20.0
_MIN_NUCLEI_APART_S = 0.08

_TREMOR_HZ = (3.0, 12.0)
_SUSTAINED_S = 0.4
_STEADY_DB = 6.0  # a syllable border dips deeper


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """What is heard in one video.

    Args:
        tracks: By the names above, all of them; empty or NaN where nothing is known.
        speech: When somebody speaks: start and end in seconds, ascending, apart by 0.1 s or more.
        duration_s: Length of the sound.
    """

    tracks: Mapping[str, Track]
    speech: tuple[tuple[float, float], ...]
    duration_s: float


def sound_signals(audio: Float[np.ndarray, " samples"], sample_rate_hz: int = SAMPLE_RATE_HZ) -> Sound:
    """Return what is heard in a recording.

    Args:
        audio: One channel, at any level, shape (samples,); may be empty or silent.
        sample_rate_hz: Samples a second, above 0.

    Raises:
        PrerequisiteError: A package of the extra ``cues`` is not installed.
    """
    samples = levelled(audio, sample_rate_hz)
    del audio  # ten minutes are 38 MB, and a caller that keeps none of it has them back
    speech = tuple(speech_in_levelled(samples))
    duration_s = len(samples) / SAMPLE_RATE_HZ
    f0, voiced = _voice(samples)
    level, flatness = _spectra(samples)
    t_s = np.arange(len(f0)) * _HOP_S
    spoken = within(t_s, speech)
    voice = spoken & voiced
    if voice.any():
        level = level - np.median(level[voice])
    grid_s = np.arange(_GRID_S / 2, duration_s, _GRID_S)
    tracks = {
        "pitch": Track(grid_s, _medians(t_s, np.where(spoken, f0, np.nan), grid_s, _MIN_PITCH_S)),
        "loudness": Track(grid_s, _medians(t_s, np.where(voice, level, np.nan), grid_s, _MIN_KNOWN_S)),
        "syllable_rate": Track(grid_s, _rate(_nuclei(level, voice), t_s, spoken, grid_s)),
        "gap": _gaps(speech),
        "tremor": _tremor(t_s, np.where(spoken, f0, np.nan), level),
        "voiced_share": Track(grid_s, _shares(t_s, voiced, spoken, grid_s)),
        "f0": Track(t_s, f0),
        "voiced": Track(t_s, voiced.astype(np.float64)),
        "level": Track(t_s, level),
        "flatness": Track(t_s, flatness),
    }
    return Sound(tracks, speech, duration_s)


def pitch_hz(semitones: float) -> float:
    """Return a pitch in hertz; ``pitch`` and ``f0`` count semitones above 100 Hz.

    >>> pitch_hz(12.0)
    200.0
    """
    return float(100 * 2 ** (semitones / 12))


def _voice(
    samples: Float[np.ndarray, " samples"],
) -> tuple[Float[np.ndarray, " frames"], Bool[np.ndarray, " frames"]]:
    """Return the pitch in semitones above 100 Hz (NaN where unsure) and whether there is one, every 16 ms."""
    if not samples.any():
        return np.full(len(samples) // _HOP, np.nan), np.zeros(len(samples) // _HOP, bool)
    stream, n_block = _pitch_detector().stream(fmin=_F0_HZ[0], fmax=_F0_HZ[1]), _BLOCK_FRAMES * _HOP
    blocks = (samples[start : start + n_block] for start in range(0, len(samples), n_block))
    heard = [*(stream.push(block, SAMPLE_RATE_HZ) for block in blocks), stream.flush()]
    confidence = np.concatenate([part.confidence for part in heard])
    semitones = 12 * np.log2(np.concatenate([part.pitch_hz for part in heard]) / 100)
    return np.where(confidence >= _SURE, semitones, np.nan), confidence >= _VOICED


@cache
def _pitch_detector() -> Any:  # noqa: ANN401 - a class of an optional package
    swift = import_optional("swift_f0", extra="cues", purpose="measuring pitch")
    return swift.SwiftF0(threads=1, spin=False)


def _spectra(
    samples: Float[np.ndarray, " samples"],
) -> tuple[Float[np.ndarray, " frames"], Float[np.ndarray, " frames"]]:
    """Return level in dB and flatness of the telephone band around every 16 ms."""
    n_frames = max(1, len(samples) // _HOP) if samples.any() else len(samples) // _HOP
    frequencies_hz = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE_HZ)
    band = (frequencies_hz >= _BAND_HZ[0]) & (frequencies_hz <= _BAND_HZ[1])
    window = np.hanning(_FRAME)
    level, flatness = np.zeros(n_frames), np.zeros(n_frames)
    for first in range(0, n_frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, n_frames)
        # Frame k lies around sample k * _HOP, as swift-f0's loudness.
        start, stop = (first - 1) * _HOP, (last - 2) * _HOP + _FRAME
        block = np.pad(samples[max(start, 0) : stop], (max(-start, 0), max(stop - len(samples), 0)))
        frames = np.lib.stride_tricks.sliding_window_view(block, _FRAME)[::_HOP]
        power = np.abs(np.fft.rfft(frames * window)[:, band]) ** 2 + 1e-9  # about -80 dB under speech
        level[first:last] = 10 * np.log10(power.mean(axis=1))
        flatness[first:last] = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    return level, flatness


def _window(
    t_s: Float[np.ndarray, " frames"], grid_s: Float[np.ndarray, " grid"], width_s: float
) -> tuple[Int[np.ndarray, " grid"], Int[np.ndarray, " grid"]]:
    return np.searchsorted(t_s, grid_s - width_s / 2), np.searchsorted(t_s, grid_s + width_s / 2)


def _medians(
    t_s: Float[np.ndarray, " frames"],
    values: Float[np.ndarray, " frames"],
    grid_s: Float[np.ndarray, " grid"],
    min_known_s: float,
) -> Float[np.ndarray, " grid"]:
    medians = np.full(len(grid_s), np.nan)
    for index, (first, last) in enumerate(zip(*_window(t_s, grid_s, _WINDOW_S), strict=True)):
        known = values[first:last][np.isfinite(values[first:last])]
        if len(known) * _HOP_S >= min_known_s:
            medians[index] = np.median(known)
    return medians


def _shares(
    t_s: Float[np.ndarray, " frames"],
    flags: Bool[np.ndarray, " frames"],
    among: Bool[np.ndarray, " frames"],
    grid_s: Float[np.ndarray, " grid"],
) -> Float[np.ndarray, " grid"]:
    first, last = _window(t_s, grid_s, _WINDOW_S)
    n = _sums(among, first, last)
    return np.where(n * _HOP_S >= _MIN_KNOWN_S, _sums(flags & among, first, last) / np.maximum(n, 1), np.nan)


def _sums(
    flags: Bool[np.ndarray, " frames"], first: Int[np.ndarray, " grid"], last: Int[np.ndarray, " grid"]
) -> Int[np.ndarray, " grid"]:
    totals = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(totals[last] - totals[first])


def _nuclei(level: Float[np.ndarray, " frames"], voice: Bool[np.ndarray, " frames"]) -> Bool[np.ndarray, " frames"]:
    """Return whether a syllable has its nucleus in a frame: a voiced peak of the level between two dips."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    flags = np.zeros(len(level), bool)
    if not voice.any():
        return flags
    # Levels far below speech are one silence: their ups and downs say nothing, and dips count down to there.
    smooth = gaussian_filter1d(np.maximum(level, -2 * _NUCLEUS_BELOW_DB), 1.0)
    peaks, _ = find_peaks(
        smooth,
        height=-_NUCLEUS_BELOW_DB,
        prominence=_MIN_PROMINENCE_DB,
        distance=round(_MIN_NUCLEI_APART_S / _HOP_S),
    )
    flags[peaks[voice[peaks]]] = True
    return flags


def _rate(
    nuclei: Bool[np.ndarray, " frames"],
    t_s: Float[np.ndarray, " frames"],
    spoken: Bool[np.ndarray, " frames"],
    grid_s: Float[np.ndarray, " grid"],
) -> Float[np.ndarray, " grid"]:
    first, last = _window(t_s, grid_s, RATE_WINDOW_S)
    speech_s = _sums(spoken, first, last) * _HOP_S
    known = speech_s >= _MIN_RATE_SPEECH_S
    return np.where(known, _sums(nuclei, first, last) / np.maximum(speech_s, _HOP_S), np.nan)


def _gaps(speech: tuple[tuple[float, float], ...]) -> Track:
    between = [(before[1], after[0]) for before, after in pairwise(speech)]
    return Track(
        np.array([(start_s + stop_s) / 2 for start_s, stop_s in between]),
        np.array([np.log(stop_s - start_s) for start_s, stop_s in between]),
    )


def _tremor(
    t_s: Float[np.ndarray, " frames"], f0: Float[np.ndarray, " frames"], level: Float[np.ndarray, " frames"]
) -> Track:
    """Return the trembling of the pitch where voice is sustained: one steady vowel, not a melody over syllables."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d
    from scipy.signal import butter, sosfiltfilt

    n_sustained = round(_SUSTAINED_S / _HOP_S)
    band = butter(2, _TREMOR_HZ, "bandpass", fs=1 / _HOP_S, output="sos")
    times, values = [np.zeros(0)], [np.zeros(0)]
    if not len(f0):
        return Track(times[0], values[0])
    steady = np.isfinite(f0) & (level > maximum_filter1d(level, n_sustained) - _STEADY_DB)
    for start, stop in true_stretches(steady):
        if stop - start >= n_sustained:
            trembling = sosfiltfilt(band, f0[start:stop] - np.median(f0[start:stop]))
            times.append(t_s[start:stop])
            values.append(np.sqrt(uniform_filter1d(trembling**2, n_sustained)))
    return Track(np.concatenate(times), np.concatenate(values))
