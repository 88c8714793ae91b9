"""Segments as events: runs, their pairing, and onsets."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, evaluate_rows
from bah_mllm.evaluation.bootstrap import Drawn, bounds_of, draw_participants
from bah_mllm.evaluation.events import EventRule, event_scores, find_events, find_runs
from bah_mllm.predictions import PredictionRow


def score(true: str, predicted: str, *, video: str | None = None, fps: float = 10.0, rule=None):
    """Score frames written as 0 and 1; ``video`` names the video of each frame by a digit."""
    whose = np.array([int(digit) for digit in video or "0" * len(true)])
    frame = np.concatenate([np.arange(n) for n in np.bincount(whose)])
    is_true, is_predicted = (np.array([digit == "1" for digit in text]) for text in (true, predicted))
    return event_scores(
        find_events(is_true, is_predicted, video=whose, frame=frame, fps=np.full(whose.max() + 1, fps), rule=rule)
    )


CASES = list(csv.DictReader((Path(__file__).parent / "event_cases.csv").read_text().splitlines()))


def spans(text: str) -> list[list[tuple[int, int]]]:
    """Read ``2-6 8-12|0-4``: segments of two videos, stops not included."""
    return [[tuple(map(int, span.split("-"))) for span in video.split()] for video in text.split("|")]


def read_case(case: dict[str, str]):
    """Return the events of a case: videos of 20 frames, one a second, less the frames that were not scored."""
    true, predicted, unscored = (spans(case[name]) for name in ("true", "predicted", "unscored"))
    n_videos = max(len(true), len(predicted))
    marks = [np.zeros((n_videos, 20), dtype=bool) for _ in range(3)]
    for mark, videos in zip(marks, (true, predicted, unscored), strict=True):
        for video, found in enumerate(videos):
            for start, stop in found:
                mark[video, start:stop] = True
    video, frame = np.nonzero(~marks[2])
    rule = EventRule(max_gap_frames=int(case["max_gap"]), min_frames=int(case["min_frames"]))
    events = find_events(
        marks[0][video, frame], marks[1][video, frame], video=video, frame=frame, fps=np.ones(n_videos), rule=rule
    )
    return events, len(video)


def number(text: str) -> float | None:
    return float(Fraction(text)) if text else None


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_segments_are_rated_as_worked_out_by_hand(case):
    events, n_frames = read_case(case)
    wanted = [(v, *span) for v, found in enumerate(spans(case["cleaned"])) for span in found]
    assert list(zip(*events.predicted, strict=True)) == wanted
    found = event_scores(events)
    expected = [number(case[name]) for name in ("f1_30", "f1_50", "onset", "offset")]
    expected.append(int(case["alarms"]) / (n_frames / 60))
    assert list(found) == [value if value is None else pytest.approx(value) for value in expected]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_an_independent_library_pairs_alike_unless_fewer_overlaps_make_more_pairs(case):
    found = event_scores(read_case(case)[0])
    theirs = number(case["mir_eval_30"]), number(case["mir_eval_50"])
    if case["case"] == "best overlap first":
        assert (found.segment_f1_30, theirs[0]) == (0.5, 1.0)
    else:
        assert found[:2] == (pytest.approx(theirs[0]), pytest.approx(theirs[1]))


def test_there_are_thirty_cases():
    assert len({case["case"] for case in CASES}) == 30


def test_a_run_ends_at_a_negative_a_gap_and_the_end_of_a_video():
    positive = np.array([True, True, False, True, True, True, True])
    video = np.array([0, 0, 0, 0, 0, 1, 1])
    frame = np.array([0, 1, 2, 3, 7, 8, 9])
    runs = find_runs(positive, video, frame)
    assert list(zip(*runs, strict=True)) == [(0, 0, 2), (0, 3, 4), (0, 7, 8), (1, 8, 10)]


def test_no_frames_hold_no_runs():
    assert len(find_runs(np.zeros(0, dtype=bool), np.zeros(0, dtype=int), np.zeros(0, dtype=int)).start) == 0


@pytest.mark.parametrize(
    ("true", "predicted", "at_30", "at_50"),
    [
        ("0111100", "0111100", 1.0, 1.0),
        ("0111100", "0001111", 1.0, 0.0),  # 2 of 6 frames in common
        ("1111111", "1100000", 0.0, 0.0),  # 2 of 7
        ("1111000", "1111111", 1.0, 1.0),  # 4 of 7
        ("1111100", "1101100", 2 / 3, 0.0),  # two halves of 2 of 5: one pair, one left over
        ("0111000", "0000000", 0.0, 0.0),
        ("0000000", "0111000", 0.0, 0.0),
        ("0000000", "0000000", None, None),
    ],
)
def test_segments_are_paired_one_to_one_by_their_overlap(true, predicted, at_30, at_50):
    found = score(true, predicted)
    assert (found.segment_f1_30, found.segment_f1_50) == (at_30, at_50)


def test_segments_of_different_videos_are_never_paired():
    assert score("111000", "000111", video="000111").segment_f1_30 == 0.0


def test_a_segment_goes_to_its_best_partner():
    # The long prediction overlaps both true segments; the short one fits the second exactly.
    found = score("1111100111", "1111110111")
    assert found.segment_f1_30 == 1.0
    assert found.onset_error_s == 0.0


def test_the_onset_error_is_the_median_distance_of_starts_in_seconds():
    assert score("0011110000", "1111110000", fps=10.0).onset_error_s == pytest.approx(0.2)
    assert score("0011110000", "1111110000", fps=float("nan")).onset_error_s is None
    assert score("0000000011", "1100000000").onset_error_s is None


def test_errors_in_seconds_go_by_the_files_own_times_where_frames_are_uneven():
    """Ten frames a second for a second, then a hundred: two frames early is 0.2 s there, 0.02 s here."""
    times_s = (*(n / 10 for n in range(10)), *(1 + n / 100 for n in range(10)))
    true, predicted = np.zeros((2, 20), bool)
    true[4:8], predicted[2:8] = True, True
    true[14:18], predicted[12:18] = True, True
    events = find_events(
        true,
        predicted,
        video=np.zeros(20, np.int64),
        frame=np.arange(20),
        fps=np.array([20 / 1.1]),
        clocks={0: FrameClock(20 / 1.1, times_s)},
    )
    assert len(events.loose) == 2
    assert event_scores(events).onset_error_s == pytest.approx(np.median([0.2, 0.02]))


def test_results_hold_event_scores_at_frame_level_only():
    frames = np.array([0, 0, 1, 1, 1, 1, 0, 0], dtype=np.int8)
    labels = Labels((VideoLabels("v1", "a", split="test", label=1, frames=frames, fps=4.0),))
    rows = [
        PredictionRow(
            system="s",
            video_id="v1",
            participant_id="a",
            level=Level.FRAME,
            start_frame=start,
            stop_frame=start + 1,
            p_positive=0.9 if 3 <= start < 6 else 0.1,
        )
        for start in range(8)
    ]
    (result,) = evaluate_rows(rows, labels, level="frame", split="test", n_draws=0).rows
    assert (result.events.metrics["segment_f1_50"].value, result.events.metrics["onset_error_s"].value) == (1.0, 0.25)
    (result, _) = evaluate_rows(rows, labels, level="video", split="test", n_draws=0).rows
    assert result.events is None


def test_times_in_seconds_need_a_frame_rate_known_or_assumed():
    true, predicted = "0011110000", "1111110000"
    unknown = score(true, predicted, fps=float("nan"))
    assert unknown.onset_error_s is unknown.offset_error_s is unknown.false_alarms_per_minute is None
    assumed = score(true, predicted, fps=float("nan"), rule=EventRule(assumed_fps=20.0))
    assert assumed.onset_error_s == pytest.approx(0.1)
    known = score(true, predicted, fps=10.0, rule=EventRule(assumed_fps=20.0))
    assert known.onset_error_s == pytest.approx(0.2)


def test_videos_without_a_frame_rate_are_left_out_of_false_alarms_on_both_sides():
    is_predicted = np.array([True, False, True, False, True, False])
    events = find_events(
        np.zeros(6, dtype=bool),
        is_predicted,
        video=np.array([0, 0, 0, 0, 1, 1]),
        frame=np.array([0, 1, 2, 3, 0, 1]),
        fps=np.array([2.0, np.nan]),
    )
    assert event_scores(events).false_alarms_per_minute == pytest.approx(2 / (2 / 60))


@pytest.mark.parametrize("wrong", [{"threshold": 1.0}, {"max_gap_frames": -1}, {"min_frames": 0}, {"assumed_fps": 0.0}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ConfigError):
        EventRule(**wrong)


def many_videos() -> tuple[list[PredictionRow], Labels]:
    rng = np.random.default_rng(3)
    rows, videos = [], []
    for n in range(12):
        frames = np.repeat(rng.integers(0, 2, 6), 5).astype(np.int8)
        videos.append(VideoLabels(f"v{n:02}", f"p{n // 2}", split="test", label=1, frames=frames, fps=5.0))
        rows += [
            PredictionRow(
                system="s",
                video_id=f"v{n:02}",
                participant_id="x",
                level=Level.FRAME,
                start_frame=k,
                stop_frame=k + 1,
                p_positive=float(np.clip(0.5 + 0.3 * (frames[k] - 0.5) + rng.normal(0, 0.2), 0, 1)),
            )
            for k in range(30)
        ]
    return rows, Labels(tuple(videos))


def test_intervals_of_segments_come_from_repeating_the_videos_of_the_drawn_participants():
    rows, labels = many_videos()
    rule = EventRule(threshold=0.4, max_gap_frames=1, min_frames=2)
    (result,) = evaluate_rows(rows, labels, level="frame", split="test", n_draws=40, seed=3, events=rule).rows
    scores = {(row.video_id, row.start_frame): row.p_positive for row in rows}

    def on(people) -> list[float]:
        chosen = [video for who in people for video in labels.videos if video.participant_id == f"p{who}"]
        found = event_scores(
            find_events(
                np.concatenate([video.frames for video in chosen]) == 1,
                np.array([scores[video.video_id, k] > 0.4 for video in chosen for k in range(30)]),
                video=np.repeat(np.arange(len(chosen)), 30),
                frame=np.tile(np.arange(30), len(chosen)),
                fps=np.full(len(chosen), 5.0),
                rule=rule,
            )
        )
        return list(found)

    names = ("segment_f1_30", "segment_f1_50", "onset_error_s", "offset_error_s", "false_alarms_per_minute")
    assert [result.events.metrics[name].value for name in names] == pytest.approx(on(range(6)))
    counts = draw_participants(6, n_draws=40, seed=3)
    values = np.array([on(np.repeat(np.arange(6), times)) for times in counts])
    without = np.array([on([who for who in range(6) if who != left]) for left in range(6)])
    for column, name in enumerate(names):
        drawn = Drawn(on(range(6))[column], values[:, column], without[:, column])
        assert result.events.metrics[name].bounds == pytest.approx(bounds_of(drawn)), name
    assert result.events.rule == EventRule(threshold=0.4, max_gap_frames=1, min_frames=2)


def test_the_rule_of_segments_is_stated_and_the_other_metrics_do_not_know_it():
    rows, labels = many_videos()
    plain, ruled = (
        evaluate_rows(rows, labels, level="frame", split="test", n_draws=0, events=rule).rows[0]
        for rule in (None, EventRule(threshold=0.3))
    )
    assert plain.events.rule.threshold == 0.5
    assert plain.events.metrics["segment_f1_30"].bounds is None
    assert ruled.metric("f1") == plain.metric("f1")
    assert ruled.events.metrics["segment_f1_30"].value != plain.events.metrics["segment_f1_30"].value
    json.dumps(evaluate_rows(rows, labels, level="frame", split="test", n_draws=9).to_json(), allow_nan=False)
