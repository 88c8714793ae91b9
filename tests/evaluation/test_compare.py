"""Every system against every other: differences, agreement, and the videos behind them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.evaluation import Labels, VideoLabels, compare_all, compare_rows
from bah_mllm.evaluation.matrix import holm
from bah_mllm.evaluation.shared_labels import labels_in_common
from bah_mllm.predictions import PredictionRow

N = 30
LABELS = Labels(tuple(VideoLabels(f"v{n:02}", f"p{n // 3}", split="test", label=n % 2) for n in range(N)))


def system(name: str, *, seed: int, gain: float, videos: int = N) -> list[PredictionRow]:
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-(gain * (np.arange(N) % 2 - 0.5) + rng.normal(size=N))))
    return [
        PredictionRow(system=name, video_id=f"v{n:02}", participant_id="x", level=Level.VIDEO, p_positive=p[n])
        for n in range(videos)
    ]


def compare(rows, **other):
    return compare_all(rows, LABELS, level="video", split="test", **{"n_draws": 60} | other)


def test_every_pair_has_the_differences_of_comparing_the_two_alone():
    rows = system("a", seed=1, gain=3) + system("b", seed=2, gain=0) + system("c", seed=3, gain=1, videos=21)
    found = compare(rows, seed=7)
    assert [line.system for line in found.lines] == ["a", "b", "c"]
    assert [(pair.first, pair.second, pair.n) for pair in found.pairs] == [(0, 1, 30), (0, 2, 21), (1, 2, 21)]
    for pair in found.pairs:
        ours, theirs = found.lines[pair.first].system, found.lines[pair.second].system
        alone = compare_rows(
            [row for row in rows if row.system in (ours, theirs)],
            LABELS,
            level="video",
            split="test",
            baseline=theirs,
            n_draws=60,
            seed=7,
        )
        assert pair.differences == alone[0].differences


def test_agreement_is_that_of_scikit_learn():
    rng = np.random.default_rng(4)
    labels, first = rng.integers(0, 2, 80), rng.random(80) < 0.6
    second = np.where(rng.random(80) < 0.3, ~first, first)
    found = labels_in_common(labels, first, second)
    assert found.kappa == pytest.approx(sklearn.metrics.cohen_kappa_score(first, second))
    assert found.share_equal == pytest.approx(sklearn.metrics.accuracy_score(first, second))
    wrong, other_wrong = set(np.flatnonzero(first != labels)), set(np.flatnonzero(second != labels))
    assert found.error_overlap == pytest.approx(len(wrong & other_wrong) / len(wrong | other_wrong))
    counts = (found.n_both_right, found.n_first_only_right, found.n_second_only_right, found.n_both_wrong)
    assert sum(counts) == 80
    assert found.n_first_only_right == len(other_wrong - wrong)


def test_constant_systems_have_no_kappa_and_perfect_ones_no_overlap_of_errors():
    always = np.ones(4, dtype=bool)
    assert labels_in_common(np.array([1, 0, 1, 0]), always, always).kappa is None
    assert labels_in_common(np.array([1, 1, 1, 1]), always, always).error_overlap is None
    assert labels_in_common(np.array([1, 0, 1, 0]), always, ~always).kappa == 0.0


def test_the_videos_that_changed_most_come_first_and_unchanged_ones_not_at_all():
    first = system("a", seed=1, gain=1)
    moves = {3: -0.4, 8: 0.2, 20: 0.3}
    second = [
        row.model_copy(update={"system": "b", "p_positive": 0.5 - moves.get(n, 0.0)}) for n, row in enumerate(first)
    ]
    first = [row.model_copy(update={"p_positive": 0.5}) for row in first]
    (pair,) = compare(first + second, n_draws=0).pairs
    assert [(video.video_id, video.change) for video in pair.changed] == [
        ("v03", pytest.approx(-0.4)),
        ("v20", pytest.approx(0.3)),
        ("v08", pytest.approx(0.2)),
    ]
    assert [video.n_other_label for video in pair.changed] == [1, 0, 0]
    (pair,) = compare(first + second, n_draws=0, n_changed=1).pairs
    assert [video.distance for video in pair.changed] == pytest.approx([0.4])


def test_systems_without_common_items_have_no_numbers():
    rows = system("a", seed=1, gain=1, videos=9)
    rows += [row.model_copy(update={"system": "b"}) for row in system("a", seed=1, gain=1)[9:]]
    (pair,) = compare(rows).pairs
    assert (pair.n, pair.agreement, pair.changed) == (0, None, ())
    assert all(difference.value is None for difference in pair.differences.values())


def test_p_values_allow_for_all_pairs():
    # By hand: sorted .01 .03 .04, times 3 2 1 are .03 .06 .04, and none may lie below the one before.
    assert holm([0.04, 0.01, None, 0.03]) == [pytest.approx(0.06), pytest.approx(0.03), None, pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    rows = system("a", seed=1, gain=4) + system("b", seed=2, gain=0) + system("c", seed=3, gain=2)
    found = compare(rows)
    for name in ("f1", "ap"):
        raw = [pair.differences[name].p_value for pair in found.pairs]
        assert [pair.p_holm[name] for pair in found.pairs] == holm(raw)


def test_one_system_alone_is_refused_and_json_holds_no_nan():
    with pytest.raises(ConfigError, match="one system"):
        compare(system("a", seed=1, gain=1))
    found = compare(system("a", seed=1, gain=1) + system("b", seed=1, gain=1, videos=3))
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["pairs"][0]["agreement"]["share_equal"] == 1.0
    assert plain["lines"][0] == {"system": "a", "window_frames": None, "aggregation": "video", "n_unanswered": 0}
