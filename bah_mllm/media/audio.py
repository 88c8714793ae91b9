"""The sound of a video as an array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import MediaError
from bah_mllm.media.containers import audio_stream, decode, open_media

if TYPE_CHECKING:
    from jaxtyping import Float32

__all__ = ["read_audio"]


def read_audio(path: Path, *, sample_rate_hz: int = 16_000) -> Float32[np.ndarray, " samples"]:
    """Return the sound of a video or sound file, mixed to one channel.

    Sample 0 is the first one that decodes. Packets that do not decode are left out.

    Args:
        path: A file with sound.
        sample_rate_hz: Samples a second of the result.

    Returns:
        Values -1 to 1, shape (samples,), at least one.

    Raises:
        MediaError: The file cannot be read, has no sound, or none of it decodes.

    References:
        Mixed down and resampled in 16-bit integers by FFmpeg, as ``whisper.load_audio`` has it done. (In floating point
        FFmpeg mixes two equal channels to 1.41 times their level.)
    """
    with open_media(path) as container:
        stream = audio_stream(container)
        if stream is None:
            raise MediaError(
                f"{path} has no sound.", remedy="Give a file with an audio stream, or skip what needs one."
            )
        pieces = [array.reshape(-1) for array in _resampled(decode(container, stream), sample_rate_hz)]
    samples = np.concatenate(pieces, dtype=np.float32) if pieces else np.zeros(0, np.float32)
    if not len(samples):
        raise MediaError(
            f"{path} has an audio stream, but none of it can be decoded.",
            remedy="Copy the file again, or convert its sound to AAC.",
        )
    samples /= 32_768  # in place: ten minutes are 38 MB
    return samples


def _resampled(frames: Iterator[Any | None], sample_rate_hz: int) -> Iterator[np.ndarray]:
    import av

    resampler, form = None, None
    for frame in frames:
        if frame is None:
            continue
        frame_form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is not None and frame_form != form:  # a resampler takes one form, but a stream may change its own
            yield from (piece.to_ndarray() for piece in resampler.resample(None))
            resampler = None
        if resampler is None:
            resampler, form = av.AudioResampler(format="s16", layout="mono", rate=sample_rate_hz), frame_form
        yield from (piece.to_ndarray() for piece in resampler.resample(frame))
    if resampler is not None:
        yield from (piece.to_ndarray() for piece in resampler.resample(None))
