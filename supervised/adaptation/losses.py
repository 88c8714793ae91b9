"""What adaptation minimises: discrepancy of two domains, uncertainty and imbalance of the answers.

All take and return torch tensors; p are probabilities of both classes, shape (n, classes), rows summing to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Diversity", "Estimator", "diversity", "mean_entropy", "mmd"]

Estimator = Literal["unbiased", "biased"]
Diversity = Literal["uniform", "none", "prior"]

_N_KERNELS = 5
_SMALLEST = 1e-5  # inside logarithms, as in the public code of SHOT and NRC
_SMALLEST_SPREAD = 1e-5  # of rows relative to their length; less is rounding, which the public code would divide by


def mmd(
    source: Float[Tensor, "n dim"], target: Float[Tensor, "m dim"], *, estimator: Estimator = "unbiased"
) -> Float[Tensor, ""]:
    """Return the squared maximum mean discrepancy of two samples under a sum of five Gaussian kernels.

    The kernels are exp(-D / b_i) with D the squared distance and b_i the mean squared distance of the pooled sample
    times 1/4, 1/2, 1, 2, 4. The bandwidth carries no gradient. The sum is not divided by five: the largest possible
    value is 10.

    Args:
        source: Rows of one domain.
        target: Rows of the other; another number of rows is fine.
        estimator: ``unbiased`` leaves pairs of a row with itself out and is 0 in the mean where the domains agree; it
            may be slightly negative. ``biased`` keeps them and is never negative, but grows as batches shrink.

    Returns:
        A scalar with gradient to both. 0, with a gradient of 0, where it is undefined: a side without rows, or,
        unbiased, with one row; or rows that are all the same.

    References:
        Gretton et al. 2012, "A kernel two-sample test", equations 3 and 5; bandwidth and kernels as in the public code
        of Zeeshan et al. 2024 (subject-based domain adaptation), which BAH's appendix E.3.1 builds on.
    """
    n, m = len(source), len(target)
    nothing = (source.sum() + target.sum()) * 0.0
    if min(n, m) < (2 if estimator == "unbiased" else 1):
        return nothing
    pooled = torch.cat([source, target])
    length = pooled.detach().square().sum(1).mean()
    pooled = pooled - pooled.detach().mean(0)  # distances stay, but are no longer small differences of large numbers
    squared = pooled.square().sum(1)
    distance = (squared[:, None] + squared[None, :] - 2 * pooled @ pooled.T).clamp(min=0)
    distance = distance * (1 - torch.eye(n + m, dtype=distance.dtype, device=distance.device))
    total = n + m
    bandwidth = distance.detach().sum() / (total * total - total)
    if bandwidth <= _SMALLEST_SPREAD**2 * length:
        return nothing
    kernel = sum(
        (torch.exp(-distance / (bandwidth * 2.0 ** (i - _N_KERNELS // 2))) for i in range(_N_KERNELS)),
        start=torch.zeros_like(distance),
    )
    within_source, within_target, between = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    if estimator == "biased":
        return within_source.mean() + within_target.mean() - 2 * between.mean()
    return (
        (within_source.sum() - within_source.diagonal().sum()) / (n * (n - 1))
        + (within_target.sum() - within_target.diagonal().sum()) / (m * (m - 1))
        - 2 * between.mean()
    )


def mean_entropy(p: Float[Tensor, "n classes"]) -> Float[Tensor, ""]:
    """Return the mean entropy of the rows in nats, 0 (certain) to ln(classes)."""
    return -(p * torch.log(p + _SMALLEST)).sum(1).mean()


def diversity(
    p: Float[Tensor, "n classes"], kind: Diversity, prior: Float[Tensor, " classes"] | None = None
) -> Float[Tensor, ""]:
    """Return how far the mean answer of a batch is from what it should be; to be minimised.

    Args:
        p: Answers.
        kind: ``uniform`` is the negative entropy of the mean answer (SHOT and NRC): smallest, -ln(classes), where all
            classes are answered equally often, whatever their true shares. ``prior`` is the Kullback-Leibler divergence
            from the mean answer to ``prior``: smallest, 0, where classes are answered as often as they occur in the
            source (ours). ``none`` is 0.
        prior: Share of each class in the source; needed for ``prior``.

    References:
        Liang et al. 2020 (SHOT), equation 3; Yang et al. 2021 (NRC), equation 6.
    """
    if kind == "none":
        return p.sum() * 0.0
    mean = p.mean(0)
    negative_entropy = (mean * torch.log(mean + _SMALLEST)).sum()
    if kind == "uniform":
        return negative_entropy
    assert prior is not None  # options without one are refused when they are read
    return negative_entropy - (mean * torch.log(prior.to(mean) + _SMALLEST)).sum()
