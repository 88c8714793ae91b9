"""Parameters of every model, and an epoch from cached features against one with the backbone in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.bench.timing import process_seconds
from supervised.models import FAITHFUL, MODELS, build_model
from supervised.models.backbones import build_backbone
from supervised.records import Batch, StepLoss, VideoFeatures
from supervised.training.cross_entropy import Classification, ClassificationSettings
from supervised.training.loop import LoopSettings, fit

__all__ = ["bench_training"]

# Widths of the published code's features: IR-50 or reduced ResNets, VGGish, BERT.
REFERENCE_DIMS = {"visual": 512, "audio": 128, "text": 768}
_BACKBONE = "resnet18"
_N_VIDEOS, _N_FRAMES, _WINDOW_FRAMES, _HOP_FRAMES = 2, 96, 48, 24
_VIDEO_PX = (640, 480)  # BAH's webcams; only for the size of a decoded video


def bench_training(request: BenchRequest) -> Figures:
    """Count the parameters of every model; measure an epoch from cached features against one with the backbone in it.

    The backbone has random weights and the faces are noise: neither changes the work. ResNet-18, the smallest of the
    paper's, on few frames: larger backbones and more overlap between windows only raise the ratio.

    Returns:
        ``parameters``: model to its trainable count, faithful ones as ``lfan_faithful``. ``epoch_speedup``: process
        time of an epoch of a visual TCN with the frozen backbone in the loop, over that from cached features.
        ``batch_bytes`` of features that a step holds, and ``decoded_video_bytes`` of one of these videos at 640x480.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {"parameters": _parameters(), "backbone": _BACKBONE, **_epochs(Path(folder), request.seed)}


def _parameters() -> dict[str, int]:
    counts = {}
    for variant, names in (("corrected", MODELS), ("faithful", FAITHFUL)):
        for name in names:
            dims = {"visual": REFERENCE_DIMS["visual"]} if name in ("tcn", "mlp") else REFERENCE_DIMS
            model = build_model(name, dims, variant=variant)  # type: ignore[arg-type]
            key = name if variant == "corrected" else f"{name}_faithful"
            counts[key] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return counts


def _epochs(folder: Path, seed: int) -> Figures:
    rng = np.random.default_rng(seed)
    backbone = build_backbone(_BACKBONE, random=True)
    backbone.eval()
    faces = rng.integers(0, 256, (_N_VIDEOS, _N_FRAMES, backbone.resize_px, backbone.resize_px, 3), dtype=np.uint8)
    with torch.no_grad():
        cached = np.stack([backbone(torch.from_numpy(one)).numpy() for one in faces])
    for number, values in enumerate(cached):
        np.save(folder / f"{number}.npy", values)
    stored = [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(_N_VIDEOS)]
    from_cache = Classification([_video(n, values, rng) for n, values in enumerate(stored)], _DATA, seed=seed)
    flat = faces.reshape(_N_VIDEOS, _N_FRAMES, -1)
    in_loop = _BackboneInTheLoop(
        Classification([_video(n, values, rng) for n, values in enumerate(flat)], _DATA, seed=seed), backbone
    )
    cached_s = process_seconds(lambda: _one_epoch(folder, from_cache, backbone.dim, seed), repeats=1)
    in_loop_s = process_seconds(lambda: _one_epoch(folder, in_loop, backbone.dim, seed), repeats=1)
    batch = next(iter(from_cache.batches(0)))
    assert batch is not None
    return {
        "epoch_speedup": in_loop_s / cached_s,
        "cached_epoch_s": cached_s,
        "backbone_in_loop_epoch_s": in_loop_s,
        "batch_bytes": sum(values.numel() * values.element_size() for values in batch.features.values()),
        "decoded_video_bytes": _N_FRAMES * _VIDEO_PX[0] * _VIDEO_PX[1] * 3,
    }


_DATA = ClassificationSettings(window_frames=_WINDOW_FRAMES, hop_frames=_HOP_FRAMES, batch_windows=2)


def _video(number: int, values: np.ndarray, rng: np.random.Generator) -> VideoFeatures:
    return VideoFeatures(
        video_id=str(number),
        participant_id=str(number),
        question=None,
        split="train",
        n_frames=len(values),
        features={"visual": values},
        is_valid={"visual": np.ones(len(values), bool)},
        frame_labels=rng.integers(0, 2, len(values)).astype(np.int8),
        label=1,
    )


class _BackboneInTheLoop:
    """The naive way: every window's faces go through the frozen backbone in every epoch."""

    def __init__(self, inner: Classification, backbone: nn.Module) -> None:
        self._inner, self._backbone = inner, backbone
        self.parameter_groups, self.n_batches = inner.parameter_groups, inner.n_batches
        self.begin_epoch, self.batches, self.weight = inner.begin_epoch, inner.batches, inner.weight
        self.state_dict, self.load_state_dict = inner.state_dict, inner.load_state_dict

    def loss(self, model: nn.Module, batch: Batch) -> StepLoss:
        """Return the loss of a batch whose visual features are pixels."""
        pixels = batch.features["visual"]
        n_windows, n_frames, size = pixels.shape
        side = int((size // 3) ** 0.5)
        faces = pixels.reshape(n_windows * n_frames, side, side, 3).to(torch.uint8)
        with torch.no_grad():
            features = self._backbone(faces).reshape(n_windows, n_frames, -1)
        return self._inner.loss(model, Batch({"visual": features}, batch.is_real, batch.labels, batch.index))


def _one_epoch(folder: Path, strategy: Any, dim: int, seed: int) -> None:  # noqa: ANN401 - one of the two above
    torch.manual_seed(seed)
    model = build_model("tcn", {"visual": dim})
    with tempfile.TemporaryDirectory(dir=folder) as own:
        fit(model, strategy, LoopSettings(epochs=1, lr=0.001, device="cpu"), folder=Path(own), seed=seed, quiet=True)
