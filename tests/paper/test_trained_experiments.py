"""The paper's supervised tables and figure over a made-up data root."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from bah_mllm.cli.app import invoke
from bah_mllm.dataset import open_dataset
from bah_mllm.paper.experiments import EXPERIMENTS
from bah_mllm.predictions import read_manifest, read_run
from supervised.features.store import FeatureSet, FeatureStore

# One short epoch of small models, and the validation metric that two videos define.
QUICK = ("loop.epochs=1", "data.window_frames=32", "data.hop_frames=32")
NARROW = "model.options.widths={visual=[4, 4], audio=[4, 4], text=[4, 4]}"


def table(
    name: str,
    where: tuple[Path, Path],
    out: Path,
    *options: str,
    overrides: Sequence[str] = (*QUICK, NARROW),
) -> dict[str, Any]:
    root, features = where
    command = ["experiment", name, "--data", str(root), "--features", str(features), "--out", str(out), "--draws", "0"]
    sets = [word for override in overrides for word in ("--set", override)]
    assert invoke([*command, *sets, *options]) == 0
    written: dict[str, Any] = json.loads((out / f"{name}.json").read_text())
    return written


def weights_written(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("*/trained/seed-*/checkpoint.pt")}


def test_table_6_has_every_subset_of_modalities_beside_the_papers_row(
    paper_root: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = table("table6", paper_root, tmp_path / "out")
    assert [row["system"] for row in found["rows"]] == [
        "visual", "audio", "text", "visual + audio", "visual + text", "audio + text", "visual + audio + text",
    ]  # fmt: skip
    assert (tmp_path / "out" / "table6.md").read_text() in capsys.readouterr().out
    assert found["rows"][3]["paper"] == {"f1": 0.2873, "wf1": 0.7338, "ap_bah": 0.2818}  # paper, Table 6
    assert found["rows"][6]["paper"] == {"f1": 0.2737, "wf1": 0.7396, "ap_bah": 0.2416}
    assert [row["n"] for row in found["rows"]] == [127] * 7  # frames of the two test videos
    assert {"all-positive", "all-negative", "prevalence"} <= {anchor["system"] for anchor in found["anchors"]}
    lines = (tmp_path / "out" / "table6.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| system"))
    assert head.split(" | ")[-3:] == ["paper F1", "paper WF1", "paper AP_bah |"]


def test_tables_of_videos_use_what_those_of_frames_trained(paper_root: tuple[Path, Path], tmp_path: Path) -> None:
    overrides = ("loop.epochs=1", "data.window_frames=32")
    frames = table("table5", paper_root, tmp_path / "out", overrides=overrides)
    before = weights_written(tmp_path / "out")
    videos = table("table15", paper_root, tmp_path / "out", overrides=overrides)
    again = table("table5", paper_root, tmp_path / "out", overrides=overrides)
    assert len(before) == 2
    assert weights_written(tmp_path / "out") == before
    assert again == frames
    assert [row["system"] for row in videos["rows"]] == ["face-resnet152, no context", "face-resnet152, TCN"]
    assert [row["paper"]["f1"] for row in frames["rows"]] == [0.1757, 0.2213]  # paper, Table 5
    assert [row["paper"]["f1"] for row in videos["rows"]] == [0.0765, 0.0]  # paper, Table 15
    assert [row["n"] for row in videos["rows"]] == [2, 2]


def test_several_seeds_give_mean_and_deviation_over_seeds(paper_root: tuple[Path, Path], tmp_path: Path) -> None:
    root, features = paper_root
    for name in FeatureStore(features).names():
        if name != "bert":
            (features / name / "set.json").unlink()  # leaves one arm
    found = table("table6", paper_root, tmp_path / "out", "--seeds", "0:3")
    row = next(row for row in found["rows"] if row["system"] == "text")
    dataset = open_dataset(root)
    labels = np.concatenate([dataset.frame_labels(video) for video in dataset.videos("test")])
    runs = sorted((tmp_path / "out").glob("lfan-*/run-test/seed-*"))
    f1s = []
    for run in runs:
        p = {(one.video_id, one.start_frame): one.p_positive for one in read_run(run)}
        ordered = [
            p[video.video_id, k] for video in dataset.videos("test") for k in range(len(dataset.frame_labels(video)))
        ]
        f1s.append(f1_score(labels, np.array(ordered) > 0.5))
    assert len(f1s) == 3
    assert row["n_seeds"] == 3
    assert row["f1"]["mean"] == pytest.approx(np.mean(f1s))
    assert row["f1"]["sd"] == pytest.approx(np.std(f1s, ddof=1))
    # a part of the seeds afterwards, and more of them: what is there is used
    before = weights_written(tmp_path / "out")
    one = table("table6", paper_root, tmp_path / "out", "--seeds", "1")
    assert next(row for row in one["rows"] if row["system"] == "text")["f1"] == {"mean": f1s[1], "sd": None}
    assert weights_written(tmp_path / "out") == before


def test_an_arm_without_its_features_is_left_out_with_the_reason(paper_root: tuple[Path, Path], tmp_path: Path) -> None:
    (paper_root[1] / "vggish" / "set.json").unlink()
    found = table("table6", paper_root, tmp_path / "out")
    problems = {row["system"]: row["problem"] for row in found["rows"]}
    assert [system for system, problem in problems.items() if problem is None] == ["visual", "text", "visual + text"]
    assert "There are no features 'vggish'" in problems["audio"]
    assert "Left out: audio: There are no features 'vggish'" in (tmp_path / "out" / "table6.md").read_text()


@pytest.mark.parametrize("name", ["table5", "table16"])
def test_without_any_features_there_is_an_error_and_no_table(
    name: str, paper_root: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(
        ["experiment", name, "--data", str(paper_root[0]), "--features", "none", "--out", str(tmp_path / "out")]
    )
    assert code == 2
    assert "bah-mllm features" in capsys.readouterr().err
    assert not (tmp_path / "out" / f"{name}.md").exists()


@pytest.mark.slow
def test_table_7_has_each_fusion_corrected_and_faithful_and_table_17_shares_them(
    paper_root: tuple[Path, Path], tmp_path: Path
) -> None:
    found = table("table7", paper_root, tmp_path / "out", overrides=QUICK)
    systems = [f"{name} {variant}" for variant in ("corrected", "faithful") for name in ("LFAN", "CAN", "MT", "JMT")]
    assert [row["system"] for row in found["rows"]] == systems
    assert [row["problem"] for row in found["rows"]] == [None] * 8
    assert [row["paper"]["ap_bah"] for row in found["rows"]] == [0.2416, 0.2559, 0.2108, 0.2335] * 2  # paper, Table 7
    before = weights_written(tmp_path / "out")
    table("table17", paper_root, tmp_path / "out", overrides=QUICK)
    assert weights_written(tmp_path / "out") == before


@pytest.mark.slow
def test_the_papers_numbers_do_not_stand_beside_the_demo_set_other_splits_or_other_data(
    paper_root: tuple[Path, Path], tmp_path: Path
) -> None:
    root, _ = paper_root
    overrides = (*QUICK, NARROW)
    val = table("table6", paper_root, tmp_path / "val", "--split", "val", overrides=overrides)
    assert all(row["paper"] == {} for row in val["rows"])
    (root / "bah-demo.toml").write_text('name = "made up"\nsynthetic = true\n')
    synthetic = table("table6", paper_root, tmp_path / "synthetic", overrides=overrides)
    assert all(row["paper"] == {} for row in synthetic["rows"])
    text = (tmp_path / "synthetic" / "table6.md").read_text()
    assert text.startswith("**demo set (synthetic)")
    assert "paper" not in text


@pytest.mark.slow
def test_table_14_measures_cost_beside_the_papers(tmp_path: Path, paper_root: tuple[Path, Path]) -> None:
    found = table("table14", paper_root, tmp_path / "out", "--window", "8", overrides=())
    assert found["trainable_parameters"] == pytest.approx(5_001_378, rel=0.01)
    assert found["window_frames"] == 8
    assert found["flops"] == 2 * found["macs"]
    # ResNet-152 on 112 pixels, a quarter of the 11.5 GMACs that torchvision lists for 224
    assert found["macs"] / 8 == pytest.approx(11.5e9 / 4, rel=0.05)
    assert found["paper"]["macs"] == 938e9


def test_figure_12_judges_with_and_without_repeated_frames(paper_root: tuple[Path, Path], tmp_path: Path) -> None:
    root, _ = paper_root
    found = table(
        "figure12", paper_root, tmp_path / "out", "--window", "24", "--window", "96", overrides=("loop.epochs=1",)
    )
    dataset = open_dataset(root)
    labels = [dataset.frame_labels(video) for video in dataset.videos("test")]
    short, long = found["rows"]
    assert [row["window_frames"] for row in found["rows"]] == [24, 96]
    assert short["share_padding"] == 0
    assert short["plain"] == short["padding_counted"]
    n_repeated = sum(96 - len(one) for one in labels)
    assert long["share_padding"] == pytest.approx(n_repeated / (2 * 96))
    run = next(run for run in (tmp_path / "out").glob("tcn_visual-*/run-test/seed-0") if _window(run) == 96)
    p = {(one.video_id, one.start_frame): one.p_positive for one in read_run(run)}
    videos = dataset.videos("test")
    plain = np.concatenate(
        [[p[video.video_id, k] for k in range(len(one))] for video, one in zip(videos, labels, strict=True)]
    )
    assert long["plain"]["f1"] == pytest.approx(f1_score(np.concatenate(labels), plain > 0.5))
    assert long["padding_counted"]["f1"] == pytest.approx(_f1_with_repeated_frames(dataset, paper_root[1], run, labels))
    assert (tmp_path / "out" / "figure12.png").read_bytes().startswith(b"\x89PNG")


def test_figure_12_keeps_the_rows_of_repeated_frames_on_disk(paper_root: tuple[Path, Path], tmp_path: Path) -> None:
    options = ("figure12", paper_root, tmp_path / "out", "--window", "96")
    found = table(*options, overrides=("loop.epochs=1",))
    run = next((tmp_path / "out").glob("tcn_visual-*/run-test-padded/seed-0"))
    rows = read_run(run)
    assert Counter(row.video_id for row in rows) == dict.fromkeys((row.video_id for row in rows), 96)
    assert "the last frame of a video is repeated up to frame 96, and judged" in read_manifest(run).notes
    before = weights_written(tmp_path / "out") | {run: (run / "predictions.jsonl").stat().st_size}
    assert table(*options, overrides=("loop.epochs=1",)) == found
    assert weights_written(tmp_path / "out") | {run: (run / "predictions.jsonl").stat().st_size} == before


def _window(run: Path) -> int:
    record = json.loads((run.parents[1] / "trained" / "train.json").read_text())
    return int(record["recipe"]["data"]["window_frames"])


def _f1_with_repeated_frames(dataset: Any, features: Path, run: Path, labels: Sequence[np.ndarray]) -> float:
    """Return F1 over 96 frames a video, the last one repeated, straight from the network."""
    from supervised.models import load_feature_model

    model = load_feature_model(run.parents[1] / "trained" / "seed-0")
    store = FeatureStore(features)
    hard, truth = [], []
    for video, one in zip(dataset.videos("test"), labels, strict=True):
        values = np.pad(store.read("face-resnet152", video.video_id).values, ((0, 96 - len(one)), (0, 0)), mode="edge")
        with torch.no_grad():
            logits = model({"visual": torch.from_numpy(values)[None]}, torch.ones(1, 96, dtype=torch.bool))
        hard.append((logits[0, :, 1] > logits[0, :, 0]).numpy())
        truth.append(np.pad(one, (0, 96 - len(one)), mode="edge"))
    return float(f1_score(np.concatenate(truth), np.concatenate(hard)))


def test_an_experiment_refuses_what_it_does_not_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["experiment", "table7", "--engine", "text"]) == 2
    assert "takes no --engine" in capsys.readouterr().err
    assert invoke(["experiment", "figure12", "--window", "5s"]) == 2
    assert "counted in frames" in capsys.readouterr().err
    assert set(EXPERIMENTS) >= {"table5", "table6", "table7", "table14", "table15", "table16", "table17", "figure12"}


def test_backbones_are_matched_to_the_papers_rows_by_the_name_of_their_set(
    paper_root: tuple[Path, Path], tmp_path: Path
) -> None:
    root, features = paper_root
    store = FeatureStore(features)
    for name in ("face-resnet18-mine", "face-apvit", "pose-other"):
        store.create(FeatureSet(name=name, modality="visual", dim=12))
        for video in open_dataset(root).videos():
            store.add(name, video.video_id, store.read("face-resnet152", video.video_id).values, fps=10.0)
    found = table("table5", paper_root, tmp_path / "out", overrides=("loop.epochs=1", "data.window_frames=32"))
    assert [(row["system"], row["paper"].get("f1")) for row in found["rows"]] == [
        ("face-apvit, no context", 0.2465),
        ("face-apvit, TCN", 0.2049),
        ("face-resnet18-mine, no context", 0.0147),
        ("face-resnet18-mine, TCN", 0.2133),
        ("face-resnet152, no context", 0.1757),
        ("face-resnet152, TCN", 0.2213),
        ("pose-other, no context", None),
        ("pose-other, TCN", None),
    ]


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("table7", "--workers", "2"),
        ("figure12", "--target-split", "video"),
        ("table5", "--source", "trained"),
        ("table20", "--set", "loop.lr=1"),
        ("table20", "--seeds", "0:2"),
        ("prompts", "--features", "elsewhere"),
        ("table19", "--workers", "2"),
    ],
)
def test_an_option_of_another_experiment_is_refused_rather_than_passed_over(
    name: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["experiment", name, option, value]) == 2
    assert f"The experiment {name} takes no {option}." in capsys.readouterr().err


def test_an_unknown_experiment_is_told_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["experiment", "table9"]) == 2
    errors = capsys.readouterr().err
    assert all(name in errors for name in ("table19", "prompts", "table7", "figure12", "table22"))


def test_a_table_says_that_features_come_from_random_weights(paper_root: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("face-resnet152", "vggish"):
        path = paper_root[1] / name / "set.json"
        described = json.loads(path.read_text())
        path.write_text(json.dumps(described | {"is_stand_in": True}))
    found = table("table5", paper_root, tmp_path / "out", overrides=QUICK)
    note = "features face-resnet152 come from random weights: a stand-in, not a result"
    assert found["notes"] == [note]  # vggish is in no line of this table
    assert (tmp_path / "out" / "table5.md").read_text().startswith(f"**{note}.**\n\n# Table 5")
