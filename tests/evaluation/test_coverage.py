"""On simulated data with known truth, 95 % intervals hold it 95 % of the time, and tests keep their level.

56 participants, as in the test split. Each has a share of positives, and a shift of scores, of their own; the truth is
the value of the metric on very many participants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from bah_mllm.evaluation.bootstrap import intervals, paired_bootstrap
from bah_mllm.evaluation.per_draw import Sample, metrics_per_draw

N_PARTICIPANTS = 56
NAMES = ("f1", "wf1", "ap")


def videos(rng: np.random.Generator, n: int) -> tuple[Sample, Sample]:
    """Return two equally good systems on 4 to 7 videos a person, about 60 % positive."""
    return simulate(rng, rng.integers(4, 8, n), rng.beta(3, 2, n), shift=(-0.3, 1.0), spread=0.6)


def frames(rng: np.random.Generator, n: int) -> tuple[Sample, Sample]:
    """Return the same on 60 to 300 frames a person, about 20 % positive, most of them in few people."""
    return simulate(rng, rng.integers(60, 300, n), rng.beta(1.2, 4.8, n), shift=(-1.0, 1.2), spread=0.7)


def simulate(rng, n_items, prevalence, *, shift, spread) -> tuple[Sample, Sample]:
    n = len(n_items)
    who = np.repeat(np.arange(n), n_items)
    labels = (rng.random(len(who)) < prevalence[who]).astype(np.int8)

    def system() -> Sample:
        logit = shift[0] + shift[1] * labels + rng.normal(0, spread, n)[who] + rng.normal(0, 1, len(who))
        return Sample(labels, 1 / (1 + np.exp(-logit)), who, n)

    return system(), system()


def truth(world: Callable[..., tuple[Sample, Sample]]) -> dict[str, float]:
    many, _ = world(np.random.default_rng(99), 10_000)
    one = Sample(many.labels, many.scores, np.zeros(len(many.labels), dtype=int), 1)
    return {name: float(value[0]) for name, value in metrics_per_draw(one, np.ones((1, 1), dtype=int)).items()}


def covered(world, *, n_simulations: int, n_draws: int) -> dict[str, float]:
    true = truth(world)
    n_hits = Counter[str]()
    for number in range(n_simulations):
        sample, _ = world(np.random.default_rng([1, number]), N_PARTICIPANTS)
        for name, found in intervals(sample, threshold=0.5, n_draws=n_draws, seed=number, names=NAMES).items():
            n_hits[name] += found.bounds[0] <= true[name] <= found.bounds[1]
    return {name: n_hits[name] / n_simulations for name in NAMES}


def rejected(world, *, n_simulations: int, n_draws: int) -> dict[str, float]:
    n_rejected = Counter[str]()
    for number in range(n_simulations):
        first, second = world(np.random.default_rng([2, number]), N_PARTICIPANTS)
        for name, found in paired_bootstrap(first, second, n_draws=n_draws, seed=number).items():
            n_rejected[name] += found.p_value <= 0.05
    return {name: n_rejected[name] / n_simulations for name in NAMES}


def test_intervals_hold_the_truth_and_tests_rarely_reject_it_in_a_few_simulations():
    for name, share in covered(videos, n_simulations=80, n_draws=200).items():
        assert 0.87 <= share <= 0.99, name
    for name, share in rejected(videos, n_simulations=40, n_draws=200).items():
        assert share <= 0.15, name


@pytest.mark.slow
@pytest.mark.parametrize("world", [videos, frames])
def test_intervals_hold_the_truth_in_92_to_97_percent_of_500_simulations(world):
    shares = covered(world, n_simulations=500, n_draws=500)
    assert all(0.92 <= share <= 0.97 for share in shares.values()), shares


@pytest.mark.slow
@pytest.mark.parametrize("world", [videos, frames])
def test_paired_tests_reject_a_true_null_in_about_5_percent_of_500_simulations(world):
    shares = rejected(world, n_simulations=500, n_draws=500)
    assert all(0.025 <= share <= 0.075 for share in shares.values()), shares
