"""From rows and labels to results: every row and every labelled item has a stated outcome."""

from __future__ import annotations

import json
import random

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Level, Status, Variant
from bah_mllm.evaluation import Labels, align, evaluate_rows
from bah_mllm.evaluation.align import max_sliding_mean
from bah_mllm.predictions import rows_to_frame
from tests.evaluation.conftest import frame_row, frames, judge, video, video_row

JSON_KEYS = {
    *("system", "window_frames", "aggregation", "level", "split", "n", "n_missing", "n_unparsed", "n_failed"),
    *("prevalence", "positive_rate", "f1", "f1_negative", "macro_f1", "wf1", "accuracy", "ap", "ap_bah", "auroc"),
    *("brier", "ece", "ci"),
}


def test_a_frame_scores_the_mean_of_the_windows_that_cover_it(two_videos):
    rows = [frame_row("v1", 0, 4, 0.2), frame_row("v1", 2, 6, 0.6), frame_row("v2", 0, 4, 0.1)]
    (system,) = align(rows, two_videos, level=Level.FRAME, split="test").systems
    assert system.scores.tolist() == [0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.1, 0.1, 0.1, 0.1]


def test_overlapping_equal_scores_stay_equal_whatever_their_number():
    labels = Labels((video("v1", frames=np.zeros(30, dtype=np.int8)),))
    rows = [frame_row("v1", start, start + 7, 0.1) for start in range(24)]
    (system,) = align(rows, labels, level=Level.FRAME, split="test").systems
    assert set(system.scores) == {0.1}


def test_metrics_are_those_of_the_frame_scores(two_videos):
    rows = [frame_row("v1", 0, 3, 0.7), frame_row("v1", 3, 6, 0.9), frame_row("v2", 0, 4, 0.1)]
    (result,) = judge(rows, two_videos).rows
    labels = [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    scores = [0.7, 0.7, 0.7, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1]
    assert result.counts.n == 10
    assert result.metric("f1") == pytest.approx(sklearn.metrics.f1_score(labels, np.array(scores) > 0.5))
    assert result.metric("ap") == pytest.approx(sklearn.metrics.average_precision_score(labels, scores))
    assert (result.counts.prevalence, result.counts.positive_rate) == (0.2, 0.6)


def test_padding_beyond_the_last_frame_never_counts(two_videos):
    rows = [frame_row("v1", 0, 4, 0.2), frame_row("v1", 4, 8, 0.9), frame_row("v1", 8, 12, 0.9)]
    rows.append(frame_row("v2", 0, 4, 0.1))
    evaluation = judge(rows, two_videos)
    assert evaluation.rows[0].counts.n == 10
    assert evaluation.rows[0].counts.positive_rate == 0.2
    assert evaluation.counts.n_beyond_end == 6
    assert any("beyond the end" in note for note in evaluation.notes)


def test_frames_without_a_row_are_missing_and_not_negatives(two_videos):
    (result,) = judge([frame_row("v1", 2, 4, 0.9)], two_videos).rows
    assert (result.counts.n, result.counts.n_missing, result.counts.coverage) == (2, 8, 0.2)
    assert (result.metric("f1"), result.counts.confusion.tn) == (1.0, 0)


def test_unparsed_failed_and_missing_frames_are_told_apart(two_videos):
    rows = [
        frame_row("v1", 0, 2, 0.9),
        frame_row("v1", 2, 4, status=Status.UNPARSED, reply="perhaps"),
        frame_row("v1", 4, 5, status=Status.ENGINE_ERROR),
        frame_row("v2", None, None, status=Status.NO_MEDIA),
    ]
    (result,) = judge(rows, two_videos).rows
    assert (result.counts.n, result.counts.n_unparsed, result.counts.n_failed, result.counts.n_missing) == (2, 2, 5, 1)


def test_a_frame_that_one_window_scores_is_scored_although_another_failed(two_videos):
    rows = [frame_row("v1", 0, 6, 0.9), frame_row("v1", 2, 4, status=Status.UNPARSED), frame_row("v2", 0, 4, 0.1)]
    (result,) = judge(rows, two_videos).rows
    assert (result.counts.n, result.counts.n_unparsed) == (10, 0)


def test_unlabelled_frames_are_left_out_and_counted():
    labels = Labels((video("v1", frames=frames(1, -1, 0)), video("v2", frames=None, label=1)))
    evaluation = judge([frame_row("v1", 0, 3, 0.9), frame_row("v2", 0, 3, 0.9)], labels)
    assert evaluation.rows[0].counts.n == 2
    assert evaluation.counts.n_unlabelled == 1
    assert "1 frames of the split have no labels" in evaluation.notes
    assert "1 videos of the split have no labels" in evaluation.notes


def test_windows_and_systems_are_judged_apart(two_videos):
    rows = [
        frame_row(name, 0, 4, p, system=system, window_frames=window)
        for name in ("v1", "v2")
        for system, window, p in (("b", 4, 0.1), ("a", 8, 0.2), ("a", 4, 0.3))
    ]
    found = [(row.identity.system, row.identity.window_frames) for row in judge(rows, two_videos).rows]
    assert found == [("a", 4), ("a", 8), ("b", 4)]


def test_a_tie_is_negative():
    labels = Labels((video("v1", 1), video("v2", 1)))
    (result,) = judge([video_row("v1", 0.5), video_row("v2", 0.5000001)], labels, "video").rows
    assert result.counts.positive_rate == 0.5


def test_another_threshold_is_used_and_recorded():
    labels = Labels((video("v1", 1), video("v2", 0)))
    evaluation = judge([video_row("v1", 0.3), video_row("v2", 0.2)], labels, "video", threshold=0.25)
    assert (evaluation.rows[0].metric("f1"), evaluation.rows[0].threshold) == (1.0, 0.25)
    assert any("threshold is 0.25" in note for note in evaluation.notes)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_an_impossible_threshold_is_refused(threshold):
    with pytest.raises(ConfigError, match="threshold"):
        judge([video_row("v1", 0.3)], Labels((video("v1", 1),)), "video", threshold=threshold)


def test_labels_of_a_system_that_only_answers_count_as_scores_and_are_noted():
    labels = Labels((video("v1", 1), video("v2", 0), video("v3", 1)))
    rows = [video_row("v1", label=1), video_row("v2", label=0), video_row("v3", label=0)]
    (result,) = judge(rows, labels, "video").rows
    assert result.metric("f1") == pytest.approx(2 / 3)
    assert result.metric("ap") == pytest.approx(sklearn.metrics.average_precision_score([1, 0, 1], [1, 0, 0]))
    assert any("labels, not probabilities" in note for note in result.notes)


def test_frame_rows_become_video_scores_by_sliding_maximum_and_by_mean():
    labels = Labels((video("long", 1), video("short", 0)))
    rows = [frame_row("long", 0, 30, 0.2), frame_row("long", 30, 40, 0.8), frame_row("short", 0, 10, 0.4)]
    by_name = {system.aggregation: system for system in align(rows, labels, level=Level.VIDEO, split="test").systems}
    assert by_name["max24"].scores == pytest.approx([(14 * 0.2 + 10 * 0.8) / 24, 0.4])
    assert by_name["mean"].scores == pytest.approx([(30 * 0.2 + 10 * 0.8) / 40, 0.4])


def test_sliding_maximum_equals_a_loop():
    rng = np.random.default_rng(0)
    for n in (1, 23, 24, 25, 90):
        scores = rng.random(n)
        starts = range(max(1, n - 24 + 1))
        assert max_sliding_mean(scores) == pytest.approx(max(scores[s : s + 24].mean() for s in starts))


def test_frames_without_a_score_are_left_out_of_the_means_and_the_videos_are_counted():
    assert max_sliding_mean(np.array([np.nan, 0.4, np.nan, 0.8]), n_frames=2) == pytest.approx(0.8)
    labels = Labels((video("v1", 1, frames=frames(*[1] * 8)),))
    found = {row.identity.aggregation: row for row in judge([frame_row("v1", 0, 4, 0.6)], labels, "video").rows}
    assert found["mean"].counts.positive_rate == 1.0
    assert any("some of their frames were not: 1" in note for note in found["mean"].notes)


def test_a_constant_system_stays_constant_over_videos_of_all_lengths():
    names = [f"v{n}" for n in range(3, 200, 7)]
    labels = Labels(tuple(video(name, index % 2) for index, name in enumerate(names)))
    rows = [frame_row(name, start, start + 1, 0.3) for name in names for start in range(int(name[1:]))]
    for result in judge(rows, labels, "video").rows:
        assert result.metric("auroc") == 0.5


def test_rows_about_videos_and_aggregated_frames_stand_side_by_side():
    labels = Labels((video("v1", 1),))
    rows = [video_row("v1", 0.9), frame_row("v1", 0, 4, 0.2)]
    found = {
        (row.identity.aggregation, row.identity.window_frames, row.counts.positive_rate)
        for row in judge(rows, labels, "video").rows
    }
    assert found == {("video", None, 1.0), ("max24", 4, 0.0), ("mean", 4, 0.0)}


def test_videos_that_fail_are_told_apart():
    labels = Labels(tuple(video(f"v{n}", n % 2) for n in range(4)))
    rows = [video_row("v0", 0.1), video_row("v1", status=Status.UNPARSED), video_row("v2", status=Status.TOO_LONG)]
    (result,) = judge(rows, labels, "video").rows
    assert (result.counts.n, result.counts.n_unparsed, result.counts.n_failed, result.counts.n_missing) == (1, 1, 1, 1)


def test_rows_about_unknown_videos_and_other_splits_are_counted():
    labels = Labels((video("v1", 1), video("v2", 1, split="train")))
    rows = [video_row(name, 0.9) for name in ("v1", "v2", "stranger")]
    evaluation = judge(rows, labels, "video")
    assert (evaluation.counts.n_unknown_video, evaluation.counts.n_other_split) == (1, 1)
    assert evaluation.counts.unknown_videos == ("stranger",)
    assert any("stranger" in note for note in evaluation.notes)


def test_the_last_of_rows_with_one_key_holds():
    evaluation = judge([video_row("v1", 0.9), video_row("v1", 0.1)], Labels((video("v1", 1),)), "video")
    assert evaluation.rows[0].counts.positive_rate == 0.0
    assert evaluation.counts.n_duplicates == 1


def test_other_prompt_variants_are_left_out_and_counted():
    rows = [video_row("v1", 0.9), video_row("v1", 0.1, variant=Variant.SWAPPED)]
    evaluation = judge(rows, Labels((video("v1", 1),)), "video")
    assert evaluation.rows[0].counts.positive_rate == 1.0
    assert evaluation.counts.n_other_variant == 1


def test_a_score_that_is_not_a_number_is_a_failure():
    table = rows_to_frame([video_row("v1", 0.9), video_row("v2", 0.2)])
    table.loc[1, "p_positive"] = float("nan")
    (result,) = judge(table, Labels((video("v1", 1), video("v2", 0))), "video").rows
    assert (result.counts.n, result.counts.n_failed) == (1, 1)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("p_positive", 1.5, "p_positive 1.5"),
        ("p_positive", float("inf"), "p_positive inf"),
        ("start_frame", -4, "start_frame -4"),
        ("stop_frame", 2_000_000_000, "stop_frame 2000000000"),
        ("stop_frame", 0, r"\[0, 0\)"),
        ("status", "fine", "status 'fine'"),
        ("level", "clip", "level 'clip'"),
        ("system", 7, "system 7"),
    ],
)
def test_a_malformed_table_is_refused_with_the_row_and_the_value(two_videos, column, value, said):
    table = rows_to_frame([frame_row("v1", 0, 4, 0.5)]).astype(object)
    table.loc[0, column] = value
    with pytest.raises(DataError, match=f"row 0.*{said}"):
        judge(table, two_videos)


def test_a_table_without_the_columns_is_refused(two_videos):
    with pytest.raises(DataError, match="lacks the columns system, variant"):
        judge(pd.DataFrame({"video_id": ["v1"], "p": [0.5]}), two_videos)


def test_nothing_to_judge_is_an_error_that_says_why(two_videos):
    with pytest.raises(DataError, match=r"2 prediction rows.*1 are about unknown videos.*1 of the other level"):
        judge([video_row("v1", 0.5), video_row("stranger", 0.5)], two_videos)
    with pytest.raises(DataError, match=r"no videos in the split 'val'\. It has: test"):
        judge([video_row("v1", 0.5)], two_videos, split="val")
    with pytest.raises(DataError, match="has frame-level labels"):
        judge([frame_row("v1", 0, 4, 0.5)], Labels((video("v1", 1),)))


def test_a_system_that_scored_nothing_has_no_metrics(two_videos):
    (result,) = judge([frame_row("v1", None, None, status=Status.NO_MEDIA)], two_videos).rows
    assert (
        result.counts.n,
        result.counts.n_failed,
        result.counts.n_missing,
        result.metric("f1"),
        result.counts.prevalence,
    ) == (0, 6, 4, None, None)


def test_one_class_leaves_ranking_metrics_out_with_a_note():
    for label, kind in ((0, "negative"), (1, "positive")):
        labels = Labels(tuple(video(f"v{n}", label, person=str(n)) for n in range(3)))
        rows = [video_row(f"v{n}", 0.2 + 0.3 * n) for n in range(3)]
        (result,) = evaluate_rows(rows, labels, level="video", split="test", n_draws=20).rows
        assert (
            result.metric("ap")
            is result.metric("ap_bah")
            is result.metric("auroc")
            is result.metrics["ap"].bounds
            is None
        )
        assert result.metric("f1") is not None
        assert result.metric("brier") is not None
        assert any(f"every label is {kind}" in note for note in result.notes)


@pytest.mark.parametrize(("n_positive", "is_collapsed"), [(38, False), (39, True), (2, False), (1, True), (20, False)])
def test_the_alarm_fires_when_more_than_95_percent_of_answers_agree(n_positive, is_collapsed):
    labels = Labels(tuple(video(f"v{n}", n % 2) for n in range(40)))
    rows = [video_row(f"v{n}", 0.9 if n < n_positive else 0.1) for n in range(40)]
    assert judge(rows, labels, "video").rows[0].counts.is_collapsed is is_collapsed


def test_json_has_the_agreed_keys_and_no_nan(two_videos):
    rows = [frame_row("v1", 0, 4, 0.7), frame_row("v2", 0, 4, 0.2)]
    text = json.dumps(
        evaluate_rows(rows, two_videos, level="frame", split="test", n_draws=30).to_json(), allow_nan=False
    )
    plain = json.loads(text)
    for line in plain["rows"] + plain["anchors"]:
        assert set(line) >= JSON_KEYS
        assert set(line["ci"]) == {
            "f1",
            "f1_negative",
            "macro_f1",
            "wf1",
            "accuracy",
            "ap",
            "ap_bah",
            "auroc",
            "brier",
            "ece",
        }
    low, high = plain["rows"][0]["ci"]["f1"]
    assert low <= plain["rows"][0]["f1"] <= high
    assert plain["anchors"][0]["window_frames"] is None


def test_the_order_of_rows_and_videos_changes_nothing(two_videos):
    rng = random.Random(3)
    rows = [frame_row("v1", start, start + 3, rng.random()) for start in range(4)]
    rows += [frame_row("v2", start, start + 3, rng.random()) for start in range(2)]
    expected = evaluate_rows(rows, two_videos, level="frame", split="test", n_draws=30).to_json()
    rng.shuffle(rows)
    turned = Labels(two_videos.videos[::-1])
    assert evaluate_rows(rows, turned, level="frame", split="test", n_draws=30).to_json() == expected


def test_a_table_and_its_rows_give_the_same(two_videos):
    rows = [
        frame_row("v1", 0, 4, 0.7),
        frame_row("v1", 4, 6, label=1),
        frame_row("v2", None, None, status=Status.NO_MEDIA),
    ]
    assert judge(rows, two_videos).to_json() == judge(rows_to_frame(rows), two_videos).to_json()


def test_scores_without_spread_are_noted_as_unreliable_for_ap_bah(two_videos):
    (result,) = judge([frame_row("v1", 0, 6, 0.31), frame_row("v2", 0, 4, 0.32)], two_videos).rows
    assert any(note.startswith("ap_bah_unreliable") for note in result.notes)


def test_labels_that_are_none_of_the_known_values_are_refused():
    with pytest.raises(DataError, match="label of video v1 is 2"):
        video("v1", 2)
    with pytest.raises(DataError, match="other than 0, 1 and -1"):
        video("v1", frames=frames(0, 3))
    with pytest.raises(DataError, match="v1 is labelled twice"):
        Labels((video("v1", 1), video("v1", 0)))
