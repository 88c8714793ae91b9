"""How a video becomes what a frame model takes: its features, or the embedding that another model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from bah_mllm.core.records import Video
from bah_mllm.core.timeline import plan_windows
from bah_mllm.dataset import Dataset
from supervised.adaptation.frames import FrameTable, read_frames
from supervised.features.store import FeatureStore
from supervised.models import FeatureModel
from supervised.records import VideoFeatures
from supervised.training.data import LoadedVideos, Standard, TrainingWindow, load_videos, make_batch

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Representation"]


@dataclass(frozen=True, slots=True, eq=False)
class Representation:
    """How a video becomes what a frame model takes.

    Args:
        features: Modality to the name of its feature set.
        standard: Of what the frame model takes.
        encoder: The model that makes embeddings; None where the features are taken as they are.
        encoder_standard: Of what the encoder takes.
        window_frames: Of the encoder; None takes whole videos.
        hop_frames: Of the encoder.
    """

    features: dict[str, str]
    standard: Standard = field(default_factory=Standard)
    encoder: FeatureModel | None = None
    encoder_standard: Standard = field(default_factory=Standard)
    window_frames: int | None = None
    hop_frames: int | None = None

    def load(
        self, store: FeatureStore, dataset: Dataset, videos: Sequence[Video], *, flipped: bool = False
    ) -> LoadedVideos:
        """Return videos with their features, or with an embedding in the place of them; their mirrored twins too."""
        loaded = load_videos(store, self.features, dataset, videos, flipped=flipped)
        if self.encoder is None:
            return loaded
        return loaded._replace(videos=[self.encoded(video) for video in loaded.videos])

    def read(
        self,
        store: FeatureStore,
        dataset: Dataset,
        videos: Sequence[Video],
        *,
        flipped: bool = False,
        is_valid_only: bool = False,
    ) -> FrameTable:
        """Return the labelled frames of videos as the frame model takes them; see ``read_frames``."""
        loaded = self.load(store, dataset, videos, flipped=flipped)
        name = next(iter(self.features.values()))
        fps = {video.video_id: store.read(name, video.video_id).fps for video in loaded.videos}
        return read_frames(loaded.videos, self.standard, fps, is_valid_only=is_valid_only)

    def encoded(self, video: VideoFeatures) -> VideoFeatures:
        """Return a video whose one feature, under the leading modality's name, is the encoder's embedding."""
        lead = next(iter(video.features))
        flipped = {lead: _embedding(self, video, flipped=True)} if video.flipped else {}
        is_valid = np.any(list(video.is_valid.values()), axis=0)
        embedding = _embedding(self, video, flipped=False)
        return replace(video, features={lead: embedding}, is_valid={lead: is_valid}, flipped=flipped)


def _embedding(how: Representation, video: VideoFeatures, *, flipped: bool) -> Float[np.ndarray, "frames width"]:
    """Return the embedding of every frame, overlapping windows averaged."""
    encoder = how.encoder
    assert encoder is not None  # who asks has one
    length = encoder.window_frames or how.window_frames or video.n_frames
    total: np.ndarray | None = None
    n_covering = np.zeros((video.n_frames, 1), np.float32)
    for window in plan_windows(video.n_frames, window_frames=length, hop_frames=how.hop_frames):
        windows = [TrainingWindow(0, window)]
        batch = make_batch([video], windows, index=[0], standard=how.encoder_standard, flipped=[flipped])
        missing = (encoder.window_frames or len(window)) - len(window)  # of a video too short for a fixed window
        rows = {name: functional.pad(values, (0, 0, 0, missing)) for name, values in batch.features.items()}
        with torch.no_grad():
            found = encoder.embed(rows, functional.pad(batch.is_real, (0, missing)))[0, : len(window)].float().numpy()
        total = np.zeros((video.n_frames, found.shape[1]), np.float32) if total is None else total
        total[window.start : window.stop] += found
        n_covering[window.start : window.stop] += 1
    assert total is not None  # a video has at least one frame
    return total / n_covering
