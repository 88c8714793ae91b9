"""What every method of adaptation gains on toy problems, in seconds and without data."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.bench.toy_problems import TOY_DIM, TOY_PROBLEMS, ToyProblem, make_toy
from bah_mllm.core.errors import ConfigError
from bah_mllm.evaluation.metrics import accuracy, f1_positive
from supervised.adaptation.domains import Domain, score_rows
from supervised.adaptation.losses import Diversity
from supervised.adaptation.source_free import Nrc, NrcOptions, Shot, ShotOptions
from supervised.adaptation.with_source import (
    Labelled,
    Mmd,
    MmdOptions,
    SubjectBased,
    SubjectOptions,
    SubjectPairs,
    SupervisedOptions,
)
from supervised.models import build_model
from supervised.records import Strategy
from supervised.training.loop import LoopSettings, fit

__all__ = ["ToyMethods", "bench_adaptation"]

_SOURCE = LoopSettings(epochs=15, lr=0.05, weight_decay=1e-3, device="cpu")
_WITH_SOURCE = LoopSettings(epochs=10, lr=0.02, lr_min=0.002, schedule="cosine", weight_decay=5e-4, device="cpu")
_PAIRS = _WITH_SOURCE.model_copy(update={"epochs": 5})
_SOURCE_FREE_LOOP = LoopSettings(epochs=30, lr=0.01, schedule="poly", weight_decay=1e-3, device="cpu")
_ORACLE = LoopSettings(epochs=30, lr=0.01, weight_decay=1e-3, select="val_f1", device="cpu")
_SMOOTHING = 0.1


class ToyMethods:
    """All methods on one draw of a problem.

    Args:
        problem: What to draw.
        seed: Of the draw and of all trainings.
        folder: For checkpoints.
    """

    def __init__(self, problem: ToyProblem, seed: int, folder: Path) -> None:
        self._problem, self._seed, self._folder = problem, seed, folder
        self._data = make_toy(problem, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            start = build_model("mlp", {"visual": TOY_DIM}, hidden=64, bottleneck=32, batch_norm=problem.batch_norm)
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
            return self._trained(self._source, name, Mmd(source, target, options, seed=seed), _WITH_SOURCE)
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


def bench_adaptation(request: BenchRequest) -> Figures:
    """Return, by problem and method, the gain over the source model and the accuracy, in points, over the seeds.

    Args:
        request: With at least one of ``toy_seeds``.

    Returns:
        Problem to method to ``gain_mean``, ``gain_min`` and ``accuracy_mean``; ``source_only`` is among the methods.

    Raises:
        ConfigError: There are no seeds.
    """
    if not request.toy_seeds:
        raise ConfigError("No seeds are given.", remedy="Give a half-open range such as --seeds 0:5.")
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, problem in TOY_PROBLEMS.items():
        found: dict[str, list[float]] = {method: [] for method in ("source_only", *problem.methods)}
        for seed in request.toy_seeds:
            with tempfile.TemporaryDirectory() as folder:
                of_draw = ToyMethods(problem, seed, Path(folder))
                for method, values in found.items():
                    values.append(of_draw.accuracy(method))
        results[name] = {}
        for method, values in found.items():
            gains = [value - start for value, start in zip(values, found["source_only"], strict=True)]
            results[name][method] = {
                "gain_mean": mean(gains),
                "gain_min": min(gains),
                "accuracy_mean": mean(values),
            }
    return results
