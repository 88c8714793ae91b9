"""What every strategy does on one loop, and what each does alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bah_mllm.core.errors import ConfigError
from supervised.adaptation.domains import Domain, batch_rows, embed_rows, score_rows
from supervised.adaptation.losses import mmd
from supervised.adaptation.source_free import Nrc, NrcOptions, Shot, ShotOptions
from supervised.adaptation.with_source import (
    Labelled,
    Mmd,
    MmdOptions,
    PairBatch,
    SubjectBased,
    SubjectOptions,
    SubjectPairs,
    SupervisedOptions,
)
from supervised.models import build_model
from supervised.records import Strategy
from supervised.training.loop import LoopSettings, fit

DIM = 6


def domain(n: int, *, seed: int = 0, constant: bool = False, label: int | None = None, n_subjects: int = 2) -> Domain:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=generator) < 0.5).long()
    features = torch.randn(n, DIM, generator=generator) + 2 * labels[:, None]
    if label is not None:
        labels = torch.full((n,), label)
    if constant:
        features = torch.ones(n, DIM)
    row = torch.arange(n)
    return Domain(features, labels, row % n_subjects, torch.zeros(n, dtype=torch.int64), row / 24, features.flip(1))


def model(*, batch_norm: bool = True) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("mlp", {"visual": DIM}, hidden=8, bottleneck=4, batch_norm=batch_norm)


SOURCE = domain(60, seed=1)
MAKERS: dict[str, Callable[[Domain], Strategy]] = {
    "pairs": lambda target: SubjectPairs(target, MmdOptions(batch_frames=16), seed=0),
    "mmd": lambda target: Mmd(SOURCE, target, MmdOptions(batch_frames=16), seed=0),
    "sub_based": lambda target: SubjectBased(SOURCE, target, SubjectOptions(batch_frames=16, tau=0.6), seed=0),
    "shot": lambda target: Shot(target, ShotOptions(batch_frames=16), seed=0),
    "shot_prior": lambda target: Shot(
        target, ShotOptions(batch_frames=16, diversity="prior"), seed=0, prior_positive=0.2
    ),
    "nrc": lambda target: Nrc(target, NrcOptions(batch_frames=16), seed=0, n_epochs=2),
    "oracle": lambda target: Labelled(target, SupervisedOptions(batch_frames=16), seed=0),
}
TARGETS = {
    "usual": domain(50),
    "constant": domain(50, constant=True),
    "only negatives": domain(50, label=0),
    "only positives": domain(50, label=1),
    "three frames": domain(3),
    "a frame too many for whole batches": domain(33),
    "two frames": domain(2),
    "one frame": domain(1),
}


def train(network: nn.Module, strategy: Strategy, folder: Path, **settings: object) -> nn.Module:
    quick = {"epochs": 2, "lr": 0.01, "device": "cpu", **settings}
    fit(network, strategy, LoopSettings(**quick), folder=folder, seed=0, quiet=True)
    return network


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("method", MAKERS)
def test_odd_targets_give_finite_answers(method, kind, tmp_path):
    target = TARGETS[kind]
    trained = train(model(), MAKERS[method](target), tmp_path)
    p = score_rows(trained, target)
    assert p.shape == (len(target),)
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("method", MAKERS)
def test_a_usual_target_changes_the_model(method, tmp_path):
    start = model()
    trained = train(deepcopy(start), MAKERS[method](TARGETS["usual"]), tmp_path)
    assert any(not torch.equal(a, b) for a, b in zip(start.parameters(), trained.parameters(), strict=True))


@pytest.mark.parametrize("method", ["mmd", "sub_based", "shot", "nrc"])
def test_labels_of_the_target_are_never_looked_at(method, tmp_path):
    target = TARGETS["usual"]
    turned = Domain(target.features, 1 - target.labels, target.subject, target.video, target.t_s, target.flipped)
    found = [
        score_rows(train(model(), MAKERS[method](one), tmp_path / str(n)), target).tolist()
        for n, one in enumerate((target, turned))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["shot", "nrc"])
def test_source_free_methods_train_the_backbone_slower_and_shot_keeps_the_classifier(method, tmp_path):
    start = model()
    strategy = MAKERS[method](TARGETS["usual"])
    groups = strategy.parameter_groups(deepcopy(start))
    assert [group.get("lr_factor", 1.0) for group in groups] == [0.1, 1.0]
    trained = train(deepcopy(start), strategy, tmp_path, weight_decay=0.1)
    before, after = (list(one.classifier.parameters()) for one in (start, trained))
    same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert same == (method == "shot")


def test_batch_statistics_of_a_frozen_classifier_are_not_disturbed_by_pseudo_labels():
    network, strategy = model(), MAKERS["shot"](TARGETS["usual"])
    strategy.parameter_groups(network)
    network.train()
    strategy.begin_epoch(network, 0)
    assert network.norm.training
    assert not network.classifier.training


def test_the_discrepancy_is_computed_in_full_precision_whatever_the_model_runs_in():
    rows = torch.arange(32)
    strategy, network = MAKERS["mmd"](TARGETS["usual"]), model(batch_norm=False)
    full = strategy.loss(network, PairBatch(rows, rows))
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = [embed_rows(network, one.features[rows]) for one in (SOURCE, TARGETS["usual"])]
        half = strategy.loss(network, PairBatch(rows, rows))
    assert embeddings[0].dtype == torch.bfloat16
    assert half.parts["mmd"] == mmd(*(one.float() for one in embeddings)).item()
    assert half.parts["mmd"] == pytest.approx(full.parts["mmd"], rel=0.05)


def test_without_pseudo_labels_the_subject_based_method_is_mmd_to_the_bit(tmp_path):
    target = TARGETS["usual"]
    plain = train(model(), MAKERS["mmd"](target), tmp_path / "mmd")
    options = SubjectOptions(batch_frames=16, gamma3=0)
    without = train(model(), SubjectBased(SOURCE, target, options, seed=0), tmp_path / "sub")
    assert score_rows(plain, target).tolist() == score_rows(without, target).tolist()


def refreshed(n_epochs: int, **options: object) -> SubjectBased:
    strategy = SubjectBased(SOURCE, TARGETS["usual"], SubjectOptions(batch_frames=16, **options), seed=0)
    network = model()
    for epoch in range(n_epochs):
        strategy.begin_epoch(network, epoch)
    return strategy


def test_pseudo_labels_are_made_every_four_epochs_with_a_falling_threshold():
    refreshes = refreshed(10).refreshes
    assert [entry["epoch"] for entry in refreshes] == [0, 4, 8]
    assert [entry["tau"] for entry in refreshes] == pytest.approx([0.95, 0.94, 0.93])


def test_the_threshold_stops_at_its_floor():
    taus = [entry["tau"] for entry in refreshed(8, refresh_epochs=2, tau=0.9, tau_step=0.06).refreshes]
    assert taus == pytest.approx([0.9, 0.84, 0.8, 0.8])
    taus = [entry["tau"] for entry in refreshed(4, refresh_epochs=2, tau=0.7).refreshes]
    assert taus == pytest.approx([0.7, 0.7])  # a lower start is kept


def test_a_lower_threshold_adds_frames_unless_only_kept_ones_are_scored_again():
    grow = {"tau": 0.62, "tau_step": 0.1, "tau_min": 0.5}
    free, shrinking = (refreshed(5, only_shrink=shrink, **grow).refreshes for shrink in (False, True))
    assert free[0]["n_kept"] == shrinking[0]["n_kept"] < free[1]["n_kept"]
    assert shrinking[1]["n_kept"] <= shrinking[0]["n_kept"]


def test_each_refresh_tells_how_many_kept_frames_are_labelled_as_the_target_is():
    target = replace(TARGETS["usual"], flipped=None)  # both views are the same: labels are the model's answers
    strategy = SubjectBased(SOURCE, target, SubjectOptions(batch_frames=16, tau=0.5), seed=0)
    strategy.begin_epoch(model(), 0)
    is_right = torch.from_numpy(score_rows(model(), target) > 0.5) == target.labels
    assert strategy.refreshes[0]["n_right"] == int(is_right.sum())
    assert 0 < int(is_right.sum()) < len(target)


def test_no_confident_frame_leaves_the_pseudo_label_term_out(tmp_path):
    options = {"batch_frames": 16, "tau": 1.0, "tau_min": 1.0}
    strategy = SubjectBased(SOURCE, TARGETS["usual"], SubjectOptions(**options), seed=0)
    train(model(), strategy, tmp_path)
    assert strategy.refreshes[0]["n_kept"] == 0
    only = SubjectBased(SOURCE, TARGETS["usual"], SubjectOptions(only_confident=True, **options), seed=0)
    trained = train(model(), only, tmp_path / "only")
    assert ((score_rows(trained, SOURCE) >= 0) & (score_rows(trained, SOURCE) <= 1)).all()


def gradient_of_mmd(*, detached: bool) -> float:
    network = model(batch_norm=False)
    options = MmdOptions(batch_frames=16, mmd_weight=1000.0, detached=detached)
    strategy = Mmd(SOURCE, domain(50, seed=7), options, seed=0)
    plain = Mmd(SOURCE, domain(50, seed=7), MmdOptions(batch_frames=16, mmd_weight=0.0), seed=0)
    gradients = []
    for one in (strategy, plain):
        network.zero_grad()
        one.loss(network, next(one.batches(0))).total.backward()
        gradients.append(network.hidden.weight.grad.clone())
    return float((gradients[0] - gradients[1]).abs().max())


def test_alignment_reaches_the_backbone_unless_it_is_detached_as_in_the_public_code():
    assert gradient_of_mmd(detached=False) > 1e-3
    assert gradient_of_mmd(detached=True) == 0


@pytest.mark.parametrize(("loaders", "expected"), [("longer", 6), ("shorter", 3)])
def test_an_epoch_ends_with_the_longer_domain_unless_asked_otherwise(loaders, expected):
    options = MmdOptions(batch_frames=10, loaders=loaders)
    strategy = Mmd(SOURCE, domain(34), options, seed=0)
    batches = list(strategy.batches(0))
    assert len(batches) == strategy.n_batches(0) == expected
    seen = torch.cat([batch.second for batch in batches])
    assert seen.bincount(minlength=34).max() <= -(-expected // 3)


def test_pairs_are_of_two_different_subjects():
    source = domain(60, n_subjects=4)
    for batch in SubjectPairs(source, MmdOptions(batch_frames=8), seed=0).batches(0):
        first, second = (set(source.subject[rows].tolist()) for rows in batch)
        assert len(first) == len(second) == 1
        assert first != second


def test_a_batch_replaces_its_rows_of_the_banks_and_no_others():
    network, strategy = model(), Nrc(TARGETS["usual"], NrcOptions(batch_frames=16), seed=0, n_epochs=2)
    strategy.begin_epoch(network, 0)
    bank, scores = (strategy.state_dict()[name].clone() for name in ("bank", "scores"))
    network.train()
    strategy.loss(network, torch.tensor([3, 4, 9]))
    for before, name in ((bank, "bank"), (scores, "scores")):
        changed = (strategy.state_dict()[name] != before).any(1).nonzero().flatten()
        assert changed.tolist() == [3, 4, 9]


def test_more_neighbours_are_taken_in_the_second_half_where_asked_for():
    network, strategy = model(), Nrc(TARGETS["usual"], NrcOptions(batch_frames=16, nrc_switch=True), seed=0, n_epochs=4)
    sizes = []
    for epoch in range(4):
        strategy.begin_epoch(network, epoch)
        sizes.append((strategy._k, strategy._m))
    assert sizes == [(3, 2), (3, 2), (5, 4), (5, 4)]


def test_the_prior_of_an_unknown_source_is_refused():
    with pytest.raises(ConfigError, match="unknown"):
        Shot(TARGETS["usual"], ShotOptions(batch_frames=16, diversity="prior"), seed=0)


def test_rows_come_once_a_round_in_another_order_each():
    batches = list(batch_rows(10, batch=5, n_batches=4, seed=(0,), drop_last=True))
    first, second = torch.cat(batches[:2]), torch.cat(batches[2:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()
    assert [len(rows) for rows in batch_rows(3, batch=5, n_batches=2, seed=(0,), drop_last=True)] == [3, 3]
    assert [len(rows) for rows in batch_rows(0, batch=5, n_batches=2, seed=(0,), drop_last=True)] == [0, 0]
