"""Whole adaptations on the demo set, with made-up features."""

from __future__ import annotations

import json
from shutil import copytree

import numpy as np
import pytest

import bah_mllm
from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.predictions import read_run
from supervised.adaptation import METHODS
from supervised.adaptation.domains import map_domain
from supervised.features.store import FeatureStore

TARGETS = ["90006", "90007", "90008"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_judges_every_participant_beside_the_source_and_the_trivial_answers(method, run, tmp_path):
    record = run(method, tmp_path / "run")
    assert list(record["targets"]) == TARGETS
    assert (record["excluded"], record["failed"]) == ({}, {})
    for target in record["targets"].values():
        assert set(target["metrics"]) == {"source_only", method, "all-positive", "all-negative"}
        assert target["target_split"] == "frame"
        assert all(value is None or np.isfinite(value) for value in target["metrics"][method].values())
    assert record["summary"]["systems"][method]["f1"]["n"] == 3
    assert record["summary"]["wins"].get(method, {"n": 3})["n"] == 3


def test_rows_are_those_of_the_test_frames_and_the_evaluator_reads_them(run, tmp_path):
    record = run("mmd", tmp_path / "run")
    rows = read_run(tmp_path / "run")
    n_test = sum(target["sizes"]["test_ah"] + target["sizes"]["test_n"] for target in record["targets"].values())
    assert len(rows) == 2 * n_test
    assert {row.system for row in rows} == {"mmd", "source_only"}
    evaluation = bah_mllm.evaluate(tmp_path / "run", n_draws=0)
    found = {result.identity.system: result for result in evaluation.rows}
    assert found["mmd"].counts.n == n_test


def test_metrics_by_target_are_those_of_its_rows(run, tmp_path, demo):
    from sklearn.metrics import average_precision_score, f1_score

    record = run("shot", tmp_path / "run")
    rows = [row for row in read_run(tmp_path / "run") if row.participant_id == "90007" and row.system == "shot"]
    labels = [int(demo.frame_labels(demo.video(row.video_id))[row.start_frame]) for row in rows]
    p = [row.p_positive for row in rows]
    metrics = record["targets"]["90007"]["metrics"]["shot"]
    assert metrics["f1"] == pytest.approx(f1_score(labels, np.array(p) > 0.5))
    assert metrics["ap"] == pytest.approx(average_precision_score(labels, p))


@pytest.mark.slow
def test_the_oracle_learns_what_the_source_does_not_know(run, tmp_path):
    record = run("oracle", tmp_path / "run", "loop.epochs=20")
    systems = record["summary"]["systems"]
    assert systems["oracle"]["f1"]["mean"] > systems["source_only"]["f1"]["mean"]
    assert record["selection"] == "val_f1"


@pytest.mark.parametrize("kind", ["segment", "video"])
def test_splits_that_do_not_leak_are_stamped_on_results(kind, run, tmp_path):
    record = run("shot", tmp_path / "run", target_split=kind)
    assert record["target_split"] == kind
    assert all(target["target_split"] == kind for target in record["targets"].values())


def test_source_frames_are_shared_by_processes_and_gone_in_the_end(run, tmp_path, demo, features, monkeypatch):
    from supervised.adaptation import workers
    from supervised.adaptation.domains import Domain

    mapped: list[Domain] = []
    monkeypatch.setattr(workers, "map_domain", lambda folder: mapped.append(map_domain(folder)) or mapped[-1])
    run("mmd", tmp_path / "run", "loop.epochs=1", targets=("90007",))
    assert not (tmp_path / "run/source_frames").exists()
    (frames,) = mapped
    store = FeatureStore(features)
    valid = [store.read("made-up", video.video_id).is_valid for video in demo.videos("train")]
    assert len(frames) == sum(int(one.sum()) for one in valid)
    assert frames.flipped is None
    labels = [demo.frame_labels(video)[ok] for video, ok in zip(demo.videos("train"), valid, strict=True)]
    assert frames.labels.tolist() == np.concatenate(labels).tolist()


def test_faithful_recipes_take_the_public_codes_behaviour_and_say_so(run, tmp_path):
    record = run("sub_based", tmp_path / "run", "faithful=true")
    assert record["system"] == "sub_based faithful"
    assert record["targets"]["90006"]["log"][0]["tau"] == 0.95


def test_targets_that_are_in_the_source_too_are_noted(run, tmp_path):
    run("shot", tmp_path / "run", split="train", targets=("90001",))
    notes = json.loads((tmp_path / "run/run.json").read_text())["notes"]
    assert any("are targets and in the source" in note for note in notes)


def test_a_loss_that_is_not_finite_fails_for_its_target_alone(run, tmp_path, monkeypatch):
    from supervised.adaptation import source_free

    original = source_free.mean_entropy
    calls = []

    def broken(p):
        calls.append(len(p))
        return original(p) * (float("nan") if len(calls) == 1 else 1.0)

    monkeypatch.setattr(source_free, "mean_entropy", broken)
    record = run("shot", tmp_path / "run")
    assert list(record["failed"]) == ["90006"]
    assert record["summary"]["n_targets"] == 2
    failed = [row for row in read_run(tmp_path / "run") if row.status == "engine_error"]
    assert {row.participant_id for row in failed} == {"90006"}


def test_who_has_no_positive_frame_is_left_out_and_named(run, tmp_path, monkeypatch):
    from bah_mllm.dataset import Dataset

    original = Dataset.frame_labels

    def frame_labels(self, video, **lengths):
        labels = original(self, video, **lengths)
        return labels * 0 if video.participant_id == "90007" else labels

    monkeypatch.setattr(Dataset, "frame_labels", frame_labels)
    record = run("shot", tmp_path / "run")
    assert record["excluded"] == {"90007": "no positives"}
    assert list(record["targets"]) == ["90006", "90008"]


def test_a_video_without_features_gets_a_row_that_says_so(run, tmp_path, features):
    copytree(features, tmp_path / "features")
    store = FeatureStore(tmp_path / "features")
    lost = next(video_id for video_id in store.video_ids("made-up") if "90008" in video_id)
    store.fail("made-up", lost, "no face was found")
    record = run("shot", tmp_path / "run", features=tmp_path / "features")
    failed = [row for row in read_run(tmp_path / "run") if row.status == "no_features"]
    assert {(row.video_id, row.system) for row in failed} == {(lost, "shot"), (lost, "source_only")}
    assert "no face was found" in failed[0].detail
    assert "90008" in record["targets"]


def test_features_of_random_weights_are_named_in_the_run_and_above_the_tables(run, tmp_path, features, source):
    from supervised.adaptation.record import AdaptRecord
    from supervised.adaptation.report import summary_lines
    from supervised.features.store import FeatureSet

    copytree(features, tmp_path / "features")
    about = tmp_path / "features" / "made-up" / "set.json"
    made = FeatureSet.model_validate_json(about.read_text())
    about.write_text(made.model_copy(update={"is_stand_in": True}).model_dump_json())
    note = "features made-up come from random weights: a stand-in, not a result"
    record = run("shot", tmp_path / "run", features=tmp_path / "features")
    assert note in json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    lines = summary_lines(AdaptRecord.model_validate(record))
    assert lines.index(f"**{note}**") < lines.index("| system | F1 | WF1 | AP | AP_bah |")
    other = AdaptRecord.model_validate(run("shot", tmp_path / "other"))
    assert note not in "\n".join(summary_lines(other))


def test_the_command_prints_a_table_and_json(bah, tmp_path, features, source):
    options = ["--recipe", "shot", "--set", "loop.epochs=1", "--features", features, "--source", source]
    code, out, err = bah("adapt", *options, "--out", tmp_path / "run", "--targets", "90007")
    assert code == 0, err
    assert "| all-positive |" in out
    assert "above source_only for" in out
    code, out, _ = bah("adapt", *options, "--out", tmp_path / "run", "--targets", "90007", "--json", "-")
    assert json.loads(out)["summary"]["n_targets"] == 1


def test_unknown_participants_and_recipes_of_another_kind_are_refused(run, tmp_path, source):
    with pytest.raises(ConfigError, match="'nobody'"):
        run("shot", tmp_path / "run", targets=("nobody",))
    from supervised.flows.adapt import make_request

    with pytest.raises(ConfigError, match="not for adaptation"):
        make_request("lfan", (), out=tmp_path, features=tmp_path)
    with pytest.raises(ConfigError, match="--target-split"):
        make_request("shot", (), out=tmp_path, features=tmp_path, target_split="person")
    with pytest.raises(ConfigError, match=r"source_training\.loop\.select can be 'last' only"):
        make_request("shot", ("source_training.loop.select=val_f1",), out=tmp_path, features=tmp_path)
    with pytest.raises(ConfigError, match=r"options\.batch_frames"):  # a step of one frame trains nothing
        make_request("mmd", ("options.batch_frames=1",), out=tmp_path, features=tmp_path)
    with pytest.raises(ConfigError, match=r"source model takes the features .*made-up.* asks for .*other"):
        make_request("shot", ("features.visual=other",), out=tmp_path, features=tmp_path, source=source)
    with pytest.raises(ConfigError, match=r"options\.tau"):
        make_request("sub_based", ("options.tau=2",), out=tmp_path, features=tmp_path)


def test_without_features_the_error_says_what_to_run(run, tmp_path):
    with pytest.raises(DataError, match="no features") as caught:
        run("shot", tmp_path / "run", features=tmp_path / "empty", source=None)
    assert "bah-mllm features" in caught.value.remedy
