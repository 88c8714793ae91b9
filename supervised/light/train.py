"""The main flow of the light baselines: labelled videos to fitted, calibrated members on disk, and their report."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal, read_json
from bah_mllm.core.records import Status
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset
from supervised.light.crossval import CrossValidated, Platt, calibration, out_of_fold
from supervised.light.examples import Examples, embedder, read_examples
from supervised.light.importances import Importance, importances
from supervised.light.members import MEMBERS, FittedMember
from supervised.light.predict import MODEL, Trained, save_trained
from supervised.light.recipe import AVERAGE, PRIOR, LightRecipe
from supervised.training.requests import TrainRequest

__all__ = ["REPORT", "LightReport", "cross_validate", "train_for_seed", "train_light"]

REPORT = "report.json"

_PRIVATE = (
    f"{MODEL} holds the vocabulary of the training transcripts, words of participants: keep it as private as these."
)
_OUT_OF_FOLD = (
    "Metrics are out of fold, with folds by participant; calibrations are fitted on other folds than the one they "
    "are judged on, and the threshold is 0.5."
)
_ANCHOR = "question_prior looks at nothing but the question asked: what lies above it is what the words add."


@dataclass(frozen=True, slots=True)
class LightReport:
    """What was trained on what, and how well it does on participants that it has not seen. No word of a participant.

    Args:
        recipe: Name of the recipe.
        splits: Learnt from.
        seed: Of members, and of the first folds.
        question: Whether the members were told which question was asked.
        n_videos: Learnt from.
        n_positive: Of them with A/H.
        n_participants: Who answers in them.
        left_out: Status to how many labelled videos were left out for it.
        n_folds: Folds by participant.
        n_repeats: How often they were dealt.
        metrics: Member, and ``average``, to out-of-fold metrics, each the mean over the repeats.
        sd: The same names to standard deviations of AUROC over the repeats (n - 1); empty for one repeat.
        seconds: How long reading, cross-validating and fitting took.
        importances: Of the features, the most important first.
        notes: What the reader must know.
    """

    recipe: str
    splits: tuple[str, ...]
    seed: int
    question: bool
    n_videos: int
    n_positive: int
    n_participants: int
    left_out: Mapping[str, int]
    n_folds: int
    n_repeats: int
    metrics: Mapping[str, Mapping[str, float | None]]
    sd: Mapping[str, float]
    seconds: Mapping[str, float]
    importances: tuple[Importance, ...]
    notes: tuple[str, ...]


def cross_validate(
    recipe: LightRecipe,
    dataset: Dataset,
    splits: Sequence[str] = ("train", "val"),
    *,
    n_folds: int = 5,
    seed: int = 0,
    cues: Path | None = None,
) -> CrossValidated:
    """Return out-of-fold probabilities and metrics of every member and of the average; nothing is written.

    Raises:
        BahError: The data make no folds, or the recipe needs what is not there.
    """
    recipe, examples, _ = _labelled_examples(recipe, dataset, splits, cues)
    return out_of_fold(recipe, examples, n_folds=n_folds, seed=seed)


def train_light(
    recipe: LightRecipe, dataset: Dataset, out: Path, *, cues: Path | None = None, seed: int = 0
) -> LightReport:
    """Cross-validate, calibrate and fit the members, write the trained folder, and return its report.

    Args:
        recipe: What to train.
        dataset: Labelled videos of ``recipe.train_splits`` are learnt from; all where the data set has no splits.
        out: Folder; made where it is not there.
        cues: Folder of observed cues, for recipes that take them.
        seed: The same seed and data give the same folder.

    Raises:
        BahError: The data make no folds, or the recipe needs what is not there.
    """
    started_s = time.perf_counter()
    recipe, examples, missing = _labelled_examples(recipe, dataset, recipe.train_splits, cues)
    read_s = time.perf_counter()
    repeats = [
        out_of_fold(recipe, examples, n_folds=recipe.n_folds, seed=seed + repeat) for repeat in range(recipe.n_repeats)
    ]
    judged_s = time.perf_counter()
    fitted: dict[str, FittedMember] = {name: MEMBERS[name].fit(recipe, examples, seed) for name in recipe.members}
    platt: dict[str, Platt] = {
        name: calibration(name, score, examples.labels) for name, score in repeats[0].scores.items()
    }
    seconds = {
        "read": read_s - started_s,
        "cross_validate": judged_s - read_s,
        "fit": time.perf_counter() - judged_s,
    }
    report = _report(recipe, examples, repeats, seed=seed, seconds=seconds, notes=missing, fitted=fitted)
    out.mkdir(parents=True, exist_ok=True)
    save_trained(out, Trained(recipe, examples.names, fitted, platt))
    write_atomically(out / REPORT, (json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n").encode())
    return report


def train_for_seed(
    recipe: LightRecipe, request: TrainRequest, dataset: Dataset, folder: Path, seed: int
) -> dict[str, float]:
    """Train with one seed, for the training command, and return its out-of-fold metrics.

    These are the average's (``oof_auroc`` ...) and, beside each, the question prior's on the same folds
    (``oof_prior_auroc`` ...), where the recipe has it among its members.
    """
    if (folder / REPORT).exists():  # written last, and only the same recipe and data get here: nothing to do
        say("  fitted before")
        return _figures_of(_read_report(folder / REPORT)["metrics"])
    report = train_light(recipe, dataset, folder, cues=request.cues, seed=seed)
    for name, metrics in report.metrics.items():
        say(f"  {name}, out of fold: {_told_figures(metrics, {} if name == PRIOR else report.metrics.get(PRIOR, {}))}")
    for line in report.notes:
        say(f"  {line}")
    return _figures_of(report.metrics)


def _told_figures(metrics: Mapping[str, float | None], prior: Mapping[str, float | None]) -> str:
    """Return the figures of a member, each with that of the question prior on the same folds beside it."""
    figures = []
    for key in ("auroc", "auroc_within_question", "f1", "macro_f1", "wf1", "brier", "ece"):
        value, beside = metrics[key], prior.get(key)
        if value is not None:
            has_prior = beside is not None and key != "auroc_within_question"  # which the prior does not know
            figures.append(f"{key} {value:.4f}" + (f" (prior {beside:.4f})" if has_prior else ""))
    return ", ".join(figures)


def _read_report(path: Path) -> dict[str, Any]:
    remedy = "Delete the folder of this seed; the same command then trains it again."
    report: dict[str, Any] = read_json(path, Refusal(RunError, str(path), remedy))
    return report


def _figures_of(metrics: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Return the average's out-of-fold metrics (``oof_auroc``), each followed by the question prior's on the folds."""
    prior = metrics.get(PRIOR, {})
    return {
        f"{name}{key}": value
        for key in metrics[AVERAGE]
        for name, of in (("oof_", metrics[AVERAGE]), ("oof_prior_", prior))
        if (value := of.get(key)) is not None
    }


def _labelled_examples(
    recipe: LightRecipe, dataset: Dataset, splits: Sequence[str], cues: Path | None
) -> tuple[LightRecipe, Examples, str | None]:
    """Return the recipe without members that cannot be had here, the labelled examples of some splits, and a note."""
    available = [split for split in splits if split in dataset.splits]
    if dataset.splits and not available:
        raise ConfigError(
            f"The data set {dataset.name} has no split {' or '.join(splits)}.",
            remedy=f"Choose train_splits from: {', '.join(dataset.splits)}.",
        )
    chosen = [video for split in available for video in dataset.videos(split)] if dataset.splits else dataset.videos()
    labelled = [video for video in chosen if video.label is not None]
    recipe, embed, note = embedder(recipe)
    examples = read_examples(recipe, dataset, labelled, cues=cues, embed=embed)
    if not len(examples):
        needs_cues = Status.NO_CUES in examples.left_out.values()
        raise DataError(
            f"None of the {len(labelled)} labelled videos can be learnt from "
            f"({_told(Counter(examples.left_out.values())) or 'there are none'}).",
            remedy="Run `bah-mllm cues extract` on the splits that are learnt from, and name its folder with --cues."
            if needs_cues
            else "Run `bah-mllm data check DIR`: it says what is missing.",
        )
    return recipe, examples, note


def _report(
    recipe: LightRecipe,
    examples: Examples,
    repeats: Sequence[CrossValidated],
    *,
    seed: int,
    seconds: Mapping[str, float],
    notes: str | None,
    fitted: Mapping[str, FittedMember],
) -> LightReport:
    names = repeats[0].metrics
    auroc = {name: [float(one.metrics[name]["auroc"] or 0.0) for one in repeats] for name in names}
    n_folds = int(repeats[0].fold.max()) + 1
    remarks = [_OUT_OF_FOLD, _ANCHOR, _PRIVATE]
    if n_folds < recipe.n_folds:
        remarks.append(f"There are participants for {n_folds} folds only, not {recipe.n_folds}.")
    return LightReport(
        recipe=recipe.name,
        splits=recipe.train_splits,
        seed=seed,
        question=recipe.question,
        n_videos=len(examples),
        n_positive=int(examples.labels.sum()),
        n_participants=len(set(examples.participants)),
        left_out={str(status): n for status, n in Counter(examples.left_out.values()).items()},
        n_folds=n_folds,
        n_repeats=len(repeats),
        metrics={name: _mean([one.metrics[name] for one in repeats]) for name in names},
        sd={name: float(np.std(values, ddof=1)) for name, values in auroc.items()} if len(repeats) > 1 else {},
        seconds=seconds,
        importances=importances(recipe, examples, fitted),
        notes=(*remarks, *([notes] if notes else [])),
    )


def _mean(several: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return the mean of each metric over the repeats; None where one lacks it."""
    means: dict[str, float | None] = {}
    for key in several[0]:
        values = [value for one in several if (value := one[key]) is not None]
        means[key] = float(np.mean(values)) if len(values) == len(several) else None
    return means


def _told(counted: Mapping[Status, int]) -> str:
    return ", ".join(f"{status}: {n}" for status, n in counted.items())
