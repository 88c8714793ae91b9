"""Groups of participants: their metrics, their gaps, and silence about those too small."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.evaluation import Groupings, Labels, VideoLabels, subgroup_rows
from bah_mllm.predictions import PredictionRow

SEX = {f"p{n}": {"sex": "Female" if n < 8 else "Male", "age_range": "18-24" if n < 3 else "25-34"} for n in range(16)}


def make_labels(*, split: str = "test") -> Labels:
    return Labels(
        tuple(
            VideoLabels(f"v{n}q{question}", f"p{n}", question, split, (n + question) % 2)
            for n in range(16)
            for question in (1, 2, 3)
        )
    )


def make_rows(labels: Labels, *, wrong_for: frozenset[str] = frozenset()) -> list[PredictionRow]:
    rows = []
    for entry in labels.videos:
        is_right = entry.participant_id not in wrong_for
        p = 0.9 if (entry.label == 1) == is_right else 0.1
        rows.append(
            PredictionRow(system="s", video_id=entry.video_id, participant_id="x", level=Level.VIDEO, p_positive=p)
        )
    return rows


def judge(rows, labels, **other):
    n_draws = other.pop("n_draws", 200)
    groupings = Groupings(**{"participants": SEX} | other)
    found = subgroup_rows(rows, labels, groupings, level="video", split="test", n_draws=n_draws)
    (row,) = found.rows
    return found, {(group.grouping, group.value): group for group in row.groups}, row


def test_metrics_of_a_group_are_those_of_its_items_alone():
    labels = make_labels()
    rng = np.random.default_rng(1)
    scores = {entry.video_id: float(rng.random()) for entry in labels.videos}
    rows = [
        PredictionRow(system="s", video_id=name, participant_id="x", level=Level.VIDEO, p_positive=p)
        for name, p in scores.items()
    ]
    _, groups, _ = judge(rows, labels)
    men = [entry for entry in labels.videos if SEX[entry.participant_id]["sex"] == "Male"]
    y, p = [entry.label for entry in men], np.array([scores[entry.video_id] for entry in men])
    found = groups["sex", "Male"]
    assert (found.n, found.n_participants) == (24, 8)
    assert found.metrics["f1"] == pytest.approx(sklearn.metrics.f1_score(y, p > 0.5))
    assert found.metrics["ap"] == pytest.approx(sklearn.metrics.average_precision_score(y, p))
    assert found.prevalence == pytest.approx(np.mean(y))
    assert found.positive_rate == pytest.approx(np.mean(p > 0.5))
    low, high = found.ci["f1"]
    assert low < found.metrics["f1"] < high


def test_a_question_is_known_from_the_labels_and_a_language_from_the_videos():
    labels = make_labels()
    videos = {entry.video_id: {"language": "fr" if entry.question == 3 else "en"} for entry in labels.videos}
    _, groups, _ = judge(make_rows(labels), labels, videos=videos, n_draws=0)
    assert {value: groups["question", value].n for value in "123"} == {"1": 16, "2": 16, "3": 16}
    assert (groups["language", "fr"].n, groups["language", "en"].n) == (16, 32)


def test_a_group_of_few_participants_has_a_reason_and_no_number():
    labels = make_labels()
    _, groups, row = judge(make_rows(labels), labels)
    few = groups["age_range", "18-24"]
    assert few.left_out == "fewer than 5 participants"
    assert few.n is few.n_participants is few.prevalence is few.positive_rate is None
    assert not few.metrics
    assert not few.ci
    assert groups["age_range", "25-34"].left_out is None
    assert not [gap for gap in row.gaps if gap.grouping == "age_range"]


def test_a_group_of_one_class_is_left_out():
    labels = Labels(tuple(VideoLabels(f"v{n}", f"p{n}", 1, "test", int(n < 8 or n % 2)) for n in range(16)))
    _, groups, _ = judge(make_rows(labels), labels)
    assert groups["sex", "Female"].left_out == "all its labels are the same"
    assert groups["sex", "Male"].left_out is None


def test_a_group_of_which_nothing_was_scored_is_named():
    labels = make_labels()
    rows = [
        row for row, entry in zip(make_rows(labels), labels.videos, strict=True) if int(entry.participant_id[1:]) < 8
    ]
    _, groups, _ = judge(rows, labels)
    assert groups["sex", "Male"].left_out == "none of its items was scored"


def test_unknown_values_are_counted_and_wholly_unknown_groupings_are_named():
    labels = make_labels()
    known = {name: fields for name, fields in SEX.items() if name != "p3"}
    found, _, row = judge(make_rows(labels), labels, participants=known)
    assert row.n_without_value["sex"] == 3
    assert found.left_out["province"] == "it is known of no video"
    assert "sex" not in found.left_out


def test_a_gap_is_the_highest_minus_the_lowest_group_on_the_same_draws():
    labels = make_labels()
    wrong = frozenset({"p9", "p10", "p11", "p12"})
    _, groups, row = judge(make_rows(labels, wrong_for=wrong), labels, metrics=("accuracy",))
    (gap,) = (gap for gap in row.gaps if gap.grouping == "sex")
    assert (gap.highest, gap.lowest, gap.value) == ("Female", "Male", 0.5)
    # Women are always right, so that the gap is one minus the accuracy of men, draw by draw.
    low, high = groups["sex", "Male"].ci["accuracy"]
    assert gap.ci == pytest.approx((1 - high, 1 - low), abs=0.13)  # 16 people instead of 8: nearer percentiles
    assert gap.p_value < 0.05


def test_groups_that_do_not_differ_have_a_gap_by_chance_and_a_p_value_that_says_so():
    n_small = n_apart = 0
    for world in range(40):
        rng = np.random.default_rng(world)
        labels = Labels(
            tuple(
                VideoLabels(f"v{n}q{q}", f"p{n}", q, "test", int(rng.random() < 0.5)) for n in range(40) for q in (1, 2)
            )
        )
        groups = {f"p{n}": {"ethnicity": "abcd"[n % 4]} for n in range(40)}
        rows = make_rows(labels, wrong_for=frozenset(f"p{n}" for n in range(40) if rng.random() < 0.4))
        _, _, row = judge(rows, labels, participants=groups, names=("ethnicity",), metrics=("accuracy",), n_draws=300)
        (gap,) = row.gaps
        n_apart += gap.value > 0.1
        n_small += gap.p_value <= 0.05
    assert n_apart > 30
    assert n_small <= 6  # 2 expected; over 6 happens once in 200 times


def test_without_draws_there_are_values_and_no_intervals():
    labels = make_labels()
    _, groups, row = judge(make_rows(labels), labels, n_draws=0)
    assert groups["sex", "Male"].metrics["f1"] == 1.0
    assert groups["sex", "Male"].ci["f1"] is None
    assert row.gaps[0].ci is row.gaps[0].p_value is None


def test_one_person_is_no_group():
    with pytest.raises(ConfigError, match="at least 1 participants"):
        judge(make_rows(make_labels()), make_labels(), min_participants=1)
    with pytest.raises(ConfigError, match="no metric 'recall'"):
        judge(make_rows(make_labels()), make_labels(), metrics=("recall",))


def test_json_holds_no_nan():
    labels = make_labels()
    found, _, _ = judge(make_rows(labels), labels)
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["min_participants"] == 5
    assert {group["value"] for group in plain["rows"][0]["groups"] if group["grouping"] == "sex"} == {"Female", "Male"}
    assert plain["rows"][0]["gaps"][0]["highest"] in {"Female", "Male"}
