"""Data that say little: each has a stated outcome, and none a made-up number."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bah_mllm.core.records import Level
from bah_mllm.evaluation import (
    Groupings,
    Labels,
    VideoLabels,
    compare_all,
    evaluate_rows,
    nested_thresholds,
    subgroup_rows,
    transform_rows,
)
from bah_mllm.predictions import PredictionRow, rows_to_frame


def row(video: str, p: float, system: str = "s") -> PredictionRow:
    return PredictionRow(system=system, video_id=video, participant_id="x", level=Level.VIDEO, p_positive=p)


def entry(video: str, person: str, label: int | None) -> VideoLabels:
    return VideoLabels(video, person, question=1, split="test", label=label)


@pytest.fixture
def labels() -> Labels:
    """Return six people with two videos each: the first has one class only, the last an unlabelled video."""
    entries = [entry(f"v{who}{k}", f"p{who}", 0 if who == 0 else k) for who in range(6) for k in (0, 1)]
    entries[-1] = entry("v51", "p5", None)
    return Labels(tuple(entries))


@pytest.fixture
def rows(labels) -> list[PredictionRow]:
    rng = np.random.default_rng(0)
    return [row(one.video_id, float(rng.random())) for one in labels.videos]


def test_a_participant_of_one_class_counts_like_any_other(labels, rows):
    (result,) = evaluate_rows(rows, labels, level="video", split="test", n_draws=200).rows
    assert (result.counts.n, result.counts.n_participants) == (11, 6)
    assert result.counts.confusion.tn + result.counts.confusion.fp == 7
    assert result.metrics["ap"].bounds is not None


def test_missing_labels_unknown_videos_and_duplicates_are_counted_everywhere(labels, rows):
    odd = [*rows, row("stranger", 0.9), row("v00", 0.123), row("v00", 0.321)]
    evaluation = evaluate_rows(odd, labels, level="video", split="test", n_draws=0)
    counts = evaluation.counts
    assert (counts.n_rows, counts.n_unlabelled, counts.n_unknown_video, counts.n_duplicates) == (15, 1, 1, 2)
    assert evaluation.rows[0].counts.n == 11
    groups = subgroup_rows(odd, labels, Groupings({}, names=("question",)), level="video", split="test", n_draws=0)
    assert [group.n for group in groups.rows[0].groups] == [11]
    (tuned,) = nested_thresholds(odd, labels, level="video", split="test", n_draws=0)
    assert tuned.n == 11


def test_scores_that_are_not_numbers_fail_and_are_in_no_metric_group_threshold_or_pair(labels, rows):
    table = rows_to_frame([*rows, *(one.model_copy(update={"system": "t"}) for one in rows)])
    table.loc[table["video_id"] == "v10", "p_positive"] = float("nan")
    evaluation = evaluate_rows(table, labels, level="video", split="test", n_draws=9)
    assert [(result.counts.n, result.counts.n_failed) for result in evaluation.rows] == [(10, 1)] * 2
    groups = subgroup_rows(table, labels, Groupings({}, names=("question",)), level="video", split="test", n_draws=9)
    assert groups.rows[0].groups[0].n == 10
    assert nested_thresholds(table, labels, level="video", split="test", n_draws=9)[0].n == 10
    matrix = compare_all(table, labels, level="video", split="test", n_draws=9)
    assert matrix.pairs[0].n == 10
    moved = transform_rows(table, "prevalence_match", prevalence=0.4)
    assert moved.n_without_p == 2
    assert not moved.rows["p_positive"].isna().any()
    for found in (evaluation, groups, matrix, moved):
        json.dumps(found.to_json(), allow_nan=False)


def test_groups_that_nobody_belongs_to_do_not_exist_and_empty_names_are_no_group(labels, rows):
    people = {f"p{who}": {"sex": "" if who == 5 else "Female"} for who in range(6)} | {"p9": {"sex": "Male"}}
    groups = subgroup_rows(rows, labels, Groupings(people, names=("sex",)), level="video", split="test", n_draws=0)
    assert [(group.value, group.n) for group in groups.rows[0].groups] == [("Female", 10)]
    assert groups.rows[0].n_without_value["sex"] == 1
    assert groups.rows[0].gaps == ()


def test_one_participant_has_values_and_no_intervals():
    labels = Labels(tuple(entry(f"v{n}", "p", n % 2) for n in range(6)))
    rows = [row(f"v{n}", n / 6) for n in range(6)] + [row(f"v{n}", 1 - n / 6, "t") for n in range(6)]
    for result in evaluate_rows(rows, labels, level="video", split="test", n_draws=50).rows:
        assert result.metric("f1") is not None
        assert {metric.bounds for metric in result.metrics.values()} == {None}
    (pair,) = compare_all(rows, labels, level="video", split="test", n_draws=50).pairs
    assert pair.differences["f1"].value is not None
    assert pair.differences["f1"].bounds is pair.differences["f1"].p_value is pair.p_holm["f1"] is None
