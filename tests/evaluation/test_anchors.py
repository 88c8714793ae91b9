"""What a system has to beat: anchors on the same items, and differences to them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, TrainPrior, VideoLabels, compare_rows, evaluate_rows
from tests.evaluation.conftest import frame_row, frames, judge, video, video_row

# Edition v1: videos with A/H and videos, per question (the public split files, counted).
TRAIN = ((31, 140), (49, 79), (44, 76), (72, 76), (42, 84), (33, 83), (69, 78))


TEST = ((13, 56), (39, 56), (35, 56), (52, 56), (25, 56), (26, 56), (49, 56))


@pytest.fixture(scope="module")
def v1() -> Labels:
    return Labels(
        tuple(
            VideoLabels(f"{split}/{question}/{n}", f"{split}{n}", question, split, int(n < n_positive))
            for split, table in (("train", TRAIN), ("test", TEST))
            for question, (n_positive, n_videos) in enumerate(table, start=1)
            for n in range(n_videos)
        )
    )


@pytest.fixture(scope="module")
def v1_anchors(v1):
    rows = [video_row(entry.video_id, 0.7) for entry in v1.of_split("test")]
    evaluation = evaluate_rows(rows, v1, level="video", split="test", n_draws=0)
    return {anchor.identity.system: anchor for anchor in evaluation.anchors}


def test_the_question_prior_calls_a_share_of_one_half_negative(v1_anchors):
    prior = v1_anchors["question-prior"]
    assert prior.counts.confusion._asdict() == {"tp": 175, "fp": 49, "fn": 64, "tn": 104}
    assert (prior.metric("f1"), prior.metric("macro_f1"), prior.metric("wf1")) == pytest.approx(
        (0.756, 0.702, 0.714), abs=5e-4
    )


def test_trivial_anchors_have_their_known_values(v1_anchors):
    assert v1_anchors["all-positive"].metric("f1") == pytest.approx(0.7575, abs=5e-5)
    assert v1_anchors["all-positive"].metric("wf1") == pytest.approx(0.4619, abs=1e-4)
    assert v1_anchors["all-negative"].metric("wf1") == pytest.approx(0.2191, abs=5e-5)
    assert v1_anchors["all-negative"].metric("f1") == 0.0
    assert v1_anchors["prevalence"].metric("ap_bah") == pytest.approx(0.3048, abs=5e-5)
    assert v1_anchors["prevalence"].counts.positive_rate == 1.0  # 340 of 616 training videos
    assert v1_anchors["prevalence"].metric("brier") == pytest.approx(
        np.mean([(340 / 616 - y) ** 2 for y in [1] * 239 + [0] * 153])
    )


def test_a_question_prior_of_nothing_but_halves_is_all_negative():
    labels = Labels(
        tuple(video(f"{split}{n}", n, split=split, question=5) for split in ("train", "test") for n in (0, 1))
    )
    evaluation = judge([video_row("test0", 0.2), video_row("test1", 0.9)], labels, "video")
    (prior,) = (anchor for anchor in evaluation.anchors if anchor.identity.system == "question-prior")
    assert prior.counts.positive_rate == 0.0


def test_anchors_without_a_training_split_or_question_are_left_out_with_the_reason(two_videos):
    rows = [frame_row("v1", 0, 4, 0.4), frame_row("v2", 0, 4, 0.4)]
    evaluation = judge(rows, two_videos)
    assert {anchor.identity.system for anchor in evaluation.anchors} == {"all-positive", "all-negative"}
    assert set(evaluation.anchors_left_out) == {"prevalence", "question-prior"}
    assert "no labelled training split" in evaluation.anchors_left_out["prevalence"]
    trained = Labels((*two_videos.videos, video("t", 1, split="train", question=1, frames=frames(1, 0))))
    assert "no labelled items of question 2" in judge(rows, trained).anchors_left_out["question-prior"]
    without = Labels((*trained.videos, video("v3", 0, frames=frames(0, 0))))
    evaluation = judge([*rows, frame_row("v3", 0, 2, 0.4)], without)
    assert "question is unknown for 2 of 10 items" in evaluation.anchors_left_out["question-prior"]


def test_a_prior_given_by_the_caller_is_used(two_videos):
    prior = TrainPrior.count(
        Labels((video("t1", 1, split="train", question=1), video("t2", 0, split="train", question=2))),
        level=Level.VIDEO,
    )
    rows = [video_row("v1", 0.4), video_row("v2", 0.4)]
    anchors = {anchor.identity.system: anchor for anchor in judge(rows, two_videos, "video", train_prior=prior).anchors}
    assert anchors["question-prior"].metric("f1") == 1.0


def test_anchors_are_judged_on_the_items_that_each_system_scored(two_videos):
    rows = [
        frame_row("v1", 0, 6, 0.9, system="whole"),
        frame_row("v2", 0, 4, 0.1, system="whole"),
        frame_row("v1", 2, 4, 0.9, system="half"),
    ]
    evaluation = judge(rows, two_videos)
    n_of = {row.identity.item_set: row.counts.n for row in evaluation.rows}
    assert sorted(n_of.values()) == [2, 10]
    assert len(evaluation.anchors) == 4
    assert all(anchor.counts.n == n_of[anchor.identity.item_set] for anchor in evaluation.anchors)


def test_systems_are_compared_on_the_items_that_both_scored():
    labels = Labels(tuple(video(f"v{n}", n % 2, person=str(n)) for n in range(8)))
    right = [video_row(f"v{n}", 0.9 if n % 2 else 0.1, system="right") for n in range(8)]
    wrong = [video_row(f"v{n}", 0.1 if n % 2 else 0.9, system="wrong") for n in range(6)]
    (found,) = compare_rows(right + wrong, labels, level="video", split="test", baseline="wrong", n_draws=50)
    assert (found.system, found.baseline, found.n) == ("right", "wrong", 6)
    assert found.differences["accuracy"].value == 1.0
    assert found.differences["accuracy"].bounds == (1.0, 1.0)
    assert found.differences["accuracy"].p_value < 0.13  # six people, and 50 draws
    json.dumps(found.to_json(), allow_nan=False)


def test_a_system_is_compared_with_an_anchor(v1):
    rows = [video_row(entry.video_id, 0.9) for entry in v1.of_split("test")]
    (found,) = compare_rows(rows, v1, level="video", split="test", baseline="question-prior", n_draws=0)
    assert found.differences["f1"].value == pytest.approx(0.7575 - 0.7560, abs=2e-4)
    assert found.differences["f1"].bounds is None


def test_an_unknown_baseline_is_refused_with_the_choices(two_videos):
    rows = [video_row("v1", 0.4)]
    with pytest.raises(ConfigError, match="no labelled training split") as raised:
        compare_rows(rows, two_videos, level="video", split="test", baseline="prevalence")
    assert "all-positive" in raised.value.remedy
