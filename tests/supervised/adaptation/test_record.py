"""What an adaptation leaves on disk: it is read as it was meant, whoever wrote it, or refused with a remedy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bah_mllm.core.errors import RunError
from supervised.adaptation.recipe import AdaptationRecipe
from supervised.adaptation.record import AdaptRecord, TargetResult, write_result
from supervised.adaptation.request import AdaptRequest
from supervised.adaptation.targets import TargetFit, TargetOutcome
from supervised.reading import read_recipe

ONE = ("90007",)


def result_of(out, participant="90007"):
    return out / "targets" / participant / "result.json"


def test_the_record_is_the_file_beside_the_rows(run, tmp_path):
    record = run("shot", tmp_path / "run", targets=ONE)
    written = (tmp_path / "run/adapt.json").read_bytes()
    assert json.loads(written) == record
    assert AdaptRecord.model_validate_json(written).targets["90007"] == TargetResult.model_validate_json(
        result_of(tmp_path / "run").read_bytes()
    )


@pytest.mark.parametrize("lost", ['"sizes"', "{"])
def test_a_damaged_result_is_told_with_a_remedy_and_made_again_once_deleted(lost, run, tmp_path):
    record = run("shot", tmp_path / "run", targets=ONE)
    path = result_of(tmp_path / "run")
    path.write_text(path.read_text().replace(lost, "", 1))
    with pytest.raises(RunError, match=r"result\.json is damaged") as caught:
        run("shot", tmp_path / "run", targets=ONE)
    assert caught.value.remedy.startswith("Delete it")
    path.unlink()
    assert run("shot", tmp_path / "run", targets=ONE) == record


@pytest.mark.parametrize("empty_part", ["test_ah", "test_n"])
def test_a_ranking_that_an_older_version_wrote_of_one_class_is_not_taken_over(empty_part, run, tmp_path):
    run("shot", tmp_path / "run", targets=ONE)
    path = result_of(tmp_path / "run")
    older = json.loads(path.read_text())
    older["sizes"][empty_part] = 0
    for metrics in older["metrics"].values():
        metrics |= {"ap": 1.0, "ap_bah": 0.9, "auroc": None}
    path.write_text(json.dumps(older))
    record = run("shot", tmp_path / "run", targets=ONE)
    for system, metrics in record["targets"]["90007"]["metrics"].items():
        assert [metrics[name] for name in ("ap", "ap_bah", "auroc")] == [None] * 3
        assert metrics["f1"] == older["metrics"][system]["f1"]
    assert record["summary"]["systems"]["shot"]["ap"] == {"mean": None, "std": None, "n": 0}


def test_a_target_whose_test_frames_are_all_ah_has_no_ranking_metric(tmp_path):
    recipe = read_recipe("shot", ())
    assert isinstance(recipe, AdaptationRecipe)
    request = AdaptRequest(recipe=recipe, out=tmp_path, features=tmp_path)
    outcome = TargetOutcome(
        participant_id="p",
        video_ids=("v", "v"),
        frames=np.array([0, 1]),
        labels=np.array([1, 1]),
        p_source=np.array([0.2, 0.7]),
        p=np.array([0.6, 0.7]),
        sizes={"test_ah": 2, "test_n": 0, "left_out": 0},
        fitted=TargetFit(selected_epoch=1),
    )
    write_result(request, outcome)
    found = TargetResult.model_validate_json(result_of(tmp_path, "p").read_bytes())
    assert set(found.metrics) == {"source_only", "shot", "all-positive", "all-negative"}
    for metrics in found.metrics.values():
        assert [metrics[name] for name in ("ap", "ap_bah", "auroc")] == [None] * 3
    assert (found.metrics["shot"]["f1"], found.metrics["source_only"]["accuracy"]) == (1.0, 0.5)


def test_what_decides_about_a_run_is_told_as_before_sets_told_of_stand_ins(run, tmp_path):
    run("shot", tmp_path / "run", targets=ONE)
    identity = json.loads((tmp_path / "run/run.json").read_text())["identity"]
    assert identity["feature_sets"] == [
        {"name": "made-up", "modality": "visual", "dim": 8, "has_flipped": True, "settings": {}}
    ]
