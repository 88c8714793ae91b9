"""The source model: trained here on frames, or brought as a checkpoint of any model over features.

A checkpoint of frames (``mlp``) is adapted itself. Any other model is kept as it is and gives an embedding of every
frame, on which a frame model is trained and then adapted.

::

    SOURCE/source.json            feature sets, share of A/H in the source, where it comes from; written last
           model.safetensors ...  the frame model
           standard.safetensors   mean and deviation of what it takes
           encoder/               the model whose embeddings it takes, with its own standard.safetensors
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch.nn import functional

from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.core.files import digest_file, write_atomically
from bah_mllm.core.records import Video
from bah_mllm.core.saying import say
from bah_mllm.core.timeline import plan_windows
from bah_mllm.dataset import Dataset
from supervised.adaptation.domains import Domain
from supervised.adaptation.recipe import AdaptationRecipe, SourceTraining
from supervised.adaptation.with_source import Labelled
from supervised.features.store import FeatureStore
from supervised.models import FeatureModel, build_model, load_feature_model, save_model
from supervised.models.mlp import Mlp
from supervised.records import VideoFeatures
from supervised.training.data import (
    LoadedVideos,
    Standard,
    TrainingWindow,
    fit_standard,
    load_standard,
    load_videos,
    make_batch,
    save_standard,
)
from supervised.training.loop import fit

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int8, Int64

__all__ = [
    "FrameTable",
    "Representation",
    "SourceModel",
    "load_source",
    "make_source",
    "read_frames",
    "source_digest",
    "source_features",
]

_ABOUT = "source.json"
_USUAL_FPS = 24.0  # of BAH's videos, where a file does not tell


class _About(BaseModel):
    """``source.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: dict[str, str]
    share_positive: float | None = None
    origin: Literal["trained", "checkpoint", "embedding"]
    window_frames: int | None = None
    hop_frames: int | None = None


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
        return loaded._replace(videos=[_encoded(self.encoder, video, self) for video in loaded.videos])

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


@dataclass(frozen=True, slots=True, eq=False)
class SourceModel:
    """A source model.

    Args:
        model: Of single frames.
        representation: What it takes.
        share_positive: Share of A/H among the source's frames; None where unknown.
    """

    model: Mlp
    representation: Representation
    share_positive: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable:
    """Labelled frames of some videos, and where they are from.

    Args:
        domain: The frames, in order of videos and time.
        video_ids: Of the domain's video numbers.
        participant_ids: Of the domain's subject numbers.
        frame: Number of each row in its video.
        is_valid: Whether any modality says something of the frame.
    """

    domain: Domain
    video_ids: tuple[str, ...]
    participant_ids: tuple[str, ...]
    frame: Int64[np.ndarray, " n"]
    is_valid: Bool[np.ndarray, " n"]


def read_frames(
    videos: Sequence[VideoFeatures],
    standard: Standard,
    fps: Mapping[str, float | None],
    *,
    is_valid_only: bool = False,
) -> FrameTable:
    """Return the labelled frames of videos as rows, modalities side by side, in the precision of the store.

    Args:
        videos: With features; mirrored twins are kept where every video has one.
        standard: How features are standardised.
        fps: Frames a second by video; 24 where unknown.
        is_valid_only: Leave frames out of which no modality says anything.
    """
    people = {one: number for number, one in enumerate(dict.fromkeys(video.participant_id for video in videos))}
    labels = [_labels(video) for video in videos]
    valid = [np.any(list(video.is_valid.values()), axis=0) for video in videos]
    rows = [np.flatnonzero((y >= 0) & (ok | (not is_valid_only))) for y, ok in zip(labels, valid, strict=True)]
    of_video = np.repeat(np.arange(len(videos)), [len(one) for one in rows])
    frame = np.concatenate([np.zeros(0, np.int64), *rows])
    rates = np.array([fps.get(video.video_id) or _USUAL_FPS for video in videos])
    subject = np.array([people[video.participant_id] for video in videos], np.int64)
    has_flipped = bool(videos) and all(video.flipped for video in videos)
    domain = Domain(
        torch.from_numpy(_stacked(videos, rows, standard, flipped=False)),
        torch.from_numpy(_at(labels, rows).astype(np.int64)),
        torch.from_numpy(subject[of_video]),
        torch.from_numpy(of_video),
        torch.from_numpy(frame / rates[of_video]),
        torch.from_numpy(_stacked(videos, rows, standard, flipped=True)) if has_flipped else None,
    )
    ids = tuple(video.video_id for video in videos)
    return FrameTable(domain, ids, tuple(people), frame, _at(valid, rows).astype(bool))


def _labels(video: VideoFeatures) -> Int8[np.ndarray, " frames"]:
    return np.full(video.n_frames, -1, np.int8) if video.frame_labels is None else video.frame_labels


def _at(values: Sequence[np.ndarray], rows: Sequence[Int64[np.ndarray, " rows"]]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int8), *(one[places] for one, places in zip(values, rows, strict=True))])


def _stacked(
    videos: Sequence[VideoFeatures], rows: Sequence[Int64[np.ndarray, " rows"]], standard: Standard, *, flipped: bool
) -> Float[np.ndarray, "n dim"]:
    """Return the chosen rows of all videos; filled video by video, so that they are held once only."""
    if not videos:
        return np.zeros((0, 1), np.float32)
    kind = np.result_type(*(values.dtype for video in videos for values in video.features.values()))
    n_columns = sum(values.shape[1] for values in videos[0].features.values())
    stacked: np.ndarray = np.empty((sum(len(one) for one in rows), n_columns), kind)
    start = 0
    for video, of_video in zip(videos, rows, strict=True):
        stacked[start : start + len(of_video)] = _side_by_side(video, standard, of_video, flipped=flipped)
        start += len(of_video)
    return stacked


def _side_by_side(
    video: VideoFeatures, standard: Standard, rows: Int64[np.ndarray, " rows"], *, flipped: bool
) -> Float[np.ndarray, "rows dim"]:
    chosen = {**video.features, **video.flipped} if flipped else video.features
    columns = [standard.apply(name, values[rows], video.is_valid[name][rows]) for name, values in chosen.items()]
    return np.concatenate(columns, axis=1)


def _encoded(encoder: FeatureModel, video: VideoFeatures, how: Representation) -> VideoFeatures:
    """Return a video whose one feature, under the leading modality's name, is the encoder's embedding."""
    lead = next(iter(video.features))
    flipped = {lead: _embedding(encoder, video, how, flipped=True)} if video.flipped else {}
    is_valid = np.any(list(video.is_valid.values()), axis=0)
    embedding = _embedding(encoder, video, how, flipped=False)
    return replace(video, features={lead: embedding}, is_valid={lead: is_valid}, flipped=flipped)


def _embedding(
    encoder: FeatureModel, video: VideoFeatures, how: Representation, *, flipped: bool
) -> Float[np.ndarray, "frames width"]:
    """Return the embedding of every frame, overlapping windows averaged."""
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


def make_source(
    recipe: AdaptationRecipe,
    *,
    dataset: Dataset,
    store: FeatureStore,
    checkpoint: Path | None,
    folder: Path,
    seed: int,
) -> SourceModel:
    """Make the source model in a folder, go on where an earlier start ended, and return it.

    Args:
        recipe: Features and training, where no checkpoint says otherwise.
        dataset: With the source's videos.
        store: Their features.
        checkpoint: Folder of ``bah-mllm train`` (or of one of its seeds), or a folder that this function made.
        folder: Where it is kept.
        seed: Of initial weights and batches.

    Raises:
        BahError: There is no such checkpoint, or the source's videos have no features or not both classes.
    """
    if (folder / _ABOUT).exists():
        return load_source(folder)
    if checkpoint is not None and (checkpoint / _ABOUT).exists():
        return _keep(folder, load_source(checkpoint), "checkpoint")
    model, how = (None, Representation(dict(recipe.features))) if checkpoint is None else _read_trained(checkpoint)
    videos = [video for split in recipe.source_splits if split in dataset.splits for video in dataset.videos(split)]
    if model is not None:
        loaded = load_videos(store, how.features, dataset, videos).videos
        return _keep(folder, SourceModel(model, how, _share_positive(loaded)), "checkpoint")
    loaded = how.load(store, dataset, videos).videos
    if not loaded:
        raise DataError(
            f"No video of the source (splits {', '.join(recipe.source_splits)}) has the features "
            f"{', '.join(how.features.values())}.",
            remedy="Run `bah-mllm features` on the data set, or give a trained model with --source.",
        )
    if recipe.standardise:
        how = replace(how, standard=fit_standard(loaded, list(loaded[0].features)))
    table = read_frames(loaded, how.standard, {}, is_valid_only=True)
    trained = _train(recipe.source_training, table, next(iter(how.features)), folder, seed)
    return _keep(
        folder, SourceModel(trained, how, _share_positive(loaded)), "trained" if checkpoint is None else "embedding"
    )


def _train(settings: SourceTraining, table: FrameTable, modality: str, folder: Path, seed: int) -> Mlp:
    domain = table.domain
    if len(domain.labels.unique()) < 2:
        raise DataError(
            "The labelled frames of the source are not of both classes.", remedy="Give a training split with both."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(
            "mlp",
            {modality: domain.features.shape[1]},
            hidden=settings.hidden,
            bottleneck=settings.bottleneck,
            batch_norm=settings.batch_norm,
        )
    strategy = Labelled(domain, settings, seed=seed)
    say(f"source: {len(domain):,} frames of {len(table.participant_ids)} participants")
    fit(model, strategy, settings.loop, folder=folder, seed=seed, quiet=True)
    return cast("Mlp", model)


def _share_positive(videos: Sequence[VideoFeatures]) -> float | None:
    """Return the share of A/H among labelled frames of which a modality says something; None without any."""
    labels = [_labels(video)[np.any(list(video.is_valid.values()), axis=0)] for video in videos]
    n_positive, n = (sum(int((one >= least).sum()) for one in labels) for least in (1, 0))
    return n_positive / n if n else None


def _keep(folder: Path, source: SourceModel, origin: Literal["trained", "checkpoint", "embedding"]) -> SourceModel:
    how = source.representation
    save_model(folder, source.model)
    save_standard(folder, how.standard)
    if how.encoder is not None:
        save_model(folder / "encoder", how.encoder)
        save_standard(folder / "encoder", how.encoder_standard)
    about = _About(
        features=how.features,
        share_positive=source.share_positive,
        origin=origin,
        window_frames=how.window_frames,
        hop_frames=how.hop_frames,
    )
    write_atomically(folder / _ABOUT, (about.model_dump_json(indent=1) + "\n").encode())
    return load_source(folder)


def load_source(folder: Path) -> SourceModel:
    """Return the source model that ``make_source`` kept in a folder.

    Raises:
        RunError: The folder holds none, or a damaged one.
    """
    try:
        about = _About.model_validate_json((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        raise RunError(
            f"{folder} holds no whole source model ({_ABOUT}).", remedy="Run `bah-mllm adapt` again with another --out."
        ) from None
    how = Representation(
        dict(about.features),
        load_standard(folder),
        window_frames=about.window_frames,
        hop_frames=about.hop_frames,
    )
    if (folder / "encoder").is_dir():
        encoder_standard = load_standard(folder / "encoder")
        how = replace(how, encoder=load_feature_model(folder / "encoder"), encoder_standard=encoder_standard)
    return SourceModel(cast("Mlp", load_feature_model(folder)), how, about.share_positive)


def source_digest(checkpoint: Path) -> str:
    """Return a digest of a checkpoint's weights: SHA-256, 64 hexadecimal digits.

    Raises:
        RunError: There is no checkpoint.
    """
    folder = checkpoint if (checkpoint / _ABOUT).exists() else _seed_folder(checkpoint)
    weights = sorted(folder.glob("model.safetensors"))
    if not weights:
        raise RunError(
            f"{checkpoint} holds no trained model over features.",
            remedy="Give the folder that `bah-mllm train --out` named, or one of its seeds.",
        )
    return digest_file(weights[0])


def source_features(checkpoint: Path) -> dict[str, str]:
    """Return the feature sets that a checkpoint takes, by modality.

    Raises:
        BahError: There is no checkpoint of a model over features.
    """
    how = load_source(checkpoint).representation if (checkpoint / _ABOUT).exists() else _read_trained(checkpoint)[1]
    return how.features


def _seed_folder(checkpoint: Path) -> Path:
    """Return the folder of a seed: the one given, or the lowest of a training's."""
    seeds = sorted(checkpoint.glob("seed-*"), key=lambda path: (len(path.name), path.name))
    return seeds[0] if seeds else checkpoint


def _read_trained(checkpoint: Path) -> tuple[Mlp | None, Representation]:
    """Return what ``bah-mllm train`` left: a frame model as it is; any other one as an encoder, and no frame model."""
    folder = _seed_folder(checkpoint)
    record = _record(folder.parent if (folder.parent / "train.json").exists() else folder)
    recipe = record.get("recipe", {})
    if recipe.get("kind") != "fusion":
        raise ConfigError(
            f"{checkpoint} holds a {recipe.get('kind', 'foreign')} model, not one over features of frames.",
            remedy="Give the folder of a recipe of the kind fusion (tcn_visual, lfan ...).",
        )
    model = load_feature_model(folder)
    standard, features = load_standard(folder), dict(recipe["features"])
    if isinstance(model, Mlp):
        return model, Representation(features, standard)
    model.requires_grad_(requires_grad=False)
    windows = recipe.get("prediction", {})
    spans = (windows.get("window_frames"), windows.get("hop_frames"))
    return None, Representation(features, Standard(), model, standard, *spans)


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunError(
            f"{folder} holds nothing trained: there is no readable train.json.",
            remedy="Give the folder that `bah-mllm train --out` named.",
        ) from None
    return record
