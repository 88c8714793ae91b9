"""What the members look at, feature by feature, in the words of the annotators' codebook. Never words of participants.

Only features of our own making are listed: what the members on words and on embeddings look at is the participants'
vocabulary, and stays in the model file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bah_mllm.evaluation.metrics import auroc
from supervised.light.examples import QUESTIONS, Examples, describe
from supervised.light.members import FittedMember
from supervised.light.recipe import LightRecipe

__all__ = ["Importance", "importances"]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much a feature counts.

    Args:
        feature: Its name: ``language.hedging.rate`` ...
        meaning: What it is, in the words of the codebook where that has a row for it.
        auroc: Of the feature alone on the training videos: above 0.5, more of it goes with A/H; below, with none.
        by_member: Member to importance: the share of the trees' impurity decrease (0 to 1, sums to 1 over the
            features), and for ``logistic_regression`` the signed change in log-odds per standard deviation.
    """

    feature: str
    meaning: str
    auroc: float
    by_member: Mapping[str, float]


def importances(recipe: LightRecipe, examples: Examples, fitted: Mapping[str, FittedMember]) -> tuple[Importance, ...]:
    """Return the features, the one that the trees rely on most first.

    Impurity decrease favours features with many values, and correlated ones (a count and its rate) share it.
    """
    columns = dict(describe(recipe))
    values = [examples.features[:, place] for place in range(len(columns))]
    if recipe.question:
        columns |= {f"question.{question}": f"question {question} was asked" for question in QUESTIONS}
        values += list(examples.one_hot.T)
    by_member = {}
    for name in ("extra_trees", "gradient_boosting"):
        if name in fitted:
            by_member[name] = fitted[name]["classifier"].feature_importances_
    if "logistic_regression" in fitted:
        by_member["logistic_regression"] = fitted["logistic_regression"]["classifier"][-1].coef_[0]
    found = [
        Importance(
            feature=name,
            meaning=meaning,
            auroc=auroc(examples.labels, values[place]),
            by_member={member: float(several[place]) for member, several in by_member.items()},
        )
        for place, (name, meaning) in enumerate(columns.items())
    ]
    return tuple(sorted(found, key=lambda one: (-_weight(one), one.feature))) if by_member else ()


def _weight(one: Importance) -> float:
    """Return the mean importance in the trees; that of the logistic regression where there are no trees."""
    trees = [value for name, value in one.by_member.items() if name != "logistic_regression"]
    return sum(trees) / len(trees) if trees else abs(one.by_member["logistic_regression"])
