from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from bah_mllm.core.errors import DataError
from supervised.light.crossval import _cross_fitted, auroc_within, deal_folds, fit_platt
from supervised.light.members import MEMBERS, Member
from supervised.light.train import cross_validate


def test_no_participant_is_in_two_folds_and_every_video_in_one():
    rng = np.random.default_rng(0)
    participants = rng.integers(0, 40, 200).astype(str)
    labels = rng.integers(0, 2, 200)
    fold = deal_folds(labels, participants, n_folds=5, seed=3)
    assert set(fold) == set(range(5))
    for participant in set(participants):
        assert len(set(fold[participants == participant])) == 1
    assert np.array_equal(fold, deal_folds(labels, participants, n_folds=5, seed=3))
    assert not np.array_equal(fold, deal_folds(labels, participants, n_folds=5, seed=4))


def test_few_participants_make_fewer_folds_that_leave_both_classes():
    labels, participants = np.array([1, 0, 1, 0, 1, 0]), np.array(list("aabbcc"))
    fold = deal_folds(labels, participants, n_folds=5, seed=0)
    assert fold.max() == 2
    assert all(len(set(labels[fold != number])) == 2 for number in range(3))


@pytest.mark.parametrize("labels", [[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
def test_too_few_people_of_a_class_are_refused_with_what_is_needed(labels):
    with pytest.raises(DataError, match="at least two participants need A/H") as caught:
        deal_folds(np.array(labels), np.array(list("abcd")), n_folds=5, seed=0)
    assert caught.value.remedy.startswith("Train on more videos")


def test_platt_scaling_is_the_one_that_a_general_optimiser_finds():
    rng = np.random.default_rng(1)
    score = rng.normal(size=300)
    labels = (rng.random(300) < 1 / (1 + np.exp(-(2 * score - 0.7)))).astype(int)
    n_positive, n_negative = labels.sum(), (1 - labels).sum()
    target = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(parameters: np.ndarray) -> float:
        z = parameters[0] * score + parameters[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    assert fit_platt(score, labels) == pytest.approx(minimize(loss, [0.0, 0.0]).x, abs=2e-3)


def test_a_member_that_points_the_wrong_way_says_the_prevalence_and_separated_classes_stay_finite():
    labels = np.array([1, 1, 0, 0, 0, 0])
    wrong = fit_platt(-labels.astype(float), labels)
    assert wrong.slope == 0
    assert wrong(np.array([5.0, -5.0])) == pytest.approx([13 / 36] * 2)  # (2 x 3/4 + 4 x 1/6) / 6
    right = fit_platt(labels.astype(float), labels)
    assert right(np.array([1.0]))[0] == pytest.approx(3 / 4, abs=1e-3)  # Platt's softened target
    assert right(np.array([0.0]))[0] == pytest.approx(1 / 6, abs=1e-3)


def test_a_fold_is_calibrated_without_its_own_labels():
    rng = np.random.default_rng(0)
    score, fold = rng.normal(size=60), np.repeat([0, 1, 2], 20)
    labels = (score + rng.normal(size=60) > 0).astype(int)
    changed = np.where(fold == 1, 1 - labels, labels)
    before, after = (_cross_fitted("tfidf", score, one, fold) for one in (labels, changed))
    assert np.array_equal(before[fold == 1], after[fold == 1])
    assert not np.allclose(before[fold == 0], after[fold == 0])


def test_no_member_is_fitted_on_a_participant_that_it_is_judged_on(people, recipe, monkeypatch):
    seen = []

    def fit(recipe, examples, seed):
        seen.append(set(examples.participants))
        return {}

    def score(recipe, fitted, examples):
        assert not seen[-1] & set(examples.participants)
        return np.arange(len(examples), dtype=float)

    monkeypatch.setitem(MEMBERS, "tfidf", Member(fit, score))
    done = cross_validate(recipe(members=("tfidf",), averaged=("tfidf",)), people, n_folds=4)
    assert len(seen) == 4
    assert len(done.labels) == 160


def test_planted_ambivalence_is_found_and_chance_labels_are_not(people, chance, recipe):
    done = cross_validate(recipe(), people, seed=1)
    assert done.metrics["average"]["auroc"] > 0.8
    assert done.metrics["average"]["auroc"] > done.metrics["question_prior"]["auroc"]
    assert done.metrics["cue_count"]["auroc"] > 0.7
    for name, metrics in cross_validate(recipe(), chance, ("train",)).metrics.items():
        assert 0.3 < metrics["auroc"] < 0.65, name


def test_out_of_fold_metrics_agree_with_scikit_learn(people, recipe):
    done = cross_validate(recipe(), people)
    p = done.p["average"]
    assert p == pytest.approx((done.p["tfidf"] + done.p["extra_trees"]) / 2)
    assert done.metrics["average"]["auroc"] == pytest.approx(roc_auc_score(done.labels, p))
    assert done.metrics["average"]["brier"] == pytest.approx(np.mean((p - done.labels) ** 2))
    assert set(done.metrics) == {*recipe().members, "average"}


def test_auroc_within_questions_is_blind_to_which_question_was_asked():
    rng = np.random.default_rng(5)
    question = np.repeat([1, 2, 3], [30, 50, 20])
    labels = (rng.random(100) < np.array([0.2, 0.8, 0.5])[question - 1]).astype(int)
    p = rng.random(100)
    by_hand = [roc_auc_score(labels[question == q], p[question == q]) for q in (1, 2, 3)]
    assert auroc_within(labels, p, question) == pytest.approx(np.average(by_hand, weights=[30, 50, 20]))
    assert auroc_within(labels, np.array([0.2, 0.8, 0.5])[question - 1], question) == 0.5
    assert auroc_within(np.array([1, 1, 0]), np.array([0.1, 0.2, 0.3]), np.array([1, 1, 2])) is None
