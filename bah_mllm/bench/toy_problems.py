"""Toy problems with a known answer: what every method is worth, in seconds and without data.

Two classes in a plane, seen through 64 noisy measurements whose halves are mirror images; six source subjects turned
and shifted a little, and a target turned and shifted a lot.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bah_mllm.core.errors import ConfigError
from bah_mllm.evaluation.metrics import accuracy, f1_positive
from supervised.adaptation.domains import Domain, score_rows
from supervised.adaptation.losses import Diversity
from supervised.adaptation.source_free import Nrc, NrcOptions, Shot, ShotOptions
from supervised.adaptation.with_source import (
    Alignment,
    Labelled,
    MmdOptions,
    SubjectBased,
    SubjectOptions,
    SubjectPairs,
    SupervisedOptions,
)
from supervised.models import build_model
from supervised.records import Strategy
from supervised.training.loop import LoopSettings, fit

__all__ = ["PROBLEMS", "Problem", "ToyData", "bench_adaptation", "make_toy"]

_DIM = 64
_N_SUBJECTS, _N_PER_SUBJECT = 6, 400


@dataclass(frozen=True, slots=True)
class Problem:
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
PROBLEMS: Mapping[str, Problem] = {
    "T1": Problem(45, (0.5, 0.5), 0.5, 0.5, batch_norm=False, methods=("mmd", "sub_based", "oracle")),
    "T2": Problem(35, (1.2, 1.0), 0.5, 0.5, batch_norm=True, methods=_SOURCE_FREE),
    "T3": Problem(35, (1.2, 1.0), 0.2, 0.2, batch_norm=True, methods=_SOURCE_FREE),
}


class ToyData(NamedTuple):
    """One draw of a problem."""

    source: Domain
    train: Domain
    val: Domain
    test: Domain


def make_toy(problem: Problem, seed: int) -> ToyData:
    """Return a draw of a problem; the order of draws is part of its definition.

    Args:
        problem: What to draw.
        seed: Of everything.
    """
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(_DIM // 2, 2, generator=generator)).Q

    def draw(n: int, degrees: float, shift: Tensor, share: float, subject: int) -> Domain:
        labels = (torch.rand(n, generator=generator) < share).long()
        z = torch.randn(n, 2, generator=generator) * torch.tensor([0.6, 0.9])
        z[:, 0] += 1.6 * (2 * labels - 1)
        angle = math.radians(degrees)
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        half = (z @ turn.T + shift) @ axes.T
        x = torch.cat([half, half], dim=1) + 0.35 * torch.randn(n, _DIM, generator=generator)
        mirrored = torch.cat([x[:, _DIM // 2 :], x[:, : _DIM // 2]], dim=1)
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


_SOURCE = LoopSettings(epochs=15, lr=0.05, weight_decay=1e-3, device="cpu")
_WITH_SOURCE = LoopSettings(epochs=10, lr=0.02, lr_min=0.002, schedule="cosine", weight_decay=5e-4, device="cpu")
_PAIRS = _WITH_SOURCE.model_copy(update={"epochs": 5})
_SOURCE_FREE_LOOP = LoopSettings(epochs=30, lr=0.01, schedule="poly", weight_decay=1e-3, device="cpu")
_ORACLE = LoopSettings(epochs=30, lr=0.01, weight_decay=1e-3, select="val_f1", device="cpu")
_SMOOTHING = 0.1


class _Bench:
    """All methods on one draw of a problem."""

    def __init__(self, problem: Problem, seed: int, folder: Path) -> None:
        self._problem, self._seed, self._folder = problem, seed, folder
        self._data = make_toy(problem, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            start = build_model("mlp", {"visual": _DIM}, hidden=64, bottleneck=32, batch_norm=problem.batch_norm)
        self._source = self._trained(start, "source", self._labelled(self._data.source, 128), _SOURCE)

    def _labelled(self, domain: Domain, batch: int) -> Labelled:
        smoothing = _SMOOTHING if domain is self._data.source else 0.0
        return Labelled(domain, SupervisedOptions(batch_frames=batch, label_smoothing=smoothing), seed=self._seed)

    def _trained(self, start: nn.Module, name: str, strategy: Strategy, settings: LoopSettings) -> nn.Module:
        model = deepcopy(start)
        fit(model, strategy, settings, folder=self._folder / name, seed=self._seed, validate=self._validate, quiet=True)
        return model

    def _validate(self, model: nn.Module) -> dict[str, float | None]:
        return {"val_f1": f1_positive(self._data.val.labels.numpy(), score_rows(model, self._data.val) > 0.5)}

    def accuracy(self, name: str) -> float:
        """Return the share of right answers of a method on the target's test part, in points."""
        model = self._source if name == "source_only" else self._adapted(name)
        return 100 * accuracy(self._data.test.labels.numpy(), score_rows(model, self._data.test) > 0.5)

    def _adapted(self, name: str) -> nn.Module:
        source, target, seed = self._data.source, self._data.train, self._seed
        if name == "mmd":
            options = MmdOptions(batch_frames=128, label_smoothing=_SMOOTHING)
            return self._trained(self._source, name, Alignment(source, target, options, seed=seed), _WITH_SOURCE)
        if name == "sub_based":
            pairs = SubjectPairs(source, MmdOptions(batch_frames=128, label_smoothing=_SMOOTHING), seed=seed)
            start = self._trained(self._source, "pairs", pairs, _PAIRS)
            own = SubjectOptions(batch_frames=128, label_smoothing=_SMOOTHING)
            return self._trained(start, name, SubjectBased(source, target, own, seed=seed), _WITH_SOURCE)
        if name == "oracle":
            return self._trained(self._source, name, self._labelled(target, 64), _ORACLE)
        method, _, _ = name.partition("_")
        kind: Diversity = "prior" if name.endswith("_prior") else "uniform"
        share = float((source.labels == 1).float().mean())
        strategy: Strategy
        if method == "shot":
            strategy = Shot(target, ShotOptions(batch_frames=64, diversity=kind), seed=seed, prior_positive=share)
        else:
            nrc = NrcOptions(batch_frames=64, diversity=kind)
            strategy = Nrc(target, nrc, seed=seed, n_epochs=_SOURCE_FREE_LOOP.epochs, prior_positive=share)
        return self._trained(self._source, name, strategy, _SOURCE_FREE_LOOP)


def bench_adaptation(seeds: Sequence[int]) -> dict[str, dict[str, dict[str, float]]]:
    """Return, by problem and method, the gain over the source model and the accuracy, in points, over the seeds.

    Args:
        seeds: At least one.

    Returns:
        Problem to method to ``gain_mean``, ``gain_min`` and ``accuracy_mean``; ``source_only`` is among the methods.

    Raises:
        ConfigError: There are no seeds.
    """
    if not seeds:
        raise ConfigError("No seeds are given.", remedy="Give a half-open range such as --seeds 0:5.")
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, problem in PROBLEMS.items():
        found: dict[str, list[float]] = {method: [] for method in ("source_only", *problem.methods)}
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                bench = _Bench(problem, seed, Path(folder))
                for method, values in found.items():
                    values.append(bench.accuracy(method))
        results[name] = {}
        for method, values in found.items():
            gains = [value - start for value, start in zip(values, found["source_only"], strict=True)]
            results[name][method] = {
                "gain_mean": mean(gains),
                "gain_min": min(gains),
                "accuracy_mean": mean(values),
            }
    return results
