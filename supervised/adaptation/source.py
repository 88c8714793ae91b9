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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.core.files import digest_file, write_atomically
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.core.records import Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset
from supervised.adaptation.frames import FrameTable, labels_of, read_frames
from supervised.adaptation.recipe import AdaptationRecipe, SourceTraining
from supervised.adaptation.representation import Representation
from supervised.adaptation.with_source import Labelled
from supervised.features.store import FeatureStore
from supervised.models import build_model, load_feature_model, save_model
from supervised.models.mlp import Mlp
from supervised.records import VideoFeatures
from supervised.training.data import Standard, fit_standard, load_standard, load_videos, save_standard
from supervised.training.loop import fit
from supervised.training.record import RECORD, read_record

__all__ = [
    "SourceModel",
    "load_source",
    "make_source",
    "source_digest",
    "source_features",
    "source_videos",
]

_ABOUT = "source.json"


class _About(BaseModel):
    """``source.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: dict[str, str]
    share_positive: float | None = None
    origin: Literal["trained", "checkpoint", "embedding"]
    window_frames: int | None = None
    hop_frames: int | None = None


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
        ConfigError: The checkpoint is no model over features of frames.
        DataError: The source's videos have no features, or not both classes; or a feature set is not there.
        PrerequisiteError: The checkpoint's model is missing or damaged.
        RunError: There is no such checkpoint, or the folder holds a damaged source model.
    """
    if (folder / _ABOUT).exists():
        return load_source(folder)
    if checkpoint is not None and (checkpoint / _ABOUT).exists():
        return _keep(folder, load_source(checkpoint), "checkpoint")
    model, how = (None, Representation(dict(recipe.features))) if checkpoint is None else _read_trained(checkpoint)
    videos = source_videos(recipe, dataset)
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
    labels = [labels_of(video)[np.any(list(video.is_valid.values()), axis=0)] for video in videos]
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
    about_path = folder / _ABOUT
    refusal = Refusal(RunError, f"The source model {about_path}", "Run `bah-mllm adapt` again with another --out.")
    about = read_json_as(about_path, _About, refusal)
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


def source_videos(recipe: AdaptationRecipe, dataset: Dataset) -> list[Video]:
    """Return the videos of the source, as far as the data set has the splits that the recipe names."""
    return [video for split in recipe.source_splits if split in dataset.splits for video in dataset.videos(split)]


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
        ConfigError: The checkpoint is no model over features of frames.
        PrerequisiteError: Its model is missing or damaged.
        RunError: There is no checkpoint.
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
    record = read_record(folder.parent if (folder.parent / RECORD).exists() else folder)
    if record.inputs is None:
        raise ConfigError(
            f"{checkpoint} holds a {record.kind} model, not one over features of frames.",
            remedy="Give the folder of a recipe of the kind fusion (tcn_visual, lfan ...).",
        )
    model = load_feature_model(folder)
    standard, (features, windows) = load_standard(folder), record.inputs
    if isinstance(model, Mlp):
        return model, Representation(features, standard)
    model.requires_grad_(requires_grad=False)
    return None, Representation(features, Standard(), model, standard, windows.window_frames, windows.hop_frames)
