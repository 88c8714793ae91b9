"""The bootstrap of every metric against scikit-learn's average precision of the same size."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score  # noqa: TID251 - what ours is timed against

from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.bench.timing import process_seconds
from bah_mllm.evaluation.bootstrap import draw_participants
from bah_mllm.evaluation.metrics import HARD_METRICS, METRICS, RANKING_METRICS
from bah_mllm.evaluation.per_draw import Sample, metrics_per_draw

__all__ = ["bench_evaluator"]


def bench_evaluator(request: BenchRequest) -> Figures:
    """Measure 1,000 bootstrap draws of every metric at the size of BAH's test split against one AP of scikit-learn.

    The scores are made up: 256,744 frames of 56 participants, continuous, so that every frame has a score of its own.
    """
    rng = np.random.default_rng(request.seed)
    n_frames, n_participants, n_draws = 256_744, 56, 1_000
    labels = (rng.random(n_frames) < 0.1973).astype(np.int8)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n_frames) + 0.5 * labels - 1.4)))
    participants = np.sort(rng.integers(0, n_participants, n_frames))
    sample = Sample(labels, scores, participants, n_participants)
    counts = draw_participants(n_participants, n_draws=n_draws, seed=request.seed)
    one_ap_s = process_seconds(lambda: average_precision_score(labels, scores))
    bootstrap_s = process_seconds(lambda: metrics_per_draw(sample, counts))
    # Two draws the naive way, by copying the frames of the drawn participants.
    draws = metrics_per_draw(sample, counts[:2])
    members = [np.flatnonzero(participants == person) for person in range(n_participants)]
    largest = 0.0
    for draw in range(2):
        drawn = np.concatenate([np.tile(members[person], counts[draw, person]) for person in range(n_participants)])
        for name, metric in RANKING_METRICS.items():
            largest = max(largest, abs(metric(labels[drawn], scores[drawn]) - draws[name][draw]))
        for name, metric in HARD_METRICS.items():
            largest = max(largest, abs(metric(labels[drawn], scores[drawn] > 0.5) - draws[name][draw]))
    return {
        "n_frames": n_frames,
        "n_participants": n_participants,
        "n_draws": n_draws,
        "metrics": list(METRICS),
        "bootstrap_over_one_ap": bootstrap_s / one_ap_s,
        "bootstrap_s": bootstrap_s,
        "one_ap_s": one_ap_s,
        "largest_difference_to_naive_resampling": largest,
    }
