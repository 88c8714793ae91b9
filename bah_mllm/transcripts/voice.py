"""Where somebody speaks: voice activity in a recording."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.loading import import_optional
from bah_mllm.core.stretches import stretches_between

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["BLOCK_S", "SAMPLE_RATE_HZ", "levelled", "speech_in_levelled", "speech_spans"]

SAMPLE_RATE_HZ = 16_000  # what Silero, swift-f0 and Whisper listen to

BLOCK_S = 8  # heard at a time: detectors that are given ten minutes at once take hundreds of megabytes

_LOUD_DB = -20.0  # where the loudest twentieth of a levelled recording begins, in dB of full scale
_MAX_GAIN_DB = 40.0  # a recording that stays below -60 dB holds nothing but its own noise
_HIGH_PASS_HZ = 50.0  # below every voice: takes a constant offset and the rumble of handling away
_LEVEL_FRAME_S = 0.032

_FRAME_SAMPLES = 512  # of the detector
_FRAME_S = _FRAME_SAMPLES / SAMPLE_RATE_HZ
_SURE = 0.5  # Silero's own default: a stretch is speech where its probability gets there ...
_MAYBE = 0.25  # ... and reaches as far as it stays above this: soft onsets take 0.2 s to become sure
_CONTEXT_SAMPLES, _STATE = 64, (1, 1, 128)  # what the detector sees, and remembers, of the frames before
_MIN_GAP_S = 0.1
_MIN_SPEECH_S = 0.1


def levelled(audio: Float[np.ndarray, " samples"], sample_rate_hz: int) -> Float[np.ndarray, " samples_at_16_khz"]:
    """Return a recording at 16 kHz without offset and at one level, so that its gain does not matter to what follows.

    Voice activity and pitch confidence depend on the level of their input (the confidence of swift-f0 moves by up to
    .47 when a recording is ten times quieter). Values that are no numbers become silence.

    Args:
        audio: One channel, shape (samples,).
        sample_rate_hz: Samples a second, above 0.

    Returns:
        float32, shape (samples at 16 kHz,); all zero where the recording is silent, empty where it is empty.
    """
    samples = np.array(audio, np.float32)
    np.copyto(samples, 0.0, where=~np.isfinite(samples))
    if len(samples) and sample_rate_hz != SAMPLE_RATE_HZ:
        from scipy.signal import resample_poly

        shared = gcd(SAMPLE_RATE_HZ, sample_rate_hz)
        samples = resample_poly(samples, SAMPLE_RATE_HZ // shared, sample_rate_hz // shared).astype(np.float32)
    if not len(samples):
        return samples
    # The offset goes first: switched on at sample 0, it would ring through the filter as a thump.
    samples -= samples.mean(dtype=np.float64).astype(np.float32)
    _high_pass(samples)
    n_frame = min(len(samples), round(_LEVEL_FRAME_S * SAMPLE_RATE_HZ))
    frames = samples[: len(samples) // n_frame * n_frame].reshape(-1, n_frame)
    loud = float(np.percentile(np.sqrt(np.einsum("fs,fs->f", frames, frames) / n_frame), 95))
    gain_db = min(_MAX_GAIN_DB, _LOUD_DB - 20 * np.log10(loud)) if loud > 0 else -np.inf
    samples *= np.float32(10 ** (gain_db / 20))
    return samples


def _high_pass(samples: Float[np.ndarray, " samples"]) -> None:
    """Take out what lies below every voice, in place and a block at a time."""
    from scipy.signal import butter, sosfilt

    filter_ = butter(2, _HIGH_PASS_HZ, "highpass", fs=SAMPLE_RATE_HZ, output="sos").astype(np.float32)
    state = np.zeros((len(filter_), 2), np.float32)
    n_block = BLOCK_S * SAMPLE_RATE_HZ
    for start in range(0, len(samples), n_block):
        samples[start : start + n_block], state = sosfilt(filter_, samples[start : start + n_block], zi=state)


def speech_spans(audio: Float[np.ndarray, " samples"], sample_rate_hz: int) -> list[tuple[float, float]]:
    """Return when somebody speaks, by Silero's voice activity detector (version 6, shipped in faster-whisper).

    Args:
        audio: One channel, at any level, shape (samples,).
        sample_rate_hz: Samples a second, above 0.

    Returns:
        Start and end of each stretch in seconds, ascending, at least 0.1 s long and 0.1 s apart, good to about
        0.05 s; empty for silence, noise and instruments.

    Raises:
        PrerequisiteError: faster-whisper is not installed.
    """
    return speech_in_levelled(levelled(audio, sample_rate_hz))


def speech_in_levelled(samples: Float[np.ndarray, " samples"]) -> list[tuple[float, float]]:
    """Return what ``speech_spans`` does, of sound that ``levelled`` has returned, at 16 kHz."""
    p = _speech_probabilities(samples)
    borders_s = np.arange(len(p) + 1) * _FRAME_S
    borders_s[-1] = min(borders_s[-1], len(samples) / SAMPLE_RATE_HZ)
    found = stretches_between(
        borders_s[:-1], borders_s[1:], p >= _SURE, stays_on=p >= _MAYBE, min_s=_MIN_SPEECH_S, gap_s=_MIN_GAP_S
    )
    return [(one.start_s, one.stop_s) for one in found]


def _speech_probabilities(samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " frames"]:
    """Return the probability of speech in each 32 ms, shape (frames,); the last frame is filled up with silence."""
    if not samples.any():
        return np.zeros(0, np.float32)  # also spares the model its own answer to digital silence
    vad = import_optional("faster_whisper.vad", extra="cues", purpose="voice activity detection")
    session = vad.get_vad_model().session
    # As the model's own call does, but in blocks: it would take ten minutes at once.
    parts, state = [], [np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)]
    n_block = round(BLOCK_S * SAMPLE_RATE_HZ / _FRAME_SAMPLES) * _FRAME_SAMPLES
    before = np.zeros(_CONTEXT_SAMPLES, np.float32)
    for start in range(0, len(samples), n_block):
        block = samples[start : start + n_block]
        heard = np.concatenate([before, block, np.zeros(-len(block) % _FRAME_SAMPLES, np.float32)])
        frames = np.lib.stride_tricks.sliding_window_view(heard, _CONTEXT_SAMPLES + _FRAME_SAMPLES)[::_FRAME_SAMPLES]
        p, *state = session.run(None, {"input": frames, "h": state[0], "c": state[1]})
        parts.append(np.asarray(p).reshape(-1))
        before = block[-_CONTEXT_SAMPLES:]
    return np.concatenate(parts)
