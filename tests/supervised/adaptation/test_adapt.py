"""Whole adaptations on the demo set, with made-up features."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

import bah_mllm
from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.predictions import read_run
from supervised.adaptation import METHODS
from supervised.adaptation.domains import map_domain
from supervised.features.store import FeatureStore

TARGETS = ["90006", "90007", "90008"]


def probabilities(out: Path) -> dict[tuple[str, str, int], float]:
    return {(row.system, row.video_id, row.start_frame): row.p_positive for row in read_run(out)}


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


def test_results_do_not_depend_on_the_number_of_workers(run, tmp_path):
    for workers in (1, 2):
        run("nrc", tmp_path / f"run{workers}", workers=workers)
    assert probabilities(tmp_path / "run1") == probabilities(tmp_path / "run2")


def test_targets_that_are_done_are_not_done_again_and_the_others_are(run, tmp_path):
    run("mmd", tmp_path / "run")
    whole = probabilities(tmp_path / "run")
    done, undone = (tmp_path / "run/targets" / name / "result.json" for name in TARGETS[:2])
    before = done.stat().st_mtime_ns
    undone.unlink()
    run("mmd", tmp_path / "run", workers=1)
    assert done.stat().st_mtime_ns == before
    assert undone.exists()
    assert probabilities(tmp_path / "run") == whole


_KILLED = """
import os, signal, sys
from pathlib import Path
import supervised.training.loop as loop
saved = loop._save
count = 0
def save(*arguments):
    global count
    saved(*arguments)
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
loop._save = save
from supervised.adaptation.request import AdaptRequest
from supervised.flows.adapt import adapt
adapt(AdaptRequest.model_validate_json(Path(sys.argv[1]).read_text()))
"""


@pytest.mark.parametrize(("method", "n_epochs"), [("nrc", 3), ("sub_based", 8)])
def test_a_killed_run_goes_on_to_the_same_answers(method, n_epochs, run, tmp_path, features, source):
    run(method, tmp_path / "whole")
    config = json.loads((tmp_path / "whole/run.json").read_text())["config"]
    config = {key: value for key, value in config.items() if key != "level"} | {"out": str(tmp_path / "killed")}
    (tmp_path / "request.json").write_text(json.dumps(config))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(bah_mllm.__file__).parents[1])}
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "request.json"), str(n_epochs)]
    killed = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    run(method, tmp_path / "killed")
    assert probabilities(tmp_path / "killed") == probabilities(tmp_path / "whole")


@pytest.mark.slow
def test_workers_end_with_a_killed_run(tmp_path, features, source):
    import time

    import psutil

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bah_mllm", "adapt", "--recipe", "nrc", "--set", "loop.epochs=100000"]
    command += ["--workers", "2", "--out", tmp_path / "run", "--features", features, "--source", source]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        workers: list[psutil.Process] = []
        started = time.monotonic()
        while len(list((tmp_path / "run").glob("targets/*/checkpoint.pt"))) < 2:
            assert time.monotonic() - started < 120
            time.sleep(0.1)
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert len(workers) == 2
    assert not alive


def test_another_recipe_in_the_same_folder_is_refused(run, tmp_path):
    run("shot", tmp_path / "run")
    with pytest.raises(RunError, match="recipe"):
        run("shot", tmp_path / "run", "options.beta=0.1")


@pytest.mark.parametrize("has_source", [True, False])
@pytest.mark.parametrize("whose", ["train", "test"])
def test_a_folder_is_not_gone_on_with_where_features_have_changed(has_source, whose, run, tmp_path, demo, features):
    copytree(features, tmp_path / "features")
    settings = {"features": tmp_path / "features", "targets": ("90007",)} | ({} if has_source else {"source": None})
    run("mmd", tmp_path / "run", "source_training.loop.epochs=1", **settings)
    store = FeatureStore(tmp_path / "features")
    changed = next(video for video in demo.videos(whose) if whose == "train" or video.participant_id == "90007")
    stored = store.read("made-up", changed.video_id)
    flipped = store.read("made-up", changed.video_id, flipped=True).values
    store.add("made-up", changed.video_id, stored.values + 1, fps=24.0, flipped=flipped)
    with pytest.raises(RunError, match="features_held"):
        run("mmd", tmp_path / "run", "source_training.loop.epochs=1", **settings)


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


def test_a_damaged_checkpoint_is_told_and_no_outcome_of_the_method(run, tmp_path):
    folder = tmp_path / "run/targets/90007"
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(RunError, match="checkpoint"):
        run("shot", tmp_path / "run", targets=("90007",))
    assert not (folder / "result.json").exists()


def test_several_modalities_stand_side_by_side(run, tmp_path):
    record = run("shot", tmp_path / "run", "features.audio=heard", source=None)
    assert record["features"] == {"visual": "made-up", "audio": "heard"}
    assert len(record["targets"]) == 3


def test_any_other_modality_can_be_adapted(tmp_path, features):
    from supervised.flows.adapt import adapt, make_request

    overrides = ("features={audio='heard'}", "loop.epochs=1", "source_training.loop.epochs=1")
    record = adapt(make_request("nrc", overrides, out=tmp_path / "run", features=features))
    assert record["features"] == {"audio": "heard"}


def test_a_temporal_model_gives_embeddings_that_are_adapted(tmp_path, features):
    from supervised.flows.adapt import adapt, make_request
    from supervised.flows.train import train
    from supervised.reading import read_recipe
    from supervised.training.requests import TrainRequest

    recipe = read_recipe("tcn_visual", ["features.visual=made-up", "loop.epochs=1", "standardise=['visual']"])
    train(recipe, TrainRequest(None, tmp_path / "tcn", features))
    overrides = ("features.visual=made-up", "loop.epochs=1", "source_training.loop.epochs=1")
    record = adapt(make_request("mmd", overrides, out=tmp_path / "run", features=features, source=tmp_path / "tcn"))
    assert len(record["targets"]) == 3
    assert json.loads((tmp_path / "run/source/source.json").read_text())["origin"] == "embedding"


def test_an_encoder_of_fixed_windows_embeds_every_frame_of_shorter_and_longer_videos():
    from supervised.adaptation.representation import Representation
    from supervised.models import build_model
    from supervised.records import VideoFeatures

    dims = {"visual": 4, "audio": 3, "text": 5}
    encoder = build_model("lfan", dims, variant="faithful", window_frames=12).eval()
    for n_frames in (5, 12, 30):
        rng = np.random.default_rng(n_frames)
        features = {name: rng.normal(size=(n_frames, dim)).astype(np.float32) for name, dim in dims.items()}
        valid = dict.fromkeys(dims, np.ones(n_frames, bool))
        video = VideoFeatures("v", "p", None, None, n_frames, features, valid, None, None)
        found = Representation({}, encoder=encoder).encoded(video)
        assert list(found.features) == ["visual"]
        assert len(found.features["visual"]) == n_frames
        assert np.isfinite(found.features["visual"]).all()


def test_a_frame_model_of_a_training_run_is_adapted_itself(tmp_path, features):
    from supervised.flows.adapt import adapt, make_request
    from supervised.flows.train import train
    from supervised.reading import read_recipe
    from supervised.training.requests import TrainRequest

    overrides = ["features.visual=made-up", "model.name=mlp", "loop.epochs=1", "standardise=['visual']"]
    train(read_recipe("tcn_visual", overrides), TrainRequest(None, tmp_path / "mlp", features))
    request = make_request("shot", ("loop.epochs=1",), out=tmp_path / "run", features=features, source=tmp_path / "mlp")
    record = adapt(request)
    assert record["features"] == {"visual": "made-up"}
    assert json.loads((tmp_path / "run/source/source.json").read_text())["origin"] == "checkpoint"
    trained, kept = (folder / "model.safetensors" for folder in (tmp_path / "mlp/seed-0", tmp_path / "run/source"))
    assert trained.read_bytes() == kept.read_bytes()


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


def test_the_whole_experiment_is_one_call(tmp_path, features, source):
    found = _whole_experiment(tmp_path, features, source)
    assert set(found["summary"]["systems"]) == {*METHODS, "all-positive", "all-negative"}
    table = (tmp_path / "table22.md").read_text()
    assert "demo set (synthetic)" in table
    assert found["paper"] is None  # its numbers are about people
    assert not any(word in table for word in ("paper F1", "(paper", "Paper:", "| paper |"))
    assert (
        "| target | train A/H | train not A/H | val A/H | val not A/H | test A/H | test not A/H | left out |" in table
    )
    assert all(f"## Table {number}" in table for number in range(22, 27))
    for part in "ab":
        assert (tmp_path / f"figure13{part}.png").read_bytes().startswith(b"\x89PNG")
    assert _whole_experiment(tmp_path, features, source) == found


def _whole_experiment(out, features, source) -> dict:
    from bah_mllm.paper.experiments import ExperimentRequest, run_experiment

    quick = ["loop.epochs=1", "features.visual=made-up", "sub_based:subject_stage.loop.epochs=1"]
    request = ExperimentRequest(settings={"out": str(out)}, features=features, source=source, overrides=quick)
    assert run_experiment("table22", request, json_path=None) is False
    return json.loads((out / "table22.json").read_text())


def test_features_of_random_weights_are_named_in_the_run_and_above_the_tables(run, tmp_path, features, source):
    from supervised.adaptation.report import summary_lines
    from supervised.features.store import FeatureSet

    copytree(features, tmp_path / "features")
    about = tmp_path / "features" / "made-up" / "set.json"
    made = FeatureSet.model_validate_json(about.read_text())
    about.write_text(made.model_copy(update={"is_stand_in": True}).model_dump_json())
    note = "features made-up come from random weights: a stand-in, not a result"
    record = run("shot", tmp_path / "run", features=tmp_path / "features")
    assert note in json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    lines = summary_lines(record)
    assert lines.index(f"**{note}**") < lines.index("| system | F1 | WF1 | AP | AP_bah |")
    assert note not in "\n".join(summary_lines(run("shot", tmp_path / "other")))


def test_a_figure_without_groups_says_why_it_is_empty(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from bah_mllm.paper.adaptation_results import AdaptationResults
    from bah_mllm.paper.subgroup_figure import draw_subgroups

    drawn = []
    save = Figure.savefig

    def remember(figure, *args, **kinds):
        drawn.append(figure.axes[0])
        save(figure, *args, **kinds)

    monkeypatch.setattr(Figure, "savefig", remember)
    of_sex = {"F": {"n": 2, "f1": dict.fromkeys(METHODS, 0.5)}}
    summary = {"subgroups": {"age_range": {}, "sex": of_sex}}
    nothing = {name: {} for name in ("features", "selection", "excluded", "failed", "targets")}
    data = {"is_synthetic": True}
    found = AdaptationResults(data=data, notes=(), target_split="frame", summary=summary, paper=None, **nothing)
    for grouping in ("age_range", "sex"):
        draw_subgroups(tmp_path / f"{grouping}.png", found, grouping)
    empty, full = drawn
    assert [text.get_text() for text in empty.texts] == [
        "Fewer than 2 targets in every age group: there is no mean to draw."
    ]
    assert empty.get_legend() is None
    assert full.get_legend() is not None
    assert not full.texts


def test_on_people_the_papers_values_stand_beside_ours(tmp_path, features, source, monkeypatch):
    from bah_mllm.paper import adaptation

    original = adaptation.adapt

    def of_people(request):
        record = original(request)
        return record | {"data": record["data"] | {"is_synthetic": False}, "notes": ["of random weights"]}

    monkeypatch.setattr(adaptation, "adapt", of_people)
    found = _whole_experiment(tmp_path, features, source)
    assert found["paper"]["table22"]["shot"]["f1"] == {"mean": 0.2487, "std": 0.1189}
    table = (tmp_path / "table22.md").read_text()
    assert "demo set (synthetic)" not in table
    lines = table.splitlines()
    assert lines.index("**of random weights**") < next(n for n, line in enumerate(lines) if line.startswith("|"))
    (shot,) = (line for line in table.splitlines() if line.startswith("| shot |") and "0.2487 ± 0.1189" in line)
    assert shot.split(" | ")[-3] == "0.2487 ± 0.1189"
    assert "| 35-44 (paper, n = 14) |" in table


def test_the_experiments_command_makes_the_papers_tables(bah, tmp_path, features, source):
    quick = ["loop.epochs=1", "features.visual=made-up", "sub_based:subject_stage.loop.epochs=1"]
    options = [part for one in quick for part in ("--set", one)]
    options += ["--features", features, "--source", source, "--out", tmp_path / "out", "--target-split", "video"]
    code, out, err = bah("experiment", "table22", *options)
    assert code == 0, err
    assert "## Table 22" in out
    assert (tmp_path / "out/figure13a.png").exists()
    code, _, err = bah("experiment", "table22", *options, "--seeds", "0:2")
    assert code == 2
    assert "one seed" in err


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
