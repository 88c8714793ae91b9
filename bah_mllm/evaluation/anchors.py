"""What a system has to beat: four predictors that look at nothing but the training labels and the question asked.

They are judged on exactly the items that a system scored, and stand beneath every table. Several published numbers
equal one of them (all-negative: frame-level weighted F1 .7148; all-positive: video-level F1 .7575).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.evaluation.labels import TrainPrior

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["ANCHORS", "Anchors", "anchor_scores"]

ANCHORS = ("all-positive", "all-negative", "prevalence", "question-prior")


class Anchors(NamedTuple):
    """Anchor scores.

    Args:
        scores: Name to probabilities, shape (items,).
        left_out: Name to the reason why an anchor could not be made.
    """

    scores: Mapping[str, Float[np.ndarray, " items"]]
    left_out: Mapping[str, str]


def anchor_scores(questions: Int[np.ndarray, " items"], prior: TrainPrior | None) -> Anchors:
    """Return the scores of every anchor that can be made.

    ``all-positive`` says 1 and ``all-negative`` 0; ``prevalence`` says the share of positives in training;
    ``question-prior`` says that share among the training items of the same question. Hard labels follow from the same
    rule as for systems, p > 0.5: in edition v1 the share of question 5 is exactly 0.5, hence negative.

    Args:
        questions: 1 to 7, or 0 where unknown, shape (items,).
        prior: Of the training split, at the same level; None where there is none.
    """
    n = len(questions)
    scores = {"all-positive": np.ones(n), "all-negative": np.zeros(n)}
    left_out: dict[str, str] = {}
    if prior is None:
        reason = "there is no labelled training split at this level"
        left_out = {"prevalence": reason, "question-prior": reason}
        return Anchors(MappingProxyType(scores), MappingProxyType(left_out))
    scores["prevalence"] = np.full(n, prior.overall.value)
    n_without = int((questions == 0).sum())
    unseen = sorted(set(questions.tolist()) - {0} - set(prior.per_question))
    if n_without:
        left_out["question-prior"] = f"the question is unknown for {n_without:,} of {n:,} items"
    elif unseen:
        named = ", ".join(str(question) for question in unseen)
        left_out["question-prior"] = f"the split {prior.split!r} has no labelled items of question {named}"
    else:
        share = np.zeros(max(prior.per_question, default=0) + 1)
        for question, counted in prior.per_question.items():
            share[question] = counted.value
        scores["question-prior"] = share[questions]
    return Anchors(MappingProxyType(scores), MappingProxyType(left_out))
