"""The main flow of training: a recipe and a data set to trained models on disk, one a seed.

Read ``train`` and ``train_fusion`` from top to bottom. Windows and batches: ``supervised.training.data``; steps and
checkpoints: ``supervised.training.loop``; rows of a trained model: ``supervised.flows.predict``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.core.files import LOCK_NAME, hold_folder, write_atomically
from bah_mllm.core.loading import load_named
from bah_mllm.core.records import Video
from bah_mllm.core.saying import say
from bah_mllm.cues.store import digest_cues
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation.metrics import point_metrics
from bah_mllm.predictions.manifest import package_versions
from supervised.features.store import FeatureSet, FeatureStore
from supervised.models import build_model, load_feature_model, save_model
from supervised.reading import FusionRecipe
from supervised.training.cross_entropy import Classification
from supervised.training.data import LoadedVideos, Standard, fit_standard, load_videos, save_standard
from supervised.training.loop import Shard, fit, processes
from supervised.training.predicting import VALIDATION_METRICS, frame_probabilities, video_probability

__all__ = [
    "RECORD",
    "TrainRequest",
    "adopt",
    "model_options",
    "read_record",
    "seed_folder",
    "train",
    "train_fusion",
]

RECORD = "train.json"

# kind of recipe -> function of (recipe, request, dataset, folder, seed) that trains into the folder and returns
# validation metrics
TRAINERS = {
    "fusion": "supervised.flows.train:train_fusion",
    "light": "supervised.light:train_for_seed",
    "backbone": "supervised.faces:train_for_seed",
}


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the user asks for besides the recipe.

    Args:
        data: Root of a data set; None is the demo set.
        out: Folder for everything that is trained.
        features: Folder that ``bah-mllm features`` wrote.
        cues: Folder that ``bah-mllm cues extract`` wrote, for recipes that take cues.
        seeds: At least one.
    """

    data: str | None
    out: Path
    features: Path
    cues: Path | None = None
    seeds: Sequence[int] = (0,)


def seed_folder(out: Path, seed: int) -> Path:
    """Return where the model of a seed lies."""
    return out / f"seed-{seed}"


def train(recipe: BaseModel, request: TrainRequest) -> dict[str, Any]:
    """Train a recipe with every seed, go on where an earlier start ended, and return the record of it all.

    Raises:
        BahError: Data, features and recipe do not go together, or the folder holds something else.
    """
    kind = getattr(recipe, "kind", "")
    if kind not in TRAINERS:
        raise ConfigError(
            f"The recipe is one of {kind}, not of training.", remedy="Use `bah-mllm adapt`, or choose another --recipe."
        )
    dataset = None if getattr(recipe, "has_own_data", False) else dataset_and_split(request.data, None)[0]
    is_first = _shard(recipe).rank == 0
    trainer = load_named(TRAINERS, kind, kind="trainer")
    if is_first and dataset is not None and dataset.is_synthetic:
        say("demo set (synthetic): what is trained here shows that everything works, and nothing about A/H.")
    record = _record(recipe, request, dataset)
    request.out.mkdir(parents=True, exist_ok=True)
    with hold_folder(request.out, doing="training into") if is_first else nullcontext():
        if is_first:
            record |= _earlier(request.out, record)
            _write(request.out, record)
        for seed in request.seeds:
            folder = seed_folder(request.out, seed)
            if is_first:
                say(f"{record['recipe']['name']}, seed {seed} -> {folder}")
            found = trainer(recipe, request, dataset, folder, seed)
            record["validation"][str(seed)] = {name: value for name, value in found.items() if math.isfinite(value)}
            record["summary"] = _summary(record["validation"])
            if is_first:
                _write(request.out, record)
    if is_first:
        _tell(record)
    return record


def read_record(trained: Path) -> dict[str, Any]:
    """Return what ``train`` wrote about a folder.

    Raises:
        RunError: It wrote nothing there, or the file is damaged.
    """
    try:
        record: dict[str, Any] = json.loads((trained / RECORD).read_text(encoding="utf-8"))
        is_whole = {"recipe", "data", "features", "seeds", "validation"} <= record.keys()
    except FileNotFoundError:
        raise RunError(
            f"{trained} holds nothing trained: there is no {RECORD}.",
            remedy="Give the folder that `bah-mllm train --out` named.",
        ) from None
    except (ValueError, AttributeError):
        is_whole = False
    if not is_whole:
        raise RunError(f"{trained / RECORD} is damaged.", remedy="Restore it, or train again into another folder.")
    return record


def train_fusion(
    recipe: FusionRecipe, request: TrainRequest, dataset: Dataset, folder: Path, seed: int
) -> dict[str, float]:
    """Train a model over features, and return its metrics on the validation split, if there is one."""
    store = FeatureStore(request.features)
    training = _load(store, recipe, dataset, _videos(dataset, recipe.train_splits))
    validation = _load(store, recipe, dataset, _validation_videos(dataset, recipe))
    if not training.videos and not training.left_out:
        raise DataError(
            f"{dataset.name} has no video to train on in {', '.join(recipe.train_splits)}.",
            remedy="Name splits with videos with --set 'train_splits=[\"...\"]'.",
        )
    if not training.videos:
        raise ConfigError(
            f"None of the {len(training.left_out)} training videos has the features "
            f"{', '.join(recipe.features.values())}.",
            remedy="Run `bah-mllm features` first; it says what is missing.",
        )
    standard = fit_standard(training.videos, recipe.standardise)
    dims: dict[str, int] = {modality: store.info(name).dim for modality, name in recipe.features.items()}
    torch.manual_seed(seed)
    model = build_model(recipe.model.name, dims, variant=recipe.model.variant, **model_options(recipe))
    strategy = Classification(
        training.videos,
        recipe.data,
        seed=seed,
        standard=standard,
        device=processes(recipe.loop.device).device,
        shard=_shard(recipe),
        n_frames=model.window_frames,
    )

    def validate(model: nn.Module) -> Mapping[str, float | None]:
        return {f"val_{name}": value for name, value in _judge(model, recipe, standard, validation).items()}

    fitted = fit(
        model,
        strategy,
        recipe.loop,
        folder=folder,
        seed=seed,
        validate=validate if validation.videos else None,
    )
    if _shard(recipe).rank == 0:
        save_standard(folder, standard)
        save_model(folder, model)
    selected = fitted.history[fitted.selected_epoch]
    return {name: value for name, value in selected.items() if name.startswith("val_") or name == "epoch"}


def model_options(recipe: FusionRecipe) -> dict[str, Any]:
    """Return the options of a recipe's model; the faithful LFAN takes the recipe's window, and no other."""
    is_fixed = recipe.model.name == "lfan" and recipe.model.variant == "faithful"
    if not is_fixed:
        return recipe.model.options
    window_frames = recipe.data.window_frames
    if window_frames is None or recipe.data.supervision == "video":
        raise ConfigError(
            "The faithful lfan takes windows of one length only, but the recipe takes whole videos.",
            remedy="Set data.window_frames and data.supervision=frame, or model.variant=corrected.",
        )
    if window_frames != recipe.model.options.get("window_frames", window_frames):
        raise ConfigError(
            f"The recipe has windows of {window_frames} frames, but its model takes "
            f"{recipe.model.options['window_frames']}.",
            remedy="Leave model.options.window_frames out: it follows data.window_frames.",
        )
    return {"window_frames": window_frames, **recipe.model.options}


def _judge(
    model: nn.Module, recipe: FusionRecipe, standard: Standard, validation: LoadedVideos
) -> dict[str, float | None]:
    if recipe.data.supervision == "video":
        labelled = [video for video in validation.videos if video.label is not None]
        of_videos = [video.label for video in labelled if video.label is not None]
        p_videos = [video_probability(model, video, standard=standard) for video in labelled]
        return point_metrics(of_videos, p_videos, names=VALIDATION_METRICS)
    labelled = [video for video in validation.videos if video.frame_labels is not None]
    p = [frame_probabilities(model, video, standard=standard, **recipe.prediction.model_dump()) for video in labelled]
    of_frames = [video.frame_labels for video in labelled if video.frame_labels is not None]
    labels, scores = np.concatenate([*of_frames, np.zeros(0, np.int8)]), np.concatenate([*p, np.zeros(0)])
    return point_metrics(labels[labels >= 0], scores[labels >= 0], names=VALIDATION_METRICS)


def adopt(model_folder: Path, recipe: BaseModel, request: TrainRequest) -> None:
    """Lay a model that was trained elsewhere out as one trained here, so that ``bah-mllm predict`` takes it.

    Args:
        model_folder: As ``save_model`` writes it; stays as it is.
        recipe: Feature sets, standardisation and windows to predict with; its model must be the folder's.
        request: Data set and features, whose training and validation videos give means and deviations, as in the
            published code; ``out`` and one seed, under which the model then stands.

    Raises:
        ConfigError: The recipe is of another model, or feature widths differ.
        RunError: Something was trained into ``out``.
    """
    if not isinstance(recipe, FusionRecipe):
        raise ConfigError("Only models over features can be predicted with.", remedy="Leave --features out.")
    if (request.out / RECORD).exists() and not read_record(request.out).get("is_imported"):
        raise RunError(f"A model was trained into {request.out}.", remedy="Name another --out.")
    dataset, _ = dataset_and_split(request.data, None)
    store, model = FeatureStore(request.features), load_feature_model(model_folder)
    recipe = recipe.restricted_to(model.modalities)
    dims = {modality: store.info(name).dim for modality, name in recipe.features.items()}
    wanted = (recipe.model.name, recipe.model.variant, dims)
    there = (model.spec.name, model.spec.variant, dict(model.spec.dims))
    if wanted != there:
        raise ConfigError(
            f"The weights are of {there[0]} ({there[1]}, {there[2]}), but the recipe is of {wanted[0]} ({wanted[1]}, "
            f"{wanted[2]}).",
            remedy="Give the recipe of that model with --set model.variant=..., and features of its widths.",
        )
    videos = [*_videos(dataset, recipe.train_splits), *_validation_videos(dataset, recipe)]
    standard = fit_standard(_load(store, recipe, dataset, videos).videos, recipe.standardise)
    record = _record(recipe, request, dataset) | {"is_imported": True}
    record["validation"] = {str(request.seeds[0]): {}}
    folder = seed_folder(request.out, request.seeds[0])
    save_model(folder, model)
    save_standard(folder, standard)
    _write(request.out, record)


def _videos(dataset: Dataset, splits: Sequence[str]) -> list[Video]:
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


def _validation_videos(dataset: Dataset, recipe: FusionRecipe) -> list[Video]:
    return list(dataset.videos(recipe.val_split)) if recipe.val_split in dataset.splits else []


def _load(store: FeatureStore, recipe: FusionRecipe, dataset: Dataset, videos: Sequence[Video]) -> LoadedVideos:
    loaded = load_videos(store, recipe.features, dataset, videos, flipped=recipe.data.flip)
    if _shard(recipe).rank > 0:
        return loaded
    for video_id, reason in list(loaded.left_out.items())[:5]:
        say(f"note: {video_id} is left out: {reason}")
    if len(loaded.left_out) > 5:
        say(f"note: {len(loaded.left_out) - 5} more videos are left out")
    for note in loaded.notes:
        say(f"note: {note}")
    return loaded


def _shard(recipe: BaseModel) -> Shard:
    """Return the part of this process on the device that the recipe asks for."""
    return Shard.current(getattr(getattr(recipe, "loop", None), "device", "auto"))


def _record(recipe: BaseModel, request: TrainRequest, dataset: Dataset | None) -> dict[str, Any]:
    """Return what a stranger needs to train the same again."""
    videos = () if dataset is None else dataset.videos()
    return {
        "recipe": recipe.model_dump(mode="json"),
        "data": {
            "path": request.data,
            "name": None if dataset is None else dataset.name,  # None: the folders that the recipe names
            "edition": None if dataset is None else dataset.edition,
            "is_synthetic": dataset is not None and dataset.is_synthetic,
            "videos": _digest_videos(videos, with_words=getattr(recipe, "kind", "") == "light"),
        },
        "features": {"path": str(request.features), **_features(recipe, FeatureStore(request.features), dataset)},
        "cues": None if request.cues is None else str(request.cues),
        "cues_digest": request.cues and digest_cues(request.cues, [video.video_id for video in videos]),
        "seeds": sorted(request.seeds),
        "validation": {},
        "summary": {},
        "packages": package_versions(),
    }


def _digest_videos(videos: Sequence[Video], *, with_words: bool) -> str:
    """Return a digest of what is trained on besides features: labels, splits, and for light recipes words."""
    digest = hashlib.sha256()
    for video in videos:
        words = video.transcript.text if with_words and video.transcript is not None else None
        question = video.question if with_words else None
        digest.update(json.dumps([video.video_id, video.split, video.label, question, words]).encode())
    return digest.hexdigest()


def _features(recipe: BaseModel, store: FeatureStore, dataset: Dataset | None) -> dict[str, Any]:
    """Return the feature sets of a recipe, and a digest of what they hold of its training and validation videos."""
    if dataset is None or not isinstance(recipe, FusionRecipe):
        return {"sets": [], "content": None}
    videos = [*_videos(dataset, recipe.train_splits), *_validation_videos(dataset, recipe)]
    names = recipe.features.values()
    held = "\n".join(f"{name},{one.video_id},{store.digest(name, one.video_id)}" for name in names for one in videos)
    return {
        "sets": [store.info(name).model_dump() for name in names],
        "content": hashlib.sha256(held.encode()).hexdigest(),
    }


def _earlier(out: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return seeds and results with those of an earlier start; refuse a folder in which something else was trained."""
    path = out / RECORD
    if not path.exists():
        strangers = {one.name for one in out.iterdir()} - {LOCK_NAME}
        if strangers:
            raise RunError(
                f"The folder {out} holds files but no {RECORD} ({', '.join(sorted(strangers)[:3])}).",
                remedy="Name a new or empty folder with --out.",
            )
        return {}
    old = read_record(out)
    if not old["validation"] and not any(out.glob("seed-*/checkpoint.pt")):
        return {}  # an earlier start failed before it trained anything
    if old.get("is_imported"):
        raise RunError(f"{out} holds weights that were trained elsewhere.", remedy="Name another --out.")
    for what, before, now in (
        ("another recipe", _without_device(old["recipe"]), _without_device(record["recipe"])),
        ("another data set", old["data"]["videos"], record["data"]["videos"]),
        ("other feature sets", _completed(old["features"]["sets"]), record["features"]["sets"]),
        ("features of other content", old["features"].get("content"), record["features"]["content"]),
        ("other cues", old.get("cues_digest"), record["cues_digest"]),
    ):
        if before != now:
            raise RunError(
                f"{out} was trained with {what}{_first_difference(before, now)}.",
                remedy="Name another --out, or give the same settings to go on.",
            )
    return {
        "seeds": sorted({*old["seeds"], *record["seeds"]}),
        "validation": old["validation"],
        "summary": _summary(old["validation"]),
    }


def _completed(sets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [FeatureSet.model_validate(one).model_dump() for one in sets]  # those written at first lack a field


def _without_device(recipe: Mapping[str, Any]) -> dict[str, Any]:
    loop = {key: value for key, value in recipe.get("loop", {}).items() if key not in ("device", "tensorboard")}
    return {**recipe, "loop": loop}


def _first_difference(before: object, now: object) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ""
    for key in [*before, *(key for key in now if key not in before)]:
        if before.get(key) != now.get(key):
            inner = _first_difference(before.get(key), now.get(key))
            return f" ({key}{inner})" if inner else f" ({key} = {before.get(key)!r}, now {now.get(key)!r})"
    return ""


def _write(out: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    write_atomically(out / RECORD, text.encode())


def _summary(results: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return mean and standard deviation (n - 1; None for one seed) of every metric over the seeds."""
    names = dict.fromkeys(name for result in results.values() for name in result if name != "epoch")
    summary: dict[str, dict[str, float | None]] = {}
    for name in names:
        values = [result[name] for result in results.values() if name in result]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        summary[name] = {"mean": float(np.mean(values)), "sd": sd, "n": len(values)}
    return summary


def _tell(record: Mapping[str, Any]) -> None:
    figures = [
        f"{name} {one['mean']:.4f}" + (f" (sd {one['sd']:.4f})" if one["sd"] is not None else "")
        for name, one in record["summary"].items()
    ]
    if figures:
        say(f"{record['recipe']['name']}, {len(record['validation'])} seed(s): {', '.join(figures)}")
