"""Toy problems with a known answer, for which neither data nor hours are needed.

Two classes in a plane, seen through 64 noisy measurements whose halves are mirror images; six source subjects turned
and shifted a little, and a target turned and shifted a lot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from supervised.adaptation.domains import Domain

__all__ = ["TOY_DIM", "TOY_PROBLEMS", "ToyData", "ToyProblem", "make_toy"]

TOY_DIM = 64
"""Measurements of a row."""
_N_SUBJECTS, _N_PER_SUBJECT = 6, 400


@dataclass(frozen=True, slots=True)
class ToyProblem:
    """How the target differs from the source.

    Args:
        rotation_deg: Of the target's plane.
        shift: Of the target in its plane.
        share_source: Share of positives in the source.
        share_target: Share of positives in the target's training and test parts; validation has a half.
        batch_norm: Whether the bottleneck is normalised.
        methods: What is compared.
    """

    rotation_deg: float
    shift: tuple[float, float]
    share_source: float
    share_target: float
    batch_norm: bool
    methods: tuple[str, ...]


_SOURCE_FREE = ("shot", "nrc", "oracle", "shot_prior", "nrc_prior")
TOY_PROBLEMS: Mapping[str, ToyProblem] = {
    "T1": ToyProblem(45, (0.5, 0.5), 0.5, 0.5, batch_norm=False, methods=("mmd", "sub_based", "oracle")),
    "T2": ToyProblem(35, (1.2, 1.0), 0.5, 0.5, batch_norm=True, methods=_SOURCE_FREE),
    "T3": ToyProblem(35, (1.2, 1.0), 0.2, 0.2, batch_norm=True, methods=_SOURCE_FREE),
}


@dataclass(frozen=True, slots=True, eq=False)
class ToyData:
    """One draw of a problem.

    Args:
        source: Labelled rows of six subjects, 400 each.
        train: 700 rows of the target.
        val: 200 rows of the target, half of them positive.
        test: 400 rows of the target.
    """

    source: Domain
    train: Domain
    val: Domain
    test: Domain


def make_toy(problem: ToyProblem, seed: int) -> ToyData:
    """Return a draw of a problem; the order of draws is part of its definition.

    Args:
        problem: What to draw.
        seed: Of everything.
    """
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(TOY_DIM // 2, 2, generator=generator)).Q

    def draw(n: int, degrees: float, shift: Tensor, share: float, subject: int) -> Domain:
        labels = (torch.rand(n, generator=generator) < share).long()
        z = torch.randn(n, 2, generator=generator) * torch.tensor([0.6, 0.9])
        z[:, 0] += 1.6 * (2 * labels - 1)
        angle = math.radians(degrees)
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        half = (z @ turn.T + shift) @ axes.T
        x = torch.cat([half, half], dim=1) + 0.35 * torch.randn(n, TOY_DIM, generator=generator)
        mirrored = torch.cat([x[:, TOY_DIM // 2 :], x[:, : TOY_DIM // 2]], dim=1)
        row = torch.arange(n)
        return Domain(x, labels, torch.full((n,), subject), row, row.float(), mirrored)

    subjects = []
    for subject in range(_N_SUBJECTS):
        degrees = 8 * float(torch.randn(1, generator=generator))
        shift = 0.25 * torch.randn(2, generator=generator)
        subjects.append(draw(_N_PER_SUBJECT, degrees, shift, problem.share_source, subject))
    shift = torch.tensor(problem.shift)
    train, test = (draw(n, problem.rotation_deg, shift, problem.share_target, 0) for n in (700, 400))
    val = draw(200, problem.rotation_deg, shift, 0.5, 0)
    return ToyData(_joined(subjects), train, val, test)


def _joined(domains: list[Domain]) -> Domain:
    names = ("features", "labels", "subject", "video", "t_s", "flipped")
    return Domain(**{name: torch.cat([getattr(domain, name) for domain in domains]) for name in names})
