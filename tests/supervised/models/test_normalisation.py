"""Normalisation over real frames, against PyTorch's on these frames alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from supervised.models import build_model
from supervised.models.normalisation import MaskedBatchNorm1d, freeze_statistics


def made_alike(width: int) -> tuple[MaskedBatchNorm1d, nn.BatchNorm1d]:
    ours, theirs = MaskedBatchNorm1d(width), nn.BatchNorm1d(width)
    torch.manual_seed(0)
    with torch.no_grad():
        ours.weight.normal_()
        ours.bias.normal_()
        ours.running_mean.normal_()
        ours.running_var.uniform_(0.5, 2)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("lengths", [(9, 4, 1, 6), (9, 9, 9, 9)], ids=["padded", "nothing padded"])
def test_it_is_pytorchs_normalisation_of_the_real_frames(lengths: tuple[int, ...]) -> None:
    ours, theirs = made_alike(5)
    is_real = torch.arange(9) < torch.tensor(lengths)[:, None]
    for step in range(3):
        torch.manual_seed(step)
        values = (3 + 2 * torch.randn(4, 9, 5)).masked_fill(~is_real[..., None], 1e6).requires_grad_()
        real = values.detach()[is_real].requires_grad_()
        got, expected = ours(values, is_real), theirs(real)
        torch.testing.assert_close(got[is_real], expected, atol=1e-6, rtol=0)
        assert not got[~is_real].any()
        for one in (got[is_real], expected):
            one.pow(3).sum().backward()
        torch.testing.assert_close(values.grad[is_real], real.grad)
        assert not values.grad[~is_real].any()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    ours.eval()
    theirs.eval()
    torch.testing.assert_close(ours(values, is_real)[is_real], theirs(real), atol=1e-5, rtol=1e-5)


def test_its_state_dictionary_is_pytorchs() -> None:
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(MaskedBatchNorm1d(3).state_dict()) == names == list(nn.BatchNorm1d(3).state_dict())


@pytest.mark.parametrize("n_real", [0, 1])
def test_too_few_frames_for_a_variance_use_the_running_statistics_and_keep_them(n_real: int) -> None:
    ours, theirs = made_alike(4)
    values = torch.randn(1, 6, 4)
    is_real = torch.arange(6)[None] < n_real
    got = ours.train()(values, is_real)
    torch.testing.assert_close(got[is_real], theirs.eval()(values[is_real]), atol=1e-6, rtol=1e-6)
    assert torch.equal(ours.running_var, theirs.running_var)
    assert ours.training


def test_frozen_statistics_survive_training_and_can_be_let_go() -> None:
    torch.manual_seed(0)
    model = build_model("can", {"audio": 6, "text": 5}, dropout=0.0)
    features = {"audio": 2 + torch.randn(2, 8, 6), "text": torch.randn(2, 8, 5)}
    is_real = torch.ones(2, 8, dtype=torch.bool)

    def statistics() -> list[torch.Tensor]:
        return [value.clone() for name, value in model.state_dict().items() if "running" in name]

    freeze_statistics(model)
    model.train()  # as at the start of every epoch
    before = statistics()
    as_trained = model(features, is_real)
    assert all(torch.equal(a, b) for a, b in zip(before, statistics(), strict=True))
    assert torch.equal(as_trained, model.eval()(features, is_real))
    as_trained.sum().backward()
    assert model.norm.weight.grad.abs().max() > 0
    freeze_statistics(model, is_frozen=False)
    model.train()(features, is_real)
    assert not any(torch.equal(a, b) for a, b in zip(before, statistics(), strict=True))
