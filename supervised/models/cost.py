"""What a model costs: parameters, arithmetic and time of one window (the paper's Table 14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from supervised.models.base import FeatureModel

if TYPE_CHECKING:
    from supervised.models.backbones import Backbone

__all__ = ["ModelCost", "measure_backbone_cost", "measure_cost"]

_ATTENTION = "scaled_dot_product_attention"
# What multiplies and accumulates; fvcore counts normalisations and pooling too, in units of their own.
_PRODUCTS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", _ATTENTION)


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Cost of one forward pass in evaluation mode.

    Args:
        parameters: All of them, trainable or not.
        flops: Floating-point operations: two a multiply-accumulate.
        macs: Multiply-accumulate operations of convolutions, matrix products and attention.
        seconds: Median wall time on the model's device.
    """

    parameters: int
    flops: int
    macs: int
    seconds: float


def measure_cost(
    model: FeatureModel, dims: Mapping[str, int], window_frames: int, *, n_windows: int = 1, n_repeats: int = 5
) -> ModelCost:
    """Return what a batch of windows costs a model over features; those of the features themselves come on top.

    Args:
        model: Any model over features.
        dims: Modality -> width of its features.
        window_frames: Frames of a window, at least 1.
        n_windows: Windows of the batch.
        n_repeats: Passes that are timed, after one that is not.

    References:
        Paper, Table 14 (938 GMACs, 1.87 TFLOPs with ResNet-152: two FLOPs a MAC). fvcore's "flops" are MACs.
    """
    device = next(model.parameters()).device
    features = {name: torch.randn(n_windows, window_frames, dim, device=device) for name, dim in dims.items()}
    is_real = torch.ones(n_windows, window_frames, dtype=torch.bool, device=device)
    return _measure(model, (features, is_real), n_repeats=n_repeats)


def measure_backbone_cost(backbone: Backbone, n_faces: int, *, n_repeats: int = 5) -> ModelCost:
    """Return what a batch of faces, already in the size that the backbone resizes to, costs it.

    Args:
        backbone: From ``build_backbone``.
        n_faces: Faces of the batch: the frames of a window, say.
        n_repeats: Passes that are timed, after one that is not.
    """
    device = next(backbone.parameters()).device
    shape = (n_faces, backbone.resize_px, backbone.resize_px, 3)
    faces = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    return _measure(backbone, (faces,), n_repeats=n_repeats)


def _measure(model: nn.Module, inputs: tuple[Any, ...], *, n_repeats: int) -> ModelCost:
    was_training = model.training
    model.eval()
    macs = _count_macs(model, inputs)
    with torch.inference_mode():
        model(*inputs)
        seconds = median(_time(model, inputs) for _ in range(n_repeats))
    model.train(was_training)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelCost(parameters=parameters, flops=2 * macs, macs=macs, seconds=seconds)


def _count_macs(model: nn.Module, inputs: tuple[Any, ...]) -> int:
    from fvcore.nn import FlopCountAnalysis

    # Traced with gradients: without, PyTorch's own attention layer takes a fused path that fvcore cannot see into.
    analysis = FlopCountAnalysis(_AllOutputs(model), inputs)
    analysis.set_op_handle(**{f"aten::{_ATTENTION}": _attention_macs})
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
    # The tracer's remarks on shapes that it takes as constant: here they are.
    analysis.tracer_warnings("none")
    counts = analysis.by_operator()
    return sum(int(counts[name]) for name in _PRODUCTS)


class _AllOutputs(nn.Module):
    """A model that also returns what its layers do: tracing drops what leads to no output (faithful MT's text)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> list[Tensor]:  # noqa: ANN401 - whatever the model takes
        outputs: list[Tensor] = []

        def keep(_layer: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                outputs.append(output)

        hooks = [layer.register_forward_hook(keep) for layer in self.model.modules()]
        self.model(*inputs)
        for hook in hooks:
            hook.remove()
        return outputs


def _attention_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Queries times keys, then weights times values."""
    query, key = (value.type().sizes() for value in inputs[:2])
    (out,) = (value.type().sizes() for value in outputs)
    macs: int = prod(query[:-1]) * key[-2] * (query[-1] + out[-1])
    return macs


def _time(model: nn.Module, inputs: tuple[Any, ...]) -> float:
    started = perf_counter()
    output: Tensor = model(*inputs)
    if output.is_cuda:
        torch.cuda.synchronize(output.device)
    return perf_counter() - started
