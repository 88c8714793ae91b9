"""Thresholds chosen on other participants, and what choosing them on the judged ones would pretend."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, nested_thresholds
from bah_mllm.evaluation.metrics import HARD_METRICS
from bah_mllm.evaluation.thresholds import best_threshold, deal_participants
from bah_mllm.predictions import PredictionRow


def world(n_participants: int = 12, *, seed: int = 0, gain: float = 1.0, n_videos: int = 5):
    rng = np.random.default_rng(seed)
    entries, rows = [], []
    for who in range(n_participants):
        for number in range(n_videos):
            label = int(rng.random() < 0.5)
            name = f"v{who}_{number}"
            p = 1 / (1 + np.exp(-(gain * (label - 0.5) - 1.0 + rng.normal())))
            entries.append(VideoLabels(name, f"p{who:02}", split="test", label=label))
            rows.append(PredictionRow(system="s", video_id=name, participant_id="x", level=Level.VIDEO, p_positive=p))
    return rows, Labels(tuple(entries))


def tune(rows, labels, **other):
    (found,) = nested_thresholds(rows, labels, level="video", split="test", **{"n_draws": 100} | other)
    return found


@given(
    items=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=25),
    metric=st.sampled_from(sorted(HARD_METRICS)),
)
def test_no_other_threshold_does_better(items, metric):
    scores, labels = np.array([n / 20 for n, _ in items]), np.array([label for _, label in items])
    found = best_threshold(labels, scores, metric=metric)
    assert 0 <= found < 1
    worth = {cut: HARD_METRICS[metric](labels, scores > cut) for cut in np.arange(0, 0.999, 0.025)}
    assert HARD_METRICS[metric](labels, scores > found) == pytest.approx(max(worth.values()))


def test_of_equally_good_thresholds_the_one_nearest_to_one_half_is_taken():
    scores = np.array([0.1, 0.2, 0.3, 0.9])
    assert best_threshold(np.array([0, 0, 1, 1]), scores, metric="f1") == pytest.approx(0.25)
    # All positive is best here: any threshold below .1, of which the one tried lies halfway to 0.
    assert best_threshold(np.array([1, 1, 1, 0]), scores, metric="accuracy") == pytest.approx(0.05)


def test_folds_hold_every_participant_once_and_are_of_equal_size():
    fold = deal_participants(12, n_folds=5, seed=3)
    assert sorted(np.bincount(fold)) == [2, 2, 2, 3, 3]
    assert (fold == deal_participants(12, n_folds=5, seed=3)).all()
    assert (fold != deal_participants(12, n_folds=5, seed=4)).any()
    assert sorted(deal_participants(6, n_folds=99, seed=0)) == [0, 1, 2, 3, 4, 5]


def test_each_fold_has_the_threshold_that_is_best_on_the_other_participants():
    rows, labels = world()
    found = tune(rows, labels, metric="macro_f1", n_folds=4, seed=5)
    fold = deal_participants(12, n_folds=4, seed=5)
    who = np.array([int(entry.participant_id[1:]) for entry in labels.videos])
    y, p = np.array([entry.label for entry in labels.videos]), np.array([row.p_positive for row in rows])
    hard = np.empty(len(y), dtype=int)
    for k, threshold in enumerate(found.thresholds):
        others, own = fold[who] != k, fold[who] == k
        reached = sklearn.metrics.f1_score(y[others], p[others] > threshold, average="macro")
        assert reached == pytest.approx(
            max(sklearn.metrics.f1_score(y[others], p[others] > cut, average="macro") for cut in np.append(p, 0.0))
        )
        hard[own] = p[own] > threshold
    assert found.nested["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(y, hard, average="macro"))
    assert found.nested["f1"] == pytest.approx(sklearn.metrics.f1_score(y, hard))
    assert found.fixed == pytest.approx(sklearn.metrics.f1_score(y, p > 0.5, average="macro"))
    assert found.optimism == pytest.approx(found.in_sample - found.nested["macro_f1"])
    low, high = found.ci["macro_f1"]
    assert low < found.nested["macro_f1"] < high


def test_the_labels_of_a_participant_do_not_move_the_own_threshold():
    rows, labels = world(n_videos=8)
    before = tune(rows, labels, seed=1, n_draws=0).thresholds
    mine = deal_participants(12, n_folds=5, seed=1)[0]
    turned = Labels(
        tuple(
            VideoLabels(
                e.video_id, e.participant_id, split="test", label=1 - e.label if e.participant_id == "p00" else e.label
            )
            for e in labels.videos
        )
    )
    after = tune(rows, turned, seed=1, n_draws=0).thresholds
    assert after[mine] == before[mine]
    assert after != before


def test_tuning_on_noise_looks_better_in_sample_than_it_is():
    found = [tune(*world(8, seed=seed, gain=0.0), n_draws=0) for seed in range(20)]
    assert np.mean([one.optimism for one in found]) > 0.05
    assert all(one.in_sample >= one.fixed for one in found)


def test_few_participants_and_one_class_are_left_out_with_the_reason():
    rows, labels = world(4)
    found = tune(rows, labels)
    assert found.left_out == "fewer than 5 participants"
    assert found.nested is found.ci is found.optimism is None
    same = Labels(tuple(VideoLabels(e.video_id, e.participant_id, split="test", label=1) for e in world()[1].videos))
    assert tune(world()[0], same).left_out == "all labels are the same"


def test_the_same_seed_gives_the_same_numbers_and_json_holds_no_nan():
    rows, labels = world()
    first, second = tune(rows, labels), tune(rows[::-1], labels)
    assert first.to_json() == second.to_json()
    json.dumps(first.to_json(), allow_nan=False)


def test_impossible_settings_are_refused():
    rows, labels = world(5)
    with pytest.raises(ConfigError, match="cannot be chosen for 'ap'"):
        tune(rows, labels, metric="ap")
    with pytest.raises(ConfigError, match="1 folds"):
        tune(rows, labels, n_folds=1)
