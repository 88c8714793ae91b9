"""Discrepancy, uncertainty and balance, against values known beforehand."""

from __future__ import annotations

import math

import pytest
import torch

from supervised.adaptation.losses import diversity, mean_entropy, mmd

ESTIMATORS = ("biased", "unbiased")


def normal(n: int, dim: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += shift
    return x


def mmd_by_loops(x: torch.Tensor, y: torch.Tensor, *, biased: bool) -> float:
    """Sum over pairs one by one, in double precision."""
    both = torch.cat([x, y]).double()
    total = len(both)
    distance = [[float(((both[i] - both[j]) ** 2).sum()) for j in range(total)] for i in range(total)]
    mean_distance = sum(map(sum, distance)) / (total * total - total)

    def kernel(i: int, j: int) -> float:
        return sum(math.exp(-distance[i][j] / (mean_distance / 4 * 2**power)) for power in range(5))

    def mean_of(first: range, second: range, *, same: bool) -> float:
        pairs = [(i, j) for i in first for j in second if biased or not same or i != j]
        return sum(kernel(i, j) for i, j in pairs) / len(pairs)

    a, b = range(len(x)), range(len(x), total)
    return mean_of(a, a, same=True) + mean_of(b, b, same=True) - 2 * mean_of(a, b, same=False)


@pytest.mark.parametrize("biased", [True, False])
def test_mmd_is_the_sum_over_all_pairs_also_of_batches_of_different_sizes(biased):
    x, y = normal(7, 3, 0), normal(5, 3, 1, shift=1.5)
    found = mmd(x, y, estimator="biased" if biased else "unbiased")
    assert float(found) == pytest.approx(mmd_by_loops(x, y, biased=biased), abs=1e-5)


def test_mmd_of_a_sample_with_itself_is_zero():
    x = normal(128, 64, 0)
    assert abs(float(mmd(x, x, estimator="biased"))) < 1e-6


def test_unbiased_mmd_of_equal_domains_is_zero_in_the_mean():
    found = [float(mmd(normal(128, 64, 2 * seed), normal(128, 64, 2 * seed + 1))) for seed in range(50)]
    assert max(map(abs, found)) < 0.015
    assert abs(sum(found) / len(found)) < 0.002


def test_biased_mmd_of_equal_domains_grows_as_batches_shrink():
    large, small = (float(mmd(normal(n, 64, 0), normal(n, 64, 1), estimator="biased")) for n in (128, 37))
    assert 0.03 < large < 0.07
    assert small > 1.8 * large


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_mmd_grows_with_the_distance_of_the_domains(estimator):
    found = [
        float(mmd(normal(128, 64, 3), normal(128, 64, 4, shift), estimator=estimator)) for shift in (0.5, 1, 2, 4, 8)
    ]
    assert found == sorted(found)
    assert len(set(found)) == 5


def test_descending_mmd_moves_the_target_toward_the_source():
    source, target = normal(128, 64, 5), normal(128, 64, 6, shift=2.0).requires_grad_()
    mmd(source, target).backward()
    step = -target.grad
    assert (step[:, 0] < 0).float().mean() >= 0.99
    mean_step = step.mean(0)
    assert float(-mean_step[0] / mean_step.norm()) >= 0.85


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [0.0, 0.3, 3.7, 100.1])  # with rounding, where sums are not exact
def test_mmd_of_constant_features_is_zero_and_moves_nothing(value, estimator):
    row = value * (1 + torch.arange(64) / 7)
    target = row.repeat(100, 1).requires_grad_()
    found = mmd(row.repeat(128, 1), target, estimator=estimator)
    found.backward()
    assert found.item() == 0
    assert target.grad.abs().max() == 0


def test_mmd_does_not_depend_on_where_both_domains_lie():
    source, target = normal(64, 16, 7), normal(64, 16, 8, shift=1.0)
    assert float(mmd(source + 1000, target + 1000)) == pytest.approx(float(mmd(source, target)), rel=2e-3)


@pytest.mark.parametrize(("n", "estimator"), [(0, "biased"), (0, "unbiased"), (1, "unbiased")])
def test_mmd_with_too_few_rows_is_zero(n, estimator):
    assert float(mmd(normal(n, 4, 0), normal(6, 4, 1), estimator=estimator)) == 0


def information(p: torch.Tensor, kind: str = "uniform", prior: torch.Tensor | None = None) -> float:
    return float(mean_entropy(p) + diversity(p, kind, prior))


def certain(n_negative: int, n_positive: int) -> torch.Tensor:
    return torch.tensor([[1.0, 0.0]] * n_negative + [[0.0, 1.0]] * n_positive)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (torch.full((10, 2), 0.5), 0.0),
        (certain(5, 5), -math.log(2)),
        (certain(10, 0), 0.0),
        (certain(8, 2), 0.8 * math.log(0.8) + 0.2 * math.log(0.2)),
    ],
)
def test_information_is_best_for_certain_and_balanced_answers(p, expected):
    assert information(p) == pytest.approx(expected, abs=1e-3)


def test_the_uniform_diversity_prefers_half_and_half_to_the_true_share():
    assert information(certain(5, 5)) < information(certain(8, 2)) - 0.15


def test_the_prior_diversity_is_smallest_at_the_prior():
    prior = torch.tensor([0.8, 0.2])
    found = {n: float(diversity(certain(10 - n, n), "prior", prior)) for n in range(11)}
    assert min(found, key=found.__getitem__) == 2
    assert found[2] == pytest.approx(0, abs=1e-3)


def test_without_diversity_the_mean_answer_does_not_matter():
    assert information(certain(10, 0), "none") == pytest.approx(information(certain(5, 5), "none"), abs=1e-6)
