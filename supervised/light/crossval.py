"""Out-of-fold probabilities: folds by participant, calibration from other folds than the one that is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.evaluation.metrics import auroc, point_metrics
from supervised.light.examples import QUESTIONS, Examples
from supervised.light.members import MEMBERS, sigmoid
from supervised.light.recipe import AVERAGE, FIXED, LightRecipe
from supervised.training.predicting import VALIDATION_METRICS

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = [
    "CrossValidated",
    "Platt",
    "auroc_within",
    "average",
    "calibration",
    "deal_folds",
    "fit_platt",
    "judge",
    "out_of_fold",
]


class Platt(NamedTuple):
    """A calibration: probability = sigmoid(slope x score + intercept)."""

    slope: float
    intercept: float

    def __call__(self, score: Float[np.ndarray, " videos"]) -> Float[np.ndarray, " videos"]:
        """Return probabilities of scores."""
        return sigmoid(self.slope * score + self.intercept)


_AS_IT_IS = Platt(1.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidated:
    """What the members say about videos of participants that they have not seen.

    Args:
        video_ids: Of the labelled videos.
        labels: 0 or 1, shape (videos,).
        question: 1 to 7 or 0, shape (videos,).
        fold: Which fold each video was held out in, counted from 0, shape (videos,).
        scores: Member to scores before calibration, shape (videos,).
        p: Member, and ``average``, to calibrated probabilities, shape (videos,).
        metrics: The same names to metrics at the threshold 0.5; see ``judge``.
        seed: Of folds and members.
    """

    video_ids: tuple[str, ...]
    labels: Int[np.ndarray, " videos"]
    question: Int[np.ndarray, " videos"]
    fold: Int[np.ndarray, " videos"]
    scores: Mapping[str, Float[np.ndarray, " videos"]]
    p: Mapping[str, Float[np.ndarray, " videos"]]
    metrics: Mapping[str, Mapping[str, float | None]]
    seed: int


def deal_folds(
    labels: Int[np.ndarray, " videos"], participants: Sequence[str] | np.ndarray, *, n_folds: int, seed: int
) -> Int[np.ndarray, " videos"]:
    """Return the fold of each video: no participant in two folds, classes spread evenly.

    There are fewer folds where participants are few: with every fold held out, both classes must be left.

    Raises:
        DataError: There is one class only, or not even two folds can be made.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    participants = np.asarray(participants)
    n_with = min(len(set(participants[labels == label])) for label in (0, 1))
    for n in range(min(n_folds, n_with), 1, -1):
        fold = np.full(len(labels), -1)
        dealt = StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(labels, labels, participants)
        for number, (_, held_out) in enumerate(dealt):
            fold[held_out] = number
        if all(len(set(labels[fold != number])) == 2 for number in range(n)):
            return fold
    n_positive = int((labels == 1).sum())
    raise DataError(
        f"{len(labels)} labelled videos of {len(set(participants))} participants, {n_positive} of them with A/H, make "
        "no folds by participant: at least two participants need A/H and two need videos without.",
        remedy="Train on more videos: `bah-mllm data check DIR` lists the labels of each split.",
    )


def fit_platt(score: Float[np.ndarray, " videos"], labels: Int[np.ndarray, " videos"]) -> Platt:
    """Fit a calibration on scores of videos that their model has not seen.

    A member whose scores point the wrong way is not turned round: it knows nothing, and says the prevalence.

    References:
        Platt (1999), "Probabilistic outputs for support vector machines", with his softened targets.
    """
    from sklearn.linear_model import LogisticRegression

    n_positive, n_negative = int((labels == 1).sum()), int((labels == 0).sum())
    target = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    both = np.concatenate([score, score])[:, None]
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(
        both, np.repeat([1, 0], len(score)), sample_weight=np.concatenate([target, 1 - target])
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope > 0:
        return Platt(slope, intercept)
    p = float(target.mean())
    return Platt(0.0, float(np.log(p / (1 - p))))


def average(p: Mapping[str, Float[np.ndarray, " videos"]], recipe: LightRecipe) -> Float[np.ndarray, " videos"]:
    """Return the mean of the probabilities of the members that the recipe averages."""
    mean: np.ndarray = np.mean([p[name] for name in recipe.averaged], axis=0)
    return mean


def out_of_fold(recipe: LightRecipe, examples: Examples, *, n_folds: int, seed: int) -> CrossValidated:
    """Cross-validate the members on labelled examples.

    Everything that is fitted (vocabulary, scaling, member) sees the other folds only; the calibration of a fold is
    fitted on the out-of-fold scores of the other folds.

    Raises:
        DataError: The examples make no folds; see ``deal_folds``.
    """
    labels = examples.labels
    fold = deal_folds(labels, examples.participants, n_folds=n_folds, seed=seed)
    scores: dict[str, np.ndarray] = {name: np.zeros(len(labels)) for name in recipe.members}
    for number in range(fold.max() + 1):
        seen, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        learn, judged = examples.take(seen), examples.take(held_out)
        for name, score in scores.items():
            member = MEMBERS[name]
            score[held_out] = member.score(recipe, member.fit(recipe, learn, seed), judged)
    p: dict[str, np.ndarray] = {name: _cross_fitted(name, score, labels, fold) for name, score in scores.items()}
    p[AVERAGE] = average(p, recipe)
    return CrossValidated(
        video_ids=tuple(video.video_id for video in examples.videos),
        labels=labels,
        question=examples.question,
        fold=fold,
        scores=scores,
        p=p,
        metrics={name: judge(labels, one, examples.question) for name, one in p.items()},
        seed=seed,
    )


def calibration(name: str, score: Float[np.ndarray, " videos"], labels: Int[np.ndarray, " videos"]) -> Platt:
    """Return the calibration of a member; none for those that need none."""
    return _AS_IT_IS if name in FIXED else fit_platt(score, labels)


def _cross_fitted(
    name: str,
    score: Float[np.ndarray, " videos"],
    labels: Int[np.ndarray, " videos"],
    fold: Int[np.ndarray, " videos"],
) -> Float[np.ndarray, " videos"]:
    p = np.zeros(len(score))
    for number in range(fold.max() + 1):
        held_out = fold == number
        p[held_out] = calibration(name, score[~held_out], labels[~held_out])(score[held_out])
    return p


def judge(
    labels: Int[np.ndarray, " videos"], p: Float[np.ndarray, " videos"], question: Int[np.ndarray, " videos"]
) -> dict[str, float | None]:
    """Return F1s at p > 0.5, both APs, AUROC, Brier score, ECE, and the AUROC within questions."""
    return {
        **point_metrics(labels, p, names=(*VALIDATION_METRICS, "brier", "ece")),
        "auroc_within_question": auroc_within(labels, p, question),
    }


def auroc_within(
    labels: Int[np.ndarray, " videos"], p: Float[np.ndarray, " videos"], question: Int[np.ndarray, " videos"]
) -> float | None:
    """Return the mean AUROC among answers to the same question, weighted by answers: what the words add to it.

    Questions with one class only do not count; None where none has both.
    """
    values, weights = [], []
    for number in QUESTIONS:
        asked = question == number
        if len(set(labels[asked])) == 2:
            values.append(auroc(labels[asked], p[asked]))
            weights.append(int(asked.sum()))
    return float(np.average(values, weights=weights)) if values else None
