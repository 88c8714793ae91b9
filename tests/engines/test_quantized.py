"""4 and 8 bits by bitsandbytes, on the CPU."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("bitsandbytes", reason="the extra `quant` is not installed")


# Measured on these random weights, sequence log-probabilities around -30: up to 0.07 apart in 8 bits, 0.6 in 4 bits.
@pytest.mark.parametrize(("bits", "layer", "tolerance"), [("8bit", "Linear8bitLt", 0.5), ("4bit", "Linear4bit", 2.0)])
def test_a_quantized_video_model_scores_near_the_full_one(bits, layer, tolerance, load, make_job):
    engine = load("video-llava", quantize=bits, batch_windows=2)
    jobs = [make_job(0), make_job(8)]
    for row, full_row in zip(engine.score(jobs), load("video-llava").score(jobs), strict=True):
        for answer, full in zip(row, full_row, strict=True):
            assert all(math.isfinite(value) for value in answer.logp.values())
            assert dict(answer.logp) == pytest.approx(dict(full.logp), abs=tolerance)
            assert answer.logp != full.logp
    assert engine.generate(jobs[:1], max_new_tokens=3)[0][0].failure is None
    assert engine.describe()["quantize"] == bits
    kinds = {name: type(module).__name__ for name, module in engine._language_model.model.named_modules()}
    assert kinds["model.language_model.layers.0.mlp.up_proj"] == layer
    # What feeds everything else, and what makes the scores, stays as it is.
    assert kinds["model.video_tower.encoder.layers.0.mlp.fc1"] == "Linear"
    assert kinds["model.multi_modal_projector.linear_1"] == "Linear"
    assert kinds["lm_head"] == "Linear"


def test_a_quantized_text_model_scores_near_the_full_one(load, make_job):
    quantized, full = load("text-raw", quantize="4bit"), load("text-raw")
    for one, other in zip(quantized.score([make_job(0)])[0], full.score([make_job(0)])[0], strict=True):
        assert dict(one.logp) == pytest.approx(dict(other.logp), abs=3.0)
