"""The sound of a video as an array, on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import MediaError
from bah_mllm.media.containers import audio_stream, decode, open_media, packets, video_stream, video_streams

if TYPE_CHECKING:
    from jaxtyping import Float32, Int16

__all__ = ["read_audio"]

_DRIFT_S = 0.1  # as FFmpeg's aresample: less than this between a packet's time and the samples so far is rounding
_LONGEST_GAP_S = 3600.0  # more is a broken time, not silence
_REORDERED = 16  # packets among which the picture shown first is


def read_audio(
    path: Path, *, sample_rate_hz: int = 16_000, from_first_sample: bool = False
) -> Float32[np.ndarray, " samples"]:
    """Return the sound of a video or sound file, mixed to one channel.

    Sample 0 is heard when the first picture is shown. Sound that begins later has silence before it, what is heard
    before the first picture is left out, and packets that are missing or do not decode leave silence of their length.
    The sound of a file without pictures begins with its first sample.

    Args:
        path: A file with sound.
        sample_rate_hz: Samples a second of the result.
        from_first_sample: Let sample 0 be the first one that decodes and close all gaps, as ``whisper.load_audio`` and
            the published code do.

    Returns:
        Values -1 to 1, shape (samples,), at least one.

    Raises:
        MediaError: The file cannot be read, has no sound, or none of it decodes.

    References:
        Mixed down and resampled in 16-bit integers by FFmpeg, as ``whisper.load_audio`` has it done. (In floating point
        FFmpeg mixes two equal channels to 1.41 times their level.)
    """
    start_s = None if from_first_sample else _first_picture_s(path)
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            raise MediaError(
                f"{path} has no sound.", remedy="Give a file with an audio stream, or skip what needs one."
            )
        pieces = list(_pieces(decode(container, stream), sample_rate_hz))
    if not any(len(piece.samples) for piece in pieces):
        raise MediaError(
            f"{path} has an audio stream, but none of it can be decoded.",
            remedy="Copy the file again, or convert its sound to AAC.",
        )
    placed = [piece.samples for piece in pieces] if start_s is None else _placed(pieces, start_s, sample_rate_hz)
    samples = np.concatenate(placed, dtype=np.float32)
    samples /= 32_768  # in place: ten minutes are 38 MB
    return samples


class _Piece(NamedTuple):
    """Samples without a gap, and when the first is heard, in seconds on the file's own clock; None where untold."""

    samples: Int16[np.ndarray, " samples"]
    start_s: float | None


def _first_picture_s(path: Path) -> float | None:
    """Return when the first picture is shown, on the file's own clock; None where there is none."""
    with open_media(path) as container:
        if not video_streams(container):
            return None
        stream = video_stream(container, path)
        earliest: int | None = None
        for n, packet in enumerate(packets(container, stream)):
            if n == _REORDERED:
                break
            if packet.pts is not None and not packet.is_discard:
                earliest = packet.pts if earliest is None else min(earliest, packet.pts)
        return None if earliest is None else float(earliest * stream.time_base)


def _pieces(frames: Iterator[Any | None], sample_rate_hz: int) -> Iterator[_Piece]:
    """Yield the sound resampled, a piece for each run of frames that follow each other and are of one form.

    Decoded frames are let go of one by one: of ten minutes in stereo they would take 230 MB.
    """
    import av

    resampler, first, n_heard, samples = None, None, 0, list[np.ndarray]()
    for frame in frames:
        if frame is None:
            continue
        if resampler is not None and not _follows(frame, first, n_heard):
            yield _ended(resampler, samples, first.time if first is not None else None)
            resampler = None
        if resampler is None:  # it takes one form, but a stream may change its own
            resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate_hz)
            first, n_heard, samples = _Start(_form(frame), frame.time), 0, []
        n_heard += frame.samples
        samples += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
    if resampler is not None and first is not None:
        yield _ended(resampler, samples, first.time)


class _Start(NamedTuple):
    """How a run of frames begins: rate, channels and kind of sample, and its time; None where untold."""

    form: tuple[str, str, int]
    time: float | None


def _form(frame: Any) -> tuple[str, str, int]:  # noqa: ANN401 - of PyAV
    return frame.format.name, frame.layout.name, frame.sample_rate


def _follows(frame: Any, first: _Start | None, n_heard: int) -> bool:  # noqa: ANN401
    """Tell whether a frame is of the run's form, and heard right after its samples so far."""
    if first is None or _form(frame) != first.form:
        return False
    if frame.time is None or first.time is None:
        return True
    apart_s = abs(frame.time - first.time - n_heard / frame.sample_rate)
    return not _DRIFT_S < apart_s < _LONGEST_GAP_S


def _ended(resampler: Any, samples: list[np.ndarray], start_s: float | None) -> _Piece:  # noqa: ANN401
    rest = [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    return _Piece(np.concatenate([*samples, *rest, np.zeros(0, np.int16)]), start_s)


def _placed(pieces: list[_Piece], start_s: float, sample_rate_hz: int) -> list[np.ndarray]:
    """Return the samples from ``start_s`` on, with silence where nothing is heard."""
    placed: list[np.ndarray] = []
    n_so_far = 0
    for samples, piece_s in pieces:
        lead = 0 if piece_s is None else round((piece_s - start_s) * sample_rate_hz) - n_so_far
        if abs(lead) > _LONGEST_GAP_S * sample_rate_hz:
            lead = 0
        kept = samples[max(0, -lead) :]
        placed += [np.zeros(max(0, lead), np.int16), kept]
        n_so_far += max(0, lead) + len(kept)
    return placed
