"""Items without an answer: left out, counted as negative, or counted as wrong; expectations are filled in by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from bah_mllm.core.records import Status, Unanswered
from bah_mllm.evaluation import (
    Groupings,
    Labels,
    compare_all,
    compare_rows,
    evaluate_rows,
    nested_thresholds,
    pool_seeds,
    reliability_rows,
    subgroup_rows,
)
from tests.evaluation.conftest import frame_row, frames, judge, video, video_row

# Twelve videos of six people; the easy ones are right, and three hard ones have no answer: of each kind one.
TRUTH = (1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1)
SCORES = (0.9, 0.2, 0.7, 0.4, 0.8, 0.1, 0.3, 0.6, 0.95, None, None, None)
FILLED = {"negative": (0.0, 0.0, 0.0), "wrong": (0.0, 1.0, 0.0)}


def make_labels(truth=TRUTH) -> Labels:
    train = (video(f"t{n}", n % 2, person=f"t{n}", split="train", question=n % 3 + 1) for n in range(6))
    test = (video(f"v{n:02}", label, person=f"p{n // 2}", question=n % 3 + 1) for n, label in enumerate(truth))
    return Labels((*train, *test))


def make_rows(scores=SCORES, system="s"):
    """Return rows: v09 has a reply without a label, v10 failed, and v11 has no row at all."""
    scored = [video_row(f"v{n:02}", p, system=system) for n, p in enumerate(scores) if p is not None]
    unparsed = video_row("v09", system=system, status=Status.UNPARSED)
    failed = video_row("v10", system=system, status=Status.ENGINE_ERROR)
    return [*scored, *(row for row in (unparsed, failed) if scores[int(row.video_id[1:])] is None)]


def filled(how: str) -> np.ndarray:
    return np.array([*SCORES[:9], *FILLED[how]])


def test_items_without_an_answer_are_left_out_unless_asked_for():
    (result,) = judge(make_rows(), make_labels(), "video").rows
    assert result.unanswered is Unanswered.LEAVE_OUT
    assert (result.counts.n, result.counts.n_filled, result.counts.n_unanswered) == (9, 0, 3)
    assert result.metric("f1") == pytest.approx(f1_score(TRUTH[:9], np.array(SCORES[:9]) > 0.5))


@pytest.mark.parametrize("how", ["negative", "wrong"])
def test_metrics_are_those_of_the_filled_scores(how):
    (result,) = judge(make_rows(), make_labels(), "video", unanswered=Unanswered(how)).rows
    scores = filled(how)
    expected = {
        "f1": f1_score(TRUTH, scores > 0.5),
        "macro_f1": f1_score(TRUTH, scores > 0.5, average="macro"),
        "wf1": f1_score(TRUTH, scores > 0.5, average="weighted"),
        "ap": average_precision_score(TRUTH, scores),
        "auroc": roc_auc_score(TRUTH, scores),
        "brier": np.mean((scores - np.array(TRUTH)) ** 2),
    }
    assert {name: result.metric(name) for name in expected} == pytest.approx(expected)
    counts = result.counts
    assert (counts.n, counts.n_filled, counts.n_missing, counts.n_unparsed, counts.n_failed) == (12, 3, 1, 1, 1)
    assert counts.coverage == pytest.approx(9 / 12)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.99])
def test_counting_as_wrong_is_wrong_at_every_threshold(threshold):
    rows = [video_row(f"v{n:02}", status=Status.UNPARSED) for n in range(12)]
    (result,) = judge(rows, make_labels(), "video", unanswered=Unanswered.WRONG, threshold=threshold).rows
    assert result.metric("accuracy") == 0.0


def test_intervals_follow_the_rule():
    how = {"level": "video", "split": "test", "n_draws": 100}
    (result,) = evaluate_rows(make_rows(), make_labels(), unanswered=Unanswered.WRONG, **how).rows
    (whole,) = evaluate_rows(make_rows(filled("wrong")), make_labels(), **how).rows
    assert {name: one.bounds for name, one in result.metrics.items()} == {
        name: one.bounds for name, one in whole.metrics.items()
    }


def test_anchors_stay_what_they_are_and_are_judged_on_the_same_items():
    found = judge(make_rows(), make_labels(), "video", unanswered=Unanswered.WRONG)
    whole = judge(make_rows(filled("wrong")), make_labels(), "video")
    assert [(a.identity.system, a.counts.n, a.metric("f1")) for a in found.anchors] == [
        (a.identity.system, a.counts.n, a.metric("f1")) for a in whole.anchors
    ]
    assert all(anchor.unanswered is None and anchor.counts.n_filled == 0 for anchor in found.anchors)


def test_a_frame_without_an_answer_is_filled_by_its_own_label():
    labels = Labels(
        (video("v1", 1, frames=frames(0, 0, 1, 1, 0, 0)), video("v2", 0, person="b", frames=frames(0, 0, 1)))
    )
    rows = [frame_row("v1", 0, 4, 0.8), frame_row("v2", 0, 3, status=Status.UNPARSED)]
    (negative,) = judge(rows, labels, unanswered=Unanswered.NEGATIVE).rows
    (wrong,) = judge(rows, labels, unanswered=Unanswered.WRONG).rows
    truth = [0, 0, 1, 1, 0, 0, 0, 0, 1]
    assert negative.metric("f1") == pytest.approx(f1_score(truth, [1, 1, 1, 1, 0, 0, 0, 0, 0]))
    assert wrong.metric("f1") == pytest.approx(f1_score(truth, [1, 1, 1, 1, 1, 1, 1, 1, 0]))
    assert (negative.counts.n_missing, negative.counts.n_unparsed, negative.counts.n_filled) == (2, 3, 5)


def test_a_video_that_some_of_its_frames_answer_for_has_an_answer():
    labels = Labels((video("v1", 1, frames=frames(1, 1, 1, 1)), video("v2", 1, person="b", frames=frames(1, 1))))
    rows = [frame_row("v1", 0, 2, 0.8), frame_row("v1", 2, 4, status=Status.UNPARSED)]
    found = judge(rows, labels, "video", unanswered=Unanswered.NEGATIVE).rows
    assert {(row.identity.aggregation, row.counts.n_filled, row.metric("accuracy")) for row in found} == {
        ("max24", 1, 0.5),
        ("mean", 1, 0.5),
    }


@pytest.mark.parametrize("how", ["negative", "wrong"])
def test_every_other_judgement_equals_that_of_the_filled_rows(how):
    labels, other = make_labels(), make_rows([0.5 + 0.04 * n for n in range(12)], system="other")
    plain = {"level": "video", "split": "test", "n_draws": 60}
    asked = plain | {"unanswered": Unanswered(how)}
    rows, whole = [*make_rows(), *other], [*make_rows(filled(how)), *other]
    (ours,), (theirs,) = compare_all(rows, labels, **asked).pairs, compare_all(whole, labels, **plain).pairs
    assert ours == theirs
    assert ours.n == 12
    assert compare_rows(rows, labels, baseline="question-prior", **asked) == compare_rows(
        whole, labels, baseline="question-prior", **plain
    )
    methods = {"m": ["s", "other"]}
    assert pool_seeds(rows, labels, methods, **asked) == pool_seeds(whole, labels, methods, **plain)
    assert nested_thresholds(rows, labels, **asked) == nested_thresholds(whole, labels, **plain)
    people = Groupings({f"p{n}": {"sex": "a" if n < 3 else "b"} for n in range(6)}, min_participants=3)
    assert subgroup_rows(rows, labels, people, **asked).rows == subgroup_rows(whole, labels, people, **plain).rows
    bins = {"level": "video", "split": "test"}
    assert reliability_rows(rows, labels, unanswered=Unanswered(how), **bins) == reliability_rows(whole, labels, **bins)


def test_json_says_which_way_and_how_many():
    plain = judge(make_rows(), make_labels(), "video", unanswered=Unanswered.WRONG).to_json()
    assert (plain["unanswered"], plain["rows"][0]["unanswered"], plain["rows"][0]["n_filled"]) == ("wrong", "wrong", 3)
    assert plain["anchors"][0]["unanswered"] is None
    rows = [*make_rows(), *make_rows(filled("wrong"), system="other")]
    matrix = compare_all(rows, make_labels(), level="video", split="test", n_draws=0).to_json()
    assert matrix["unanswered"] == "leave-out"
    assert {line["system"]: line["n_unanswered"] for line in matrix["lines"]} == {"s": 3, "other": 0}
