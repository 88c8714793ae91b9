"""Every parameter of a corrected model learns: its gradient is far above what rounding makes up."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from supervised.models import FeatureModel, build_model

DIMS = {"visual": 20, "audio": 12, "text": 16}
NARROW = (10, 10, 8, 8)  # channels: fewer than the defaults, which only cost time here
CASES = [
    (name, subset)
    for name in ("lfan", "can", "mt", "jmt")
    for subset in [("audio",), ("audio", "text"), ("visual", "audio", "text")]
]


def gradients(model: FeatureModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    model = copy.deepcopy(model).to(dtype).train()
    torch.manual_seed(0)
    is_real = torch.arange(40) < torch.tensor([40, 31, 12])[:, None]
    features = {name: torch.randn(3, 40, dim, dtype=torch.float64).to(dtype) for name, dim in model.dims.items()}
    labels = torch.randint(0, 2, (3, 40))
    nn.functional.cross_entropy(model(features, is_real)[is_real], labels[is_real]).backward()
    return {name: parameter.grad.double() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "modalities", "options"),
    [
        ("tcn", ("text",), {"dropout": 0.0, "widths": NARROW}),
        *[(name, subset, {"dropout": 0.0, "widths": dict.fromkeys(subset, NARROW)}) for name, subset in CASES],
        ("mlp", ("text",), {}),
        ("mlp", ("text",), {"batch_norm": True}),
    ],
)
def test_single_and_double_precision_agree_on_every_gradient(
    name: str, modalities: tuple[str, ...], options: dict[str, object]
) -> None:
    torch.manual_seed(1)
    model = build_model(name, {modality: DIMS[modality] for modality in modalities}, **options)
    rough, exact = gradients(model, torch.float32), gradients(model, torch.float64)
    assert exact.keys() == dict(model.named_parameters()).keys()
    noise = {key: float((rough[key] - exact[key]).norm() / exact[key].norm()) for key in exact}
    assert max(noise.values()) < 1e-3, max(noise, key=lambda key: noise[key])


def test_the_measure_finds_a_bias_that_a_normalisation_undoes() -> None:
    torch.manual_seed(1)
    model = build_model("can", {"audio": 12, "text": 16}, dropout=0.0)
    model.mix = nn.Linear(256, 256)
    rough, exact = gradients(model, torch.float32)["mix.bias"], gradients(model, torch.float64)["mix.bias"]
    assert (rough - exact).norm() / exact.norm() > 0.5
