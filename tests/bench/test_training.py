"""What ``bah-mllm bench training`` prints; times are not judged here."""

from __future__ import annotations

import json

import pytest

from bah_mllm.cli.app import invoke

# Paper's reference code with features of IR-50 (512), VGGish (128) and BERT (768).
PUBLISHED = {
    "lfan_faithful": 5_001_378,
    "can_faithful": 5_816_514,
    "mt_faithful": 5_983_810,
    "jmt_faithful": 6_347_586,
}


@pytest.mark.slow
def test_bench_training_counts_parameters_and_times_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["bench", "training", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found["parameters"][name] for name in PUBLISHED} == PUBLISHED
    assert {"tcn", "mlp", "lfan", "can", "mt", "jmt"} <= found["parameters"].keys()
    assert found["epoch_speedup"] == pytest.approx(found["backbone_in_loop_epoch_s"] / found["cached_epoch_s"])
    assert found["decoded_video_bytes"] == 96 * 640 * 480 * 3
    assert found["batch_bytes"] == 2 * 48 * 512 * 4  # two windows of 48 frames, 512 floats each
