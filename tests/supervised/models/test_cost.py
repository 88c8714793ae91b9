"""What models cost, by a second counter, and that it grows with the batch no faster than the batch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from supervised.models import FAITHFUL, MODELS, build_model
from supervised.models.backbones import build_backbone
from supervised.models.cost import measure_backbone_cost, measure_cost

DIMS = {"visual": 64, "audio": 32, "text": 48}
WINDOW_FRAMES = 24
CASES = [*((name, "corrected") for name in MODELS), *((name, "faithful") for name in FAITHFUL)]


def made(name: str, variant: str) -> tuple[nn.Module, Mapping[str, int]]:
    dims = {"visual": 64} if name in ("tcn", "mlp") else DIMS
    options = {"window_frames": WINDOW_FRAMES} if (name, variant) == ("lfan", "faithful") else {}
    return build_model(name, dims, variant=variant, **options).eval(), dims


def windows(dims: Mapping[str, int], n_windows: int) -> tuple[dict[str, Tensor], Tensor]:
    features = {name: torch.randn(n_windows, WINDOW_FRAMES, dim) for name, dim in dims.items()}
    return features, torch.ones(n_windows, WINDOW_FRAMES, dtype=torch.bool)


def counted(model: nn.Module, dims: Mapping[str, int], n_windows: int) -> int:
    """Floating-point operations by PyTorch's own counter, with attention as matrix products, which it can count."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(*windows(dims, n_windows))
    return int(counter.get_total_flops())


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_two_counters_agree(name: str, variant: str) -> None:
    model, dims = made(name, variant)
    cost = measure_cost(model, dims, WINDOW_FRAMES, n_repeats=1)
    assert cost.flops == 2 * cost.macs == counted(model, dims, 1)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert cost.seconds > 0


def test_a_linear_layer_costs_its_weights_at_every_frame() -> None:
    model = build_model("mlp", {"audio": 10}, hidden=20, bottleneck=30)
    model.train()
    assert measure_cost(model, {"audio": 10}, 7, n_windows=3).macs == 21 * (10 * 20 + 20 * 30 + 30 * 2)
    assert model.training


def test_a_backbone_costs_so_much_a_face() -> None:
    backbone = build_backbone("tiny", random=True)
    one, three = measure_backbone_cost(backbone, 1), measure_backbone_cost(backbone, 3)
    assert three.macs == 3 * one.macs > 0
    assert one.parameters == sum(parameter.numel() for parameter in backbone.parameters())


@pytest.mark.parametrize("name", ["lfan", "jmt"])
def test_counting_says_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        measure_cost(*made(name, "corrected"), 4, n_repeats=1)
    assert not caplog.records


class _Allocated(TorchDispatchMode):
    """Bytes of everything that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.n_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(one, Tensor):
                self.n_bytes += one.numel() * one.element_size()
        return out


def allocated(model: nn.Module, dims: Mapping[str, int], n_windows: int) -> int:
    inputs = windows(dims, n_windows)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _Allocated() as mode:
        model(*inputs)
    return mode.n_bytes


@pytest.mark.parametrize("name", MODELS)
def test_time_and_memory_grow_with_the_batch_as_the_batch(name: str) -> None:
    model, dims = made(name, "corrected")
    assert counted(model, dims, 8) == 8 * counted(model, dims, 1)
    two, four, eight = (allocated(model, dims, n) for n in (2, 4, 8))
    assert eight - four == 2 * (four - two) > 0


@pytest.mark.parametrize("name", ["mt", "jmt"])
def test_in_the_published_code_they_grow_faster(name: str) -> None:
    model, dims = made(name, "faithful")
    assert counted(model, dims, 8) > 8.1 * counted(model, dims, 1)
    two, four, eight = (allocated(model, dims, n) for n in (2, 4, 8))
    assert eight - four > 2.05 * (four - two)
