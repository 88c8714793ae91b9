"""Table 14: what the multimodal model costs."""

from __future__ import annotations

from typing import Any

from supervised.flows.train import model_options
from supervised.models import build_model
from supervised.models.backbones import build_backbone
from supervised.models.cost import measure_backbone_cost, measure_cost
from supervised.reading import FusionRecipe

__all__ = ["cost_table"]

# Widths of the published code's features: a reduced ResNet-152, VGGish, BERT.
_DIMS = {"visual": 512, "audio": 128, "text": 768}
_BACKBONE = "resnet152"
_N_FACES = 2  # measured, then multiplied: every face costs the same
_PAPER = {
    "seconds_per_frame": 0.00012,
    "parameters": 223e6,
    "trainable_parameters": 5e6,
    "flops": 1.87e12,
    "macs": 938e9,
}


def cost_table(recipe: FusionRecipe, *, window_frames: int) -> tuple[dict[str, Any], str]:
    """Return the cost of a window, as plain values and as Markdown.

    The audio and text networks run offline and do not count, as in the paper; the visual backbone counts, frozen.

    Args:
        recipe: Whose model is measured.
        window_frames: Frames of the window that FLOPs and MACs are about; the paper does not state its own.

    References:
        BAH paper, Table 14 (on an A100); fvcore counts multiply-accumulates.
    """
    backbone = build_backbone(_BACKBONE, random=True)
    dims = {modality: _DIMS[modality] for modality in recipe.features}
    model = build_model(recipe.model.name, dims, variant=recipe.model.variant, **model_options(recipe))
    fused = measure_cost(model.eval(), dims, window_frames)
    faces = measure_backbone_cost(backbone.eval(), _N_FACES)
    per_window = window_frames / _N_FACES
    record: dict[str, Any] = {
        "experiment": "table14",
        "model": recipe.model.name,
        "variant": recipe.model.variant,
        "backbone": _BACKBONE,
        "window_frames": window_frames,
        "seconds_per_frame": fused.seconds / window_frames + faces.seconds / _N_FACES,
        "seconds_per_frame_from_features": fused.seconds / window_frames,
        "parameters": fused.parameters + faces.parameters,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "flops": fused.flops + faces.flops * per_window,
        "macs": fused.macs + faces.macs * per_window,
        "paper": _PAPER,
    }
    lines = [
        f"# Table 14: cost of {recipe.model.name} ({recipe.model.variant}) with {_BACKBONE}",
        "",
        f"Measured on this machine's CPU for windows of {window_frames} frames; the paper's machine is an A100, its "
        "window is not stated (its MACs fit about 319 frames), and its total counts networks that it does not name.",
        "",
        "| | ours | paper |",
        "|---|---|---|",
        f"| inference time per frame, backbone included | {1e3 * record['seconds_per_frame']:.3f} ms | ~0.12 ms |",
        f"| inference time per frame from features | {1e3 * record['seconds_per_frame_from_features']:.4f} ms | - |",
        f"| parameters | {record['parameters'] / 1e6:.1f} M | ~223 M |",
        f"| learnable parameters | {record['trainable_parameters'] / 1e6:.2f} M | ~5 M |",
        f"| FLOPs | {record['flops'] / 1e12:.3f} T | ~1.87 T |",
        f"| MACs | {record['macs'] / 1e9:.1f} G | ~938 G |",
    ]
    return record, "\n".join(lines) + "\n"
