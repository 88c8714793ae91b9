"""The paper's own numbers go through our aggregation and come out as it printed them."""

from __future__ import annotations

import numpy as np
import pytest

from bah_mllm.paper.adaptation_published import person_of_sizes, published_people, published_spreads
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.summary import judge_target, over_targets, subgroup_means, trivial_answers

COMPLETE = [
    *(("f1", method) for method in ("source_only", "mmd", "sub_based", "nrc", "oracle")),
    *(("wf1", method) for method in ("source_only", "nrc")),
    *(("ap_bah", method) for method in ("source_only", "mmd", "sub_based", "nrc")),
]


def test_the_complete_columns_are_these():
    known = {
        (metric, method)
        for metric in ("f1", "wf1", "ap_bah")
        for method in METHODS
        if sum(one.metrics[method][metric] is not None for one in published_people().values()) == 54
    }
    assert known == set(COMPLETE)


@pytest.mark.parametrize(("metric", "method"), COMPLETE)
def test_means_and_deviations_of_table_22_follow_from_tables_24_to_26(metric, method):
    found = over_targets([one.metrics[method][metric] for one in published_people().values()])
    mean, std = published_spreads()[method][metric]
    assert found.n == 54
    assert found.mean == pytest.approx(mean, abs=1e-4)
    assert found.std == pytest.approx(std, abs=2e-4)


@pytest.mark.parametrize(
    ("grouping", "group", "method", "expected"),
    [
        ("age_range", "35-44", "mmd", 0.269),
        ("age_range", "45-54", "sub_based", 0.301),
        ("age_range", "55-64", "nrc", 0.291),
        ("age_range", "45-54", "nrc", 0.175),
        ("age_range", "45-54", "shot", 0.261),
        ("age_range", "35-44", "source_only", 0.186),
        ("sex", "Female", "sub_based", 0.28),
        ("sex", "Female", "shot", 0.26),
        ("sex", "Female", "mmd", 0.26),
    ],
)
def test_the_subgroups_are_those_of_the_papers_text(grouping, group, method, expected):
    printed = {who: person.metrics for who, person in published_people().items() if person.is_judged}
    groups = {who: person.groups for who, person in published_people().items()}
    digits = 2 if grouping == "sex" else 3
    assert round(subgroup_means(printed, groups, METHODS)[grouping][group].f1[method], digits) == expected


def test_targets_are_found_in_the_papers_table_by_their_frames():
    assert person_of_sizes(601, 4573) is published_people()["P1"]
    assert person_of_sizes(601, 4574) is None


def test_a_group_of_one_person_is_no_group():
    targets = {one: {"mmd": {"f1": 0.5}} for one in ("a", "b", "c")}
    people = {"a": {"sex": "Female"}, "b": {"sex": "Male"}, "c": {"sex": "Male"}}
    assert list(subgroup_means(targets, people, ["mmd"])["sex"]) == ["Male"]


def test_aggregates_of_few_values_say_what_they_cannot():
    assert over_targets([None, None]).mean is None
    assert (over_targets([0.5]).mean, over_targets([0.5]).std) == (0.5, None)


def test_always_saying_ah_beats_every_published_adaptation_on_the_papers_own_frames():
    f1, wf1 = [], []
    every_size = [person.sizes for person in published_people().values()]
    for sizes in every_size:
        if sizes.train_ah + sizes.test_ah == 0:
            continue
        labels = np.array([1] * sizes.test_ah + [0] * sizes.test_n)
        answers = trivial_answers(len(labels))
        f1.append(judge_target(labels, answers["all-positive"])["f1"])
        wf1.append(judge_target(labels, answers["all-negative"])["wf1"])
    by_hand = [2 * s.test_ah / (2 * s.test_ah + s.test_n) for s in every_size if s.test_ah]
    assert over_targets(f1).mean == pytest.approx(sum(by_hand) / 54) == pytest.approx(0.3171, abs=5e-5)
    assert over_targets(wf1).mean == pytest.approx(0.7151, abs=5e-5)
    assert max(published_spreads()[method]["f1"].mean for method in METHODS if method != "oracle") < 0.3171
