"""From log-probabilities of labels to the probability of ambivalence or hesitancy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bah_mllm.core.errors import EngineError

__all__ = ["Score", "p_positive"]


class Score(NamedTuple):
    """What label scores say.

    Args:
        p_positive: Probability of the labels that stand for 1 among all labels, 0 to 1.
        mass: Probability that the model answers with any of the labels at all, 0 to 1: its "format compliance".
    """

    p_positive: float
    mass: float


def p_positive(logp: Mapping[str, float], labels: Mapping[str, int]) -> Score:
    """Return the softmax over the label sums, and their total mass.

    Computed from differences of logarithms, so that labels of any length keep their ratio: the probabilities
    themselves may all be zero in floating point.

    Args:
        logp: Natural-log probability of each label text as a continuation; others than ``labels`` are ignored.
        labels: Label text to 0 or 1.

    Raises:
        EngineError: The score of a label is missing or not finite.

    >>> score = p_positive({"No": -1000.0, "Yes": -1000.0}, {"No": 0, "Yes": 1})
    >>> score.p_positive, score.mass
    (0.5, 0.0)
    """
    wrong = [label for label in labels if not math.isfinite(logp.get(label, math.nan))]
    if wrong:
        raise EngineError(
            f"The model gave no finite log-probability for: {', '.join(map(repr, wrong))}.",
            remedy="Try --dtype float32, or another model.",
        )
    positive = _log_sum_exp(logp[label] for label, value in labels.items() if value == 1)
    negative = _log_sum_exp(logp[label] for label, value in labels.items() if value == 0)
    # A label that begins with another one is counted twice, and rounding may add a little: never above 1.
    mass = math.exp(min(_log_sum_exp((positive, negative)), 0.0))
    return Score(p_positive=_logistic(positive - negative), mass=mass)


def _logistic(difference: float) -> float:
    # From the difference rather than from the total: equal scores give 0.5 to the last bit, and a tie is negative.
    odds = math.exp(-abs(difference))
    return 1.0 / (1.0 + odds) if difference >= 0 else odds / (1.0 + odds)


def _log_sum_exp(values: Iterable[float]) -> float:
    numbers = list(values)
    top = max(numbers)
    return top + math.log(math.fsum(math.exp(number - top) for number in numbers))
