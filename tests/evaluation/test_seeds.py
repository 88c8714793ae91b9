"""Several seeds of one method: their mean, and an interval that knows of both people and seeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows, pool_seeds
from bah_mllm.predictions import PredictionRow

N = 40
LABELS = Labels(tuple(VideoLabels(f"v{n:02}", f"p{n // 4}", split="test", label=n % 2) for n in range(N)))


def rows_of(name: str, p: np.ndarray) -> list[PredictionRow]:
    return [
        PredictionRow(system=name, video_id=f"v{n:02}", participant_id="x", level=Level.VIDEO, p_positive=float(value))
        for n, value in enumerate(p)
    ]


def noisy(seed: int, n: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-(1.5 * (np.arange(n) % 2 - 0.5) + rng.normal(size=n))))


def pool(rows, seeds, **other):
    (found,) = pool_seeds(rows, LABELS, {"mine": seeds}, level="video", split="test", **{"n_draws": 200} | other)
    return found


def test_the_value_is_the_mean_over_seeds_on_the_items_that_all_scored():
    rows = rows_of("a", noisy(1)) + rows_of("b", noisy(2, 30)) + rows_of("c", noisy(3))
    found = pool(rows, ["a", "b", "c"])
    assert (found.n, found.n_participants, found.seeds) == (30, 8, ("a", "b", "c"))
    y = np.arange(30) % 2
    ap = [
        sklearn.metrics.average_precision_score(y, noisy(seed)[:30] if seed != 2 else noisy(2, 30))
        for seed in (1, 2, 3)
    ]
    assert found.metrics["ap"] == pytest.approx(np.mean(ap))
    assert found.seed_sd["ap"] == pytest.approx(np.std(ap, ddof=1))
    assert found.per_seed["ap"] == pytest.approx(ap)
    json.dumps(found.to_json(), allow_nan=False)


def test_equal_seeds_have_the_interval_of_one_of_them():
    rows = rows_of("a", noisy(1)) + rows_of("b", noisy(1))
    found = pool(rows, ["a", "b"], seed=4)
    alone = evaluate_rows(rows_of("a", noisy(1)), LABELS, level="video", split="test", n_draws=200, seed=4).rows[0]
    assert found.seed_sd["f1"] == 0.0
    assert found.ci == {name: pytest.approx(metric.bounds) for name, metric in alone.metrics.items()}


def test_seeds_that_differ_widen_the_interval():
    good, bad = np.where(np.arange(N) % 2, 0.9, 0.1), np.where(np.arange(N) % 2, 0.1, 0.9)
    low, high = pool(rows_of("a", good) + rows_of("b", bad), ["a", "b"]).ci["accuracy"]
    assert (low, high) == (0.0, 1.0)  # a quarter of the draws has one seed only, either way


def test_seeds_that_are_missing_or_alone_are_refused():
    with pytest.raises(ConfigError, match="no seed 'z'"):
        pool(rows_of("a", noisy(1)), ["a", "z"])
    with pytest.raises(ConfigError, match="fewer than two"):
        pool(rows_of("a", noisy(1)), ["a"])


def test_one_class_leaves_ranking_metrics_out():
    labels = Labels(tuple(VideoLabels(f"v{n:02}", f"p{n // 4}", split="test", label=1) for n in range(N)))
    rows = rows_of("a", noisy(1)) + rows_of("b", noisy(2))
    (found,) = pool_seeds(rows, labels, {"mine": ["a", "b"]}, level="video", split="test", n_draws=20)
    assert found.metrics["ap"] is found.ci["ap"] is found.seed_sd["ap"] is None
    assert found.metrics["f1"] is not None
