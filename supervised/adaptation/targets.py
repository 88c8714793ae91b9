"""Adaptation to one participant: split, strategy, training, and the answers on the test frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from bah_mllm.evaluation.metrics import f1_positive
from supervised.adaptation.domains import Domain, score_rows
from supervised.adaptation.frames import FrameTable
from supervised.adaptation.protocol import TargetSplit, TargetSplitName, split_target
from supervised.adaptation.recipe import AdaptationRecipe
from supervised.adaptation.source import SourceModel
from supervised.adaptation.source_free import Nrc, Shot
from supervised.adaptation.with_source import Labelled, Mmd, SubjectBased, SubjectPairs
from supervised.models import FeatureModel, load_feature_model, save_model
from supervised.records import Strategy
from supervised.training.loop import NotFiniteError, fit

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

__all__ = ["Setting", "TargetFit", "TargetOutcome", "adapt_target", "needs_source_frames", "start_model"]

_SMALLEST_TRAINING = 2  # a single frame can be neither normalised nor compared


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFit:
    """What training on a target left besides the model.

    Args:
        selected_epoch: Epoch whose weights were judged; None where nothing was trained.
        log: What the strategy tells (refreshes of pseudo-labels).
        notes: What a reader should know: why nothing was trained, why the last epoch was taken ...
        problem: Why the method failed; None where it did not.
    """

    selected_epoch: int | None = None
    log: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TargetOutcome:
    """What became of one target.

    Args:
        participant_id: Whose frames.
        video_ids: Video of each test frame, shape (test,).
        frames: Number of each test frame in its video.
        labels: Of the test frames.
        p_source: What the source model says of them.
        p: What the adapted model says; None where the method failed.
        sizes: Frames with (``_ah``) and without (``_n``) A/H in each part, and ``left_out``.
        fitted: What training left.
    """

    participant_id: str
    video_ids: tuple[str, ...]
    frames: Int64[np.ndarray, " test"]
    labels: Int64[np.ndarray, " test"]
    p_source: Float[np.ndarray, " test"]
    p: Float[np.ndarray, " test"] | None
    sizes: dict[str, int]
    fitted: TargetFit


def needs_source_frames(method: str) -> bool:
    """Return whether a method trains on the source's frames while it adapts."""
    return method in ("mmd", "sub_based")


def start_model(
    recipe: AdaptationRecipe, source: SourceModel, frames: Domain | None, folder: Path, *, seed: int
) -> FeatureModel:
    """Return the model that every target starts from; of the subject-based method, trained once in a folder.

    Args:
        recipe: The method.
        source: The source model.
        frames: Of the source; needed for the subject-based method.
        folder: Where the subject-based method's own training on the source is kept.
        seed: Of its batches.
    """
    options = recipe.pairs_options()
    if options is None:
        return source.model
    assert frames is not None  # who asks has read them for this method
    if not (folder / "model.json").exists():
        model = deepcopy(source.model)
        strategy = SubjectPairs(frames, options, seed=seed)
        fit(model, strategy, options.loop, folder=folder, seed=seed, quiet=True)
        save_model(folder, model)
    return load_feature_model(folder)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Setting:
    """What all targets share.

    Args:
        recipe: The method.
        source: The source model, judged beside.
        source_frames: Frames of the source, where the method needs them.
        start: From ``start_model``; left as it is.
        target_split: ``frame``, ``segment`` or ``video``.
        seed: Of the split and of everything random.
    """

    recipe: AdaptationRecipe
    source: SourceModel
    source_frames: Domain | None
    start: FeatureModel
    target_split: TargetSplitName
    seed: int


def adapt_target(setting: Setting, target: FrameTable, *, participant_id: str, folder: Path) -> TargetOutcome:
    """Adapt to one participant and answer on their test frames; go on where an earlier start in the folder ended.

    Frames of which no modality says anything train nothing, but are tested. With fewer than two frames to train on,
    the starting model is judged as it is. A method whose loss is not finite fails for this target alone.

    Args:
        setting: Method and models.
        target: Labelled frames of the participant.
        participant_id: Whose.
        folder: For checkpoints and the adapted model.

    Raises:
        RunError: The folder's checkpoint is damaged.
    """
    labels = target.domain.labels.numpy()
    split = split_target(
        labels,
        target.domain.video.numpy(),
        target.domain.t_s.numpy(),
        kind=setting.target_split,
        seed=setting.seed,
        participant_id=participant_id,
    )
    train = target.domain.take(split.train[target.is_valid[split.train]])
    val, test = target.domain.take(split.val), target.domain.take(split.test)
    model, fitted = deepcopy(setting.start), TargetFit()
    if setting.recipe.method != "source_only":
        fitted = _fit(setting, model, train, val, folder)
    videos = target.domain.video.numpy()[split.test]
    return TargetOutcome(
        participant_id=participant_id,
        video_ids=tuple(target.video_ids[number] for number in videos),
        frames=target.frame[split.test],
        labels=labels[split.test],
        p_source=score_rows(setting.source.model, test),
        p=None if fitted.problem is not None else score_rows(model, test),
        sizes=_sizes(labels, split),
        fitted=fitted,
    )


def _fit(setting: Setting, model: FeatureModel, train: Domain, val: Domain, folder: Path) -> TargetFit:
    """Train a model on a target, in place."""
    if len(train) < _SMALLEST_TRAINING:
        return TargetFit(notes=[f"{len(train)} frames to train on: the starting model is judged as it is"])
    recipe = setting.recipe
    settings, notes = recipe.target_loop(), list[str]()
    assert settings is not None  # every method that trains has one
    strategy = _strategy(setting, train, n_epochs=settings.epochs)
    if settings.select != "last" and len(val.labels.unique()) < 2:
        settings = settings.model_copy(update={"select": "last", "patience_epochs": None})
        notes.append("the validation part has not both classes: the last epoch is taken")
    if recipe.method == "sub_based" and train.flipped is None:
        notes.append("the features have no mirrored twin: both views of a frame are the same")
    try:
        fitted = fit(model, strategy, settings, folder=folder, seed=setting.seed, validate=_validate(val), quiet=True)
    except NotFiniteError as error:  # a damaged checkpoint is no outcome of the method, and ends the run
        return TargetFit(notes=notes, problem=error.problem)
    save_model(folder, model)
    log = strategy.refreshes if isinstance(strategy, SubjectBased) else []
    return TargetFit(selected_epoch=fitted.selected_epoch, log=log, notes=notes)


def _validate(val: Domain) -> Callable[[nn.Module], Mapping[str, float | None]]:
    def metrics(model: nn.Module) -> Mapping[str, float | None]:
        return {"val_f1": f1_positive(val.labels.numpy(), score_rows(model, val) > 0.5) if len(val) else None}

    return metrics


def _strategy(setting: Setting, train: Domain, *, n_epochs: int) -> Strategy:
    method, seed, share = setting.recipe.method, setting.seed, setting.source.share_positive
    options: Any = setting.recipe.method_options()
    if method == "oracle":
        return Labelled(train, options, seed=seed)
    if method == "shot":
        return Shot(train, options, seed=seed, prior_positive=share)
    if method == "nrc":
        return Nrc(train, options, seed=seed, n_epochs=n_epochs, prior_positive=share)
    assert setting.source_frames is not None
    kind = SubjectBased if method == "sub_based" else Mmd
    return kind(setting.source_frames, train, options, seed=seed)


def _sizes(labels: Int64[np.ndarray, " n"], split: TargetSplit) -> dict[str, int]:
    sizes = {}
    for part, rows in (("train", split.train), ("val", split.val), ("test", split.test)):
        sizes[f"{part}_ah"] = int((labels[rows] == 1).sum())
        sizes[f"{part}_n"] = int((labels[rows] == 0).sum())
    return sizes | {"left_out": split.n_left_out}
