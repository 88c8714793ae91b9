"""Ratios against the naive way, measured in one run: absolute times of a shared machine say little."""

from __future__ import annotations

__all__ = ["BENCHES", "OF_SUPERVISED"]

# name -> function of a ``BenchRequest`` that returns figures, and groups of figures, by name
BENCHES = {
    "engine": "bah_mllm.bench.engine:bench_engine",
    "decode": "bah_mllm.bench.decode:bench_decode",
    "evaluator": "bah_mllm.bench.evaluator:bench_evaluator",
    "cues": "bah_mllm.bench.cues:bench_cues",
    "training": "bah_mllm.bench.training:bench_training",
    "adaptation": "bah_mllm.bench.adaptation:bench_adaptation",
}
OF_SUPERVISED = ("training", "adaptation")
"""What needs the supervised half, with torch."""
