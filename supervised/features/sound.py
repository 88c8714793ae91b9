"""VGGish: a second of sound as 128 numbers, one row per video frame.

References:
    Hershey et al. 2017 (VGGish, release v0.1); torchvggish, whose weights the published code loads: no PCA, no
    quantisation, the last ReLU left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from bah_mllm.core.errors import DataError, PrerequisiteError
from supervised.models.tensor_files import load_tensors

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

__all__ = [
    "N_EMBEDDING",
    "SAMPLE_RATE_HZ",
    "VGGish",
    "embed_sound",
    "faithful_starts",
    "load_vggish",
    "log_mel",
    "window_starts",
]

SAMPLE_RATE_HZ = 16_000
N_EMBEDDING = 128
_WINDOW, _HOP, _N_FFT = 400, 160, 512  # samples: 25 ms, 10 ms, and the next power of two
_N_MELS, _LOW_HZ, _HIGH_HZ, _OFFSET = 64, 125.0, 7_500.0, 0.01
_EXAMPLE = 96  # mel frames, 0.975 s of sound
_MEL_HZ = SAMPLE_RATE_HZ // _HOP
_MIDDLE = ((_EXAMPLE - 1) * _HOP + _WINDOW) / 2 / _HOP  # from an example's first sample to its middle, in mel frames
_PAD = 50  # mel frames of silence before the sound, for windows around its start
_BLOCK = 4096  # mel frames computed at a time: 13 MB of samples


class VGGish(nn.Module):
    """The VGGish network; parameters are named as in torchvggish (``features.0.weight`` ... ``embeddings.4.bias``)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for block in ((64,), (128,), (256, 256), (512, 512)):
            for wider in block:
                layers += [nn.Conv2d(width, wider, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                width = wider
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, N_EMBEDDING),
        )

    def forward(self, examples: Float[Tensor, "batch 96 64"]) -> Float[Tensor, "batch 128"]:
        """Return the embeddings of log-mel examples (time, mel band)."""
        maps = self.features(examples[:, None])
        # Flattened with the channel last, as the weights were trained in TensorFlow.
        embedding: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embedding


def load_vggish(weights: Path | None = None, *, random: bool = False) -> VGGish:
    """Return VGGish in inference mode.

    Args:
        weights: A state dict with the names of torchvggish, ``.safetensors`` or ``.pth``; other entries (the PCA of its
            post-processing) are left out.
        random: Take random weights, the same ones each time; their features say little of a sound.

    Raises:
        PrerequisiteError: There are no weights, and random ones were not asked for.
        DataError: The file cannot be read, or holds other parameters.
    """
    if weights is None:
        if not random:
            raise PrerequisiteError(
                "VGGish needs weights, and none come with this package.",
                remedy="Give --weights vggish=FILE (torchvggish's vggish-10086976.pth), or ask for --random-weights.",
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = VGGish()
        network.eval()
        return network
    if not weights.is_file():
        raise PrerequisiteError(f"There are no weights of VGGish at {weights}.", remedy="Correct the path.")
    network = VGGish()
    names = set(network.state_dict())
    try:
        network.load_state_dict({name: value for name, value in load_tensors(weights).items() if name in names})
    except RuntimeError:
        raise DataError(
            f"{weights.name} does not hold the parameters of VGGish.",
            remedy="Give a state dict with torchvggish's names (features.0.weight ... embeddings.4.bias).",
        ) from None
    network.eval()
    return network


def log_mel(samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "mel_frames 64"]:
    """Return the log-mel spectrogram that VGGish takes.

    25 ms windows (periodic Hann) every 10 ms, magnitudes of a 512-point FFT, 64 HTK mel bands from 125 to 7500 Hz,
    log(mel + 0.01).

    Args:
        samples: Sound at 16 kHz, values -1 to 1.

    Returns:
        float32, shape (1 + (samples - 400) // 160, 64); no rows where there are fewer than 400 samples.

    References:
        TensorFlow's VGGish, ``mel_features.py`` and ``vggish_params.py``.
    """
    if len(samples) < _WINDOW:
        return np.zeros((0, _N_MELS), np.float32)
    windows = sliding_window_view(samples, _WINDOW)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    bands = _mel_bands()
    blocks = [
        np.log(np.abs(np.fft.rfft(windows[first : first + _BLOCK] * hann, _N_FFT)) @ bands + _OFFSET).astype(np.float32)
        for first in range(0, len(windows), _BLOCK)
    ]
    return np.concatenate(blocks)


def window_starts(middles_s: Float[np.ndarray, " frames"]) -> Int64[np.ndarray, " frames"]:
    """Return the first mel frame of the window centred on each instant, to the nearest 10 ms; it may be negative.

    Args:
        middles_s: Middles of the video frames in seconds.
    """
    starts: np.ndarray = np.rint(middles_s * _MEL_HZ - _MIDDLE).astype(np.int64)
    return starts


def faithful_starts(n_mel: int, *, fps: float) -> Int64[np.ndarray, " examples"]:
    """Return the first mel frames of the published code's examples: one a video frame, looking ahead from it.

    Example i starts at round(i 100 / fps), for as many as fit into ``n_mel`` frames.
    """
    hop = _MEL_HZ / fps
    n_examples = max(0, 1 + int(np.floor((n_mel - _EXAMPLE) / hop)))
    starts: np.ndarray = np.rint(np.arange(n_examples) * _MEL_HZ / fps).astype(np.int64)
    return starts[starts <= n_mel - _EXAMPLE]


def embed_sound(
    network: nn.Module,
    samples: Float[np.ndarray, " samples"],
    times_s: Float[np.ndarray, " frames"],
    *,
    fps: float | None,
    is_faithful: bool = False,
    batch: int = 64,
) -> tuple[Float[np.ndarray, "frames 128"], Bool[np.ndarray, " frames"]]:
    """Return a row for every video frame, and whether there is sound at it.

    Args:
        network: ``VGGish``, or anything from examples (batch, 96, 64) to rows, on any device.
        samples: Sound at 16 kHz from the first video frame on; shorter or longer than the video.
        times_s: Times of the video frames, ascending, from 0.
        fps: Frames a second; needed by ``is_faithful`` only.
        is_faithful: As the published code: the window starts at the frame, row k belongs to frame k + 1 (its first
            row is lost as the header of a CSV file), the last row is repeated, and every frame is valid. Otherwise
            the window is centred on the frame, with silence beyond the sound.
        batch: Examples that the network sees at once.

    Returns:
        float32 rows, zeros where the sound has ended before a frame; and that mask.

    Raises:
        DataError: ``is_faithful``, and the frame rate is unknown or there are fewer than two examples.
    """
    if is_faithful:
        rows = _faithful_rows(network, samples, len(times_s), fps, batch)
        return rows, np.ones(len(times_s), bool)
    durations_s = np.diff(times_s, append=2 * times_s[-1] - times_s[-2] if len(times_s) > 1 else times_s[-1])
    starts = window_starts(times_s + durations_s / 2) + _PAD
    n_samples = (int(starts.max()) + _EXAMPLE) * _HOP + _WINDOW
    padded = np.zeros(n_samples, np.float32)
    heard = samples[: max(0, n_samples - _PAD * _HOP)]
    padded[_PAD * _HOP : _PAD * _HOP + len(heard)] = heard
    is_valid = times_s < len(samples) / SAMPLE_RATE_HZ
    rows = np.zeros((len(times_s), N_EMBEDDING), np.float32)
    if is_valid.any():
        rows[is_valid] = np.concatenate(list(_embedded(network, log_mel(padded), starts[is_valid], batch)))
    return rows, is_valid


def _faithful_rows(
    network: nn.Module, samples: np.ndarray, n_frames: int, fps: float | None, batch: int
) -> Float[np.ndarray, "frames 128"]:
    if fps is None:
        raise DataError("The frame rate of the video is unknown.", remedy="Leave faithful alignment out.")
    mel = log_mel(np.pad(samples, (0, SAMPLE_RATE_HZ), mode="edge"))  # a second more, so that the end has examples
    starts = faithful_starts(len(mel), fps=fps)[1:]
    if not len(starts):
        raise DataError("The sound is too short for two examples.", remedy="Leave faithful alignment out.")
    rows = np.concatenate(list(_embedded(network, mel, starts[:n_frames], batch)))
    return np.pad(rows, ((0, n_frames - len(rows)), (0, 0)), mode="edge")


def _embedded(
    network: nn.Module, mel: np.ndarray, starts: np.ndarray, batch: int
) -> Iterator[Float[np.ndarray, "batch 128"]]:
    device = next((value.device for value in network.parameters()), torch.device("cpu"))
    examples = sliding_window_view(mel, _EXAMPLE, axis=0)  # (start, mel band, time)
    with torch.inference_mode():
        for first in range(0, len(starts), batch):
            chosen = examples[starts[first : first + batch]].transpose(0, 2, 1)
            rows: np.ndarray = network(torch.from_numpy(np.ascontiguousarray(chosen)).to(device)).float().cpu().numpy()
            yield rows


def _mel_bands() -> Float[np.ndarray, "bins 64"]:
    """Return triangles on the HTK mel scale, 1127 ln(1 + f / 700); the bin of 0 Hz counts nowhere."""
    low, high = (1127 * np.log1p(hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = np.linspace(low, high, _N_MELS + 2)
    bins = 1127 * np.log1p(np.linspace(0, SAMPLE_RATE_HZ / 2, _N_FFT // 2 + 1) / 700)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bands: np.ndarray = np.maximum(0, np.minimum(rising, falling))
    bands[0] = 0
    return bands
