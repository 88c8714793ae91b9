"""Toy problems with known answers: methods must gain what they can, and the bars hold on any seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bah_mllm.bench.adaptation import ToyMethods
from bah_mllm.bench.toy_problems import TOY_PROBLEMS, ToyData, make_toy
from supervised.adaptation.domains import Domain


def parts(data: ToyData) -> list[Domain]:
    return [data.source, data.train, data.val, data.test]


def test_mirroring_a_toy_frame_twice_gives_the_frame():
    data = make_toy(TOY_PROBLEMS["T1"], 0)
    half = data.train.features.shape[1] // 2
    turned = torch.cat([data.train.flipped[:, half:], data.train.flipped[:, :half]], dim=1)
    assert torch.equal(turned, data.train.features)
    assert [len(part) for part in parts(data)] == [2400, 700, 200, 400]


def test_the_shares_of_positives_are_those_asked_for():
    data = make_toy(TOY_PROBLEMS["T3"], 0)
    shares = [float(part.labels.float().mean()) for part in parts(data)]
    assert shares == pytest.approx([0.2, 0.2, 0.5, 0.2], abs=0.07)


def gains(problem: str, tmp_path: Path, *methods: str) -> dict[str, float]:
    bench = ToyMethods(TOY_PROBLEMS[problem], 0, tmp_path)
    start = bench.accuracy("source_only")
    return {method: bench.accuracy(method) - start for method in methods}


@pytest.mark.slow
def test_alignment_gains_on_a_turned_target(tmp_path):
    found = gains("T1", tmp_path, "mmd", "sub_based")
    assert min(found.values()) > 0


@pytest.mark.slow
def test_aligning_to_the_prior_recovers_what_the_uniform_diversity_costs(tmp_path):
    found = gains("T3", tmp_path, "shot", "shot_prior")
    assert found["shot_prior"] > found["shot"] + 8


@pytest.mark.slow
def test_the_bars_hold_over_five_seeds(bah):
    code, out, _ = bah("bench", "adaptation", "--seeds", "20:25", "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert set(found) == {"T1", "T2", "T3"}
    for method in ("mmd", "sub_based"):
        assert found["T1"][method]["gain_mean"] >= 2.5
        assert found["T1"][method]["gain_min"] >= 0
    for method in ("shot", "nrc"):
        assert found["T2"][method]["gain_mean"] >= 15
        assert found["T3"][f"{method}_prior"]["accuracy_mean"] >= found["T3"][method]["accuracy_mean"] + 8
    for methods in found.values():
        assert methods["oracle"]["accuracy_mean"] >= max(one["accuracy_mean"] for one in methods.values()) - 0.5


def test_no_seeds_are_refused(bah):
    code, _, err = bah("bench", "adaptation", "--seeds", "5:5")
    assert code == 2
    assert "names no seeds" in err


@pytest.mark.slow
def test_a_bench_repeats(tmp_path):
    first, second = (gains("T2", tmp_path / str(n), "nrc") for n in range(2))
    assert first == second


def test_the_bench_prints_a_line_for_every_problem_and_method(bah, monkeypatch):
    figures = {"gain_mean": 12.3456, "gain_min": -1.0, "accuracy_mean": 90.0}
    monkeypatch.setattr("bah_mllm.bench.adaptation.bench_adaptation", lambda _request: {"T1": {"mmd": figures}})
    code, out, _ = bah("bench", "adaptation", "--seeds", "0:1")
    assert (code, out) == (0, "T1 mmd: gain_mean 12.35, gain_min -1, accuracy_mean 90\n")
