"""From stored features and labels to batches of windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from bah_mllm.core.arrays import DAMAGED_ARRAYS
from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import BahError, ConfigError, DataError, MediaError, RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal
from bah_mllm.core.records import Video
from bah_mllm.core.saying import say
from bah_mllm.core.timeline import Window
from bah_mllm.dataset import Dataset
from bah_mllm.media import probe
from supervised.features.store import DamagedFeaturesError, FeatureStore
from supervised.records import IGNORED, MODALITIES, Batch, VideoFeatures

if TYPE_CHECKING:
    from jaxtyping import Float, Int8

__all__ = [
    "LoadedVideos",
    "Standard",
    "TrainingWindow",
    "fit_standard",
    "load_standard",
    "load_video",
    "load_videos",
    "make_batch",
    "save_standard",
    "training_videos",
    "training_windows",
    "validation_videos",
]

_STANDARD = "standard.safetensors"
_MIN_SD = 1e-6  # a constant dimension becomes zero, not an explosion


class LoadedVideos(NamedTuple):
    """Videos with features, and those without.

    Attributes:
        videos: In the order of the data set.
        left_out: Video to the reason why it cannot be used.
        notes: What was mended, counted.
    """

    videos: list[VideoFeatures]
    left_out: dict[str, str]
    notes: list[str]


class TrainingWindow(NamedTuple):
    """A window of one of several videos.

    Attributes:
        video: Number of the video in the list.
        window: Its span of frames.
    """

    video: int
    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Mean and standard deviation of every dimension, by modality; modalities that are left as they are have none.

    Args:
        mean: Shape (dim,).
        sd: Shape (dim,), with n - 1, above 0.
    """

    mean: Mapping[str, Float[np.ndarray, " _"]] = field(default_factory=dict)
    sd: Mapping[str, Float[np.ndarray, " _"]] = field(default_factory=dict)

    def apply(
        self, modality: str, values: Float[np.ndarray, "frames dim"], is_valid: np.ndarray
    ) -> Float[np.ndarray, "frames dim"]:
        """Return float32 features with mean 0 and deviation 1; zeros where not valid."""
        values = np.asarray(values, dtype=np.float32)
        if modality in self.mean:
            values = (values - self.mean[modality]) / self.sd[modality]
        return np.where(is_valid[:, None], values, np.float32(0.0))


def load_videos(
    store: FeatureStore, sets: Mapping[str, str], dataset: Dataset, videos: Sequence[Video], *, flipped: bool = False
) -> LoadedVideos:
    """Return the videos that have features in every set; the others with the reason.

    Args:
        store: Where features lie.
        sets: Modality to the name of its set, the leading modality first.
        dataset: Where labels come from.
        videos: Of that data set.
        flipped: Also the features of flipped pictures, where a set has them.

    Raises:
        DamagedFeaturesError: Features are damaged, or hold NaN or infinity; names set and video.
        DataError: There is no such set.
        ConfigError: A set is of another modality.
    """
    for modality, name in sets.items():
        there = store.info(name).modality
        if modality not in MODALITIES or there != modality:
            raise ConfigError(
                f"The feature set {name!r} is {there}, but the recipe takes it as {modality}.",
                remedy=f"Name it under features.{there}.",
            )
    loaded: list[VideoFeatures] = []
    left_out: dict[str, str] = {}
    n_mended = 0
    for video in videos:
        try:
            one = load_video(store, sets, dataset, video, flipped=flipped)
        except DamagedFeaturesError:
            raise
        except BahError as error:
            left_out[video.video_id] = error.problem
            continue
        loaded.append(one.video)
        n_mended += one.n_labels not in (None, one.video.n_frames)
    notes = [f"{n_mended} videos have another number of frame labels than frames"] if n_mended else []
    return LoadedVideos(loaded, left_out, notes)


def training_videos(dataset: Dataset, splits: Sequence[str]) -> list[Video]:
    """Return the videos of some splits; all where the data set has none.

    Raises:
        DataError: It has others.
    """
    if not dataset.splits:
        return list(dataset.videos())
    missing = [split for split in splits if split not in dataset.splits]
    if missing:
        raise DataError(
            f"{dataset.name} has no split {missing[0]!r} to train on (there are: {', '.join(dataset.splits)}).",
            remedy="Name those to train on with --set 'train_splits=[\"...\"]'.",
        )
    return [video for split in splits for video in dataset.videos(split)]


def validation_videos(dataset: Dataset, splits: Sequence[str]) -> list[Video]:
    """Return the videos of those splits that the data set has."""
    return [video for split in splits if split in dataset.splits for video in dataset.videos(split)]


class _Mapped(Mapping[str, np.ndarray]):
    """Features of a video by modality, mapped anew at every look, so that no open file and no page stays behind.

    A data set has more arrays than many systems let a process have open files, and pages that are mapped count as
    memory of the process for as long as they are.
    """

    def __init__(self, store: FeatureStore, sets: Mapping[str, str], video_id: str, *, flipped: bool = False) -> None:
        self._store, self._sets, self._video_id, self._flipped = store, dict(sets), video_id, flipped

    def __getitem__(self, modality: str) -> np.ndarray:
        return self._store.read(self._sets[modality], self._video_id, flipped=self._flipped).values

    def __contains__(self, modality: object) -> bool:
        return modality in self._sets

    def __iter__(self) -> Iterator[str]:
        return iter(self._sets)

    def __len__(self) -> int:
        return len(self._sets)


class _Loaded(NamedTuple):
    video: VideoFeatures
    n_labels: int | None


def load_video(
    store: FeatureStore, sets: Mapping[str, str], dataset: Dataset, video: Video, *, flipped: bool = False
) -> _Loaded:
    """Return one video, and how many frame labels it had; labels beyond its frames are cut, missing ones unlabelled.

    Raises:
        DataError: A set has no features of it, they are damaged, or their lengths differ.
    """
    stored = {modality: store.read(name, video.video_id) for modality, name in sets.items()}
    lengths = {modality: found.n_frames for modality, found in stored.items()}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{modality} {n}" for modality, n in lengths.items())
        raise DataError(
            f"{video.video_id} has features of different lengths ({listing} frames).",
            remedy="Run `bah-mllm features` again for all its sets.",
        )
    first = next(iter(stored.values()))
    turned = {modality: name for modality, name in sets.items() if flipped and store.info(name).has_flipped}
    for name in turned.values():
        store.read(name, video.video_id, flipped=True)  # a damaged file is told now
    labels = dataset.frame_labels(video, n_frames=first.n_frames, clock=_clock(dataset, video, first.fps))
    return _Loaded(
        VideoFeatures(
            video_id=video.video_id,
            participant_id=video.participant_id,
            question=video.question,
            split=video.split,
            n_frames=first.n_frames,
            features=_Mapped(store, sets, video.video_id),
            is_valid={modality: found.is_valid for modality, found in stored.items()},
            frame_labels=None if labels is None else _fitted_to(labels, first.n_frames),
            label=video.label,
            flipped=_Mapped(store, turned, video.video_id, flipped=True),
        ),
        None if labels is None else len(labels),
    )


def _clock(dataset: Dataset, video: Video, fps: float | None) -> FrameClock | None:
    """Return when each frame is shown: by the file where segments are in seconds, else evenly at the features' rate."""
    in_seconds = any(segment.start_frame is None for segment in dataset.segments(video) or ())
    if in_seconds and video.path is not None:
        try:
            return probe(video.path).clock
        except MediaError:  # gone or broken since its features were made
            say(f"note: {video.video_id} cannot be read: its segments meet frames by the average rate")
    return FrameClock(fps) if fps else None


def _fitted_to(labels: Int8[np.ndarray, " labels"], n_frames: int) -> Int8[np.ndarray, " frames"]:
    fitted = np.full(n_frames, -1, dtype=np.int8)
    n = min(n_frames, len(labels))
    fitted[:n] = labels[:n]
    return fitted


def fit_standard(videos: Sequence[VideoFeatures], modalities: Sequence[str]) -> Standard:
    """Return mean and standard deviation over the valid frames of videos, in one pass that holds one video at a time.

    Differs from the published code, which takes the validation videos in as well.

    Raises:
        DataError: A modality has fewer than two valid frames.
    """
    mean, sd = {}, {}
    for modality in modalities:
        n, total, squares = 0, 0.0, 0.0
        for video in videos:
            values = np.asarray(video.features[modality], dtype=np.float64)[video.is_valid[modality]]
            n, total, squares = n + len(values), total + values.sum(axis=0), squares + (values**2).sum(axis=0)
        if n < 2:
            raise DataError(
                f"No video has valid {modality} features to standardise.",
                remedy="Check what `bah-mllm features` said about them.",
            )
        centre = np.asarray(total) / n
        variance = np.maximum(0.0, (np.asarray(squares) - n * centre**2) / (n - 1))
        mean[modality] = centre.astype(np.float32)
        sd[modality] = np.maximum(np.sqrt(variance), _MIN_SD).astype(np.float32)
    return Standard(mean, sd)


def training_windows(n_frames: int, *, window_frames: int | None, hop_frames: int | None = None) -> list[Window]:
    """Return windows that start every hop, and one that ends with the video where a rest would be left.

    A video shorter than the window is one short window. Unlike those of inference, all others are full.

    References:
        The published code's windows of training, but for its padding: there the last frame is repeated and trained on.

    >>> [(w.start, w.stop) for w in training_windows(10, window_frames=4, hop_frames=3)]
    [(0, 4), (3, 7), (6, 10)]
    >>> [(w.start, w.stop) for w in training_windows(9, window_frames=4)]
    [(0, 4), (4, 8), (5, 9)]
    """
    if window_frames is None or n_frames <= window_frames:
        return [Window(0, n_frames)]
    starts = list(range(0, n_frames - window_frames + 1, hop_frames or window_frames))
    if starts[-1] + window_frames < n_frames:
        starts.append(n_frames - window_frames)
    return [Window(start, start + window_frames) for start in starts]


def make_batch(
    videos: Sequence[VideoFeatures],
    windows: Sequence[TrainingWindow],
    *,
    index: Sequence[int],
    standard: Standard,
    labels: Sequence[Int8[np.ndarray, " _"]] | None = None,
    flipped: Sequence[bool] | None = None,
    n_frames: int | None = None,
    repeats_last: bool = False,
) -> Batch:
    """Return windows as one batch, padded with zeros to the longest.

    Args:
        videos: What the windows are of.
        windows: In order of the batch; at least one.
        index: Number of each window, kept in the batch.
        standard: How features are standardised.
        labels: Labels of the frames of each window where they are not the videos' own; -1 counts in no loss.
        flipped: Take the features of flipped pictures.
        n_frames: Length to pad to, for models that take one length only; no window is longer.
        repeats_last: Pad with the last frame of a window instead of zeros, as the published code does.
    """
    n_frames = n_frames or max(len(window) for _, window in windows)
    features: dict[str, torch.Tensor] = {}
    for modality in videos[windows[0].video].features:
        rows = []
        for row, (number, window) in enumerate(windows):
            video, span = videos[number], slice(window.start, window.stop)
            is_turned = flipped is not None and flipped[row] and modality in video.flipped
            values = (video.flipped if is_turned else video.features)[modality]
            rows.append(standard.apply(modality, values[span], video.is_valid[modality][span]))
        stacked = np.zeros((len(windows), n_frames, rows[0].shape[1]), dtype=np.float32)
        for row, values in enumerate(rows):
            stacked[row, : len(values)] = values
            if repeats_last:
                stacked[row, len(values) :] = values[-1]
        features[modality] = torch.from_numpy(stacked)
    is_real = torch.zeros(len(windows), n_frames, dtype=torch.bool)
    targets = torch.full((len(windows), n_frames), IGNORED, dtype=torch.int64)
    for row, (number, window) in enumerate(windows):
        is_real[row, : len(window)] = True
        own = videos[number].frame_labels if labels is None else None
        known = labels[row] if labels is not None else (None if own is None else own[window.start : window.stop])
        if known is not None:
            values = torch.from_numpy(known.astype(np.int64))
            targets[row, : len(window)] = torch.where(values < 0, IGNORED, values)
    return Batch(features, is_real, targets, torch.tensor(list(index), dtype=torch.int64))


def save_standard(folder: Path, standard: Standard) -> None:
    """Write means and deviations beside a model."""
    from safetensors.numpy import save

    tensors = {f"{modality}.mean": values for modality, values in standard.mean.items()}
    tensors |= {f"{modality}.sd": values for modality, values in standard.sd.items()}
    write_atomically(folder / _STANDARD, save(tensors))


def load_standard(folder: Path) -> Standard:
    """Return how the features of a trained seed are standardised.

    Raises:
        RunError: The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    damaged: tuple[type[Exception], ...] = (SafetensorError, *DAMAGED_ARRAYS)
    remedy = "Run the same `bah-mllm train` command again: it writes it anew."
    refusal = Refusal(RunError, f"{folder / _STANDARD} is missing or damaged", remedy)
    try:
        tensors = load_file(folder / _STANDARD)
        mean, sd = (
            {name.removesuffix(end): values for name, values in tensors.items() if name.endswith(end)}
            for end in (".mean", ".sd")
        )
        is_sound = len(mean) + len(sd) == len(tensors) and mean.keys() == sd.keys()
        is_sound &= all(values.shape == mean[name].shape and bool((values > 0).all()) for name, values in sd.items())
        is_sound &= all(bool(np.isfinite(values).all()) for values in tensors.values())
    except damaged as error:
        raise refusal.of(type(error).__name__) from None
    if not is_sound:
        raise refusal.of("it holds other values than means and deviations")
    return Standard(mean, sd)
