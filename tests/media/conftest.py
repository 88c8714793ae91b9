"""Videos built on the spot: every frame shows its own number, as 4 x 4 black and white squares."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

SIZE_PX = 64
_SQUARE_PX = SIZE_PX // 4


def numbered_picture(number: int) -> np.ndarray:
    bits = [(number >> place) & 1 for place in range(16)]
    squares = np.array(bits, np.uint8).reshape(4, 4) * 200 + 28
    grey = np.kron(squares, np.ones((_SQUARE_PX, _SQUARE_PX), np.uint8))
    return np.repeat(grey[..., None], 3, axis=2)


def number_in(picture: np.ndarray) -> int:
    step = picture.shape[0] // 4
    middles = picture[step // 2 :: step, step // 2 :: step].mean(axis=2)
    assert middles.shape == (4, 4)
    assert (np.abs(middles - 128) > 50).all(), "the squares are neither black nor white"
    return sum(1 << place for place, is_set in enumerate((middles > 128).reshape(-1)) if is_set)


def write_video(
    path: Path,
    pictures: int | Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 24,
    ticks: Sequence[int] | None = None,
    codec_options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    audio_s: float | None = None,
    audio_codec: str = "aac",
) -> Path:
    """Write a video; ``ticks`` are the times of its frames in 1/1000 s, ``audio_s`` adds a sound of that length."""
    shown = [numbered_picture(k) for k in range(pictures)] if isinstance(pictures, int) else list(pictures)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=codec_options or {})
        stream.height, stream.width = shown[0].shape[:2] if shown else (SIZE_PX, SIZE_PX)
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = 12
        sound = container.add_stream(audio_codec, rate=48_000, layout="mono") if audio_s else None
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for k, picture in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if ticks is not None:
                frame.pts, frame.time_base = ticks[k], Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = k, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None and audio_s:
            mux_tone(container, sound, tone(audio_s, rate_hz=48_000)[None])
    return path


def tone(seconds: float, *, rate_hz: int, pitch_hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    t_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * pitch_hz * t_s)).astype(np.float32)


def mux_tone(container: Any, stream: Any, samples: np.ndarray) -> None:
    """Encode samples, shape (channels, samples), into an open container."""
    fifo = av.AudioFifo()
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples), format="fltp", layout=["mono", "stereo"][len(samples) - 1]
    )
    frame.sample_rate, frame.pts = stream.rate, 0
    resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=stream.rate)
    for converted in resampler.resample(frame):
        fifo.write(converted)
    while piece := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def write_sound(
    path: Path, samples: np.ndarray, *, rate_hz: int, codec: str = "aac", options: dict[str, str] | None = None
) -> Path:
    """Write a sound file without video; samples have the shape (channels, samples)."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=["mono", "stereo"][len(samples) - 1])
        mux_tone(container, stream, samples)
    return path


def turn_clockwise(path: Path, turns: int) -> None:
    """Patch the display matrix of an mp4, as phones write it: quarter turns clockwise to show it upright."""
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][turns % 4]
    file = bytearray(path.read_bytes())
    matrix_at = file.index(b"tkhd") + 44
    struct.pack_into(">9i", file, matrix_at, cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(file)


def cut(path: Path, to: Path, *, share: float) -> Path:
    """Write the first part of the media data of a file, all of its index included where that comes first."""
    file = path.read_bytes()
    head = file.index(b"mdat") if b"mdat" in file else 0
    to.write_bytes(file[: head + int(share * (len(file) - head))])
    return to


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    return SimpleNamespace(
        size_px=SIZE_PX,
        picture=numbered_picture,
        number_in=number_in,
        video=write_video,
        sound=write_sound,
        tone=tone,
        turn_clockwise=turn_clockwise,
        cut=cut,
    )
