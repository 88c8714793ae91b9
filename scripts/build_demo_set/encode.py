"""Write one mp4 (H.264, AAC) the way a webcam page would: a little noise in picture and sound, real compression."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av  # noqa: TID253 - a build script: it needs PyAV from its first line on
import cv2  # noqa: TID253
import numpy as np
from motion import FPS
from numpy.typing import NDArray
from painting import HEIGHT, WIDTH, Image
from speech import RATE_HZ

PICTURE_NOISE = 2.2  # grey levels, standard deviation
NOISE_MARGIN = 64  # px; each frame sees the same grain from another corner: cheaper than new noise, as fresh to the eye
SPEECH_PEAK = 0.55
ROOM_NOISE_DB = -56.0  # against full scale: a quiet room, never digital zero
VIDEO_QUALITY = "25"  # x264's constant rate factor
SOUND_BITS_PER_S = 40_000


def room_sound(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Low hum of a room: noise with more power at low frequencies, -56 dB against full scale."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (hz / 400.0) ** 2), n)
    return np.asarray(noise / noise.std() * 10 ** (ROOM_NOISE_DB / 20))


def mix(speech: NDArray[np.float64], n_frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Speech at its level in a room, as long as the picture to the sample."""
    n = round(n_frames / FPS * RATE_HZ)
    padded = np.zeros(n)
    padded[: len(speech)] = speech[:n] * (SPEECH_PEAK / np.abs(speech).max())
    return padded + room_sound(n, rng)


def write_mp4(path: Path, frames: Iterable[Image], sound: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Encode frames and sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream(
            "libx264", rate=FPS, options={"crf": VIDEO_QUALITY, "preset": "medium", "threads": "1"}
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        audio.bit_rate = SOUND_BITS_PER_S
        samples = (np.clip(sound, -1, 1) * 32767).astype(np.int16)[None]
        coarse = rng.standard_normal(((HEIGHT + NOISE_MARGIN) // 2, (WIDTH + NOISE_MARGIN) // 2, 1)) * PICTURE_NOISE
        grain = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(3, axis=2).round().astype(np.int16)
        for image in frames:
            row, column = rng.integers(0, NOISE_MARGIN, size=2)
            noisy = cv2.add(image, grain[row : row + HEIGHT, column : column + WIDTH], dtype=cv2.CV_8U)
            frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        chunk = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        chunk.sample_rate, chunk.time_base, chunk.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        container.mux(audio.encode(chunk))
        container.mux(audio.encode(None))
