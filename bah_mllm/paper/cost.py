"""Table 14: what the multimodal model costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.dataset import dataset_and_split
from bah_mllm.paper.experiments import Experiment, ExperimentRequest, Outcome
from bah_mllm.paper.fusion_arms import recipe_of
from bah_mllm.paper.fusion_tables import OUT, under_notes
from bah_mllm.report.markup import Table
from supervised.fusion.recipe import FusionRecipe
from supervised.models import build_model
from supervised.models.backbones import build_backbone
from supervised.models.cost import measure_backbone_cost, measure_cost

__all__ = ["cost_table"]

# Widths of the published code's features: a reduced ResNet-152, VGGish, BERT.
_DIMS = {"visual": 512, "audio": 128, "text": 768}
_BACKBONE = "resnet152"
_RECIPE = "lfan"
_WINDOW_FRAMES = 300  # the paper does not state its own
_N_FACES = 2  # measured, then multiplied: every face costs the same


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a model and the backbone before it.

    Args:
        seconds_per_frame: Inference, backbone included.
        parameters: Backbone included.
        trainable_parameters: Of the model over features.
        flops: Of a window.
        macs: Multiply-accumulates of a window.
    """

    seconds_per_frame: float
    parameters: float
    trainable_parameters: float
    flops: float
    macs: float


_PAPER = Cost(seconds_per_frame=0.00012, parameters=223e6, trainable_parameters=5e6, flops=1.87e12, macs=938e9)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Our cost, and how much of the time the model takes from features alone."""

    cost: Cost
    seconds_per_frame_from_features: float


def cost_table(name: str, experiment: Experiment, request: ExperimentRequest) -> Outcome:
    """Measure the cost of a window, and return it beside the paper's.

    The audio and text networks run offline and do not count, as in the paper; the visual backbone counts, frozen.

    Args:
        name: Of the experiment.
        experiment: Its place in the paper.
        request: Overrides of the recipe, and the window that FLOPs and MACs are about.

    References:
        BAH paper, Table 14 (on an A100); fvcore counts multiply-accumulates.
    """
    window_frames = (request.windows_frames(name) or (_WINDOW_FRAMES,))[0]
    dataset, _ = dataset_and_split(request.data, request.split)
    out = request.out(OUT)
    recipe = recipe_of(request, _RECIPE)
    found = _measure(recipe, window_frames)
    notes = [SYNTHETIC] if dataset.is_synthetic else []
    record = {
        "experiment": name,
        "model": recipe.model.name,
        "variant": recipe.model.variant,
        "backbone": _BACKBONE,
        "window_frames": window_frames,
        **asdict(found.cost),
        "seconds_per_frame_from_features": found.seconds_per_frame_from_features,
        "paper": asdict(_PAPER),
        "notes": notes,
    }
    markdown = _markdown(experiment, recipe, found, window_frames)
    return Outcome(folder=out, record=record, markdown=under_notes(notes, markdown))


def _measure(recipe: FusionRecipe, window_frames: int) -> _Measured:
    backbone = build_backbone(_BACKBONE, random=True)
    dims = {modality: _DIMS[modality] for modality in recipe.features}
    model = build_model(recipe.model.name, dims, variant=recipe.model.variant, **recipe.model_options())
    fused = measure_cost(model.eval(), dims, window_frames)
    faces = measure_backbone_cost(backbone.eval(), _N_FACES)
    per_window = window_frames / _N_FACES
    cost = Cost(
        seconds_per_frame=fused.seconds / window_frames + faces.seconds / _N_FACES,
        parameters=fused.parameters + faces.parameters,
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        flops=fused.flops + faces.flops * per_window,
        macs=fused.macs + faces.macs * per_window,
    )
    return _Measured(cost, fused.seconds / window_frames)


def _markdown(experiment: Experiment, recipe: FusionRecipe, found: _Measured, window_frames: int) -> str:
    ours, from_features_ms = found.cost, f"{1e3 * found.seconds_per_frame_from_features:.4f} ms"
    frame_ms, theirs_ms = f"{1e3 * ours.seconds_per_frame:.3f} ms", f"~{1e3 * _PAPER.seconds_per_frame:g} ms"
    rows = [
        ["inference time per frame, backbone included", frame_ms, theirs_ms],
        ["inference time per frame from features", from_features_ms, "-"],
        ["parameters", f"{ours.parameters / 1e6:.1f} M", f"~{_PAPER.parameters / 1e6:g} M"],
        [
            "learnable parameters",
            f"{ours.trainable_parameters / 1e6:.2f} M",
            f"~{_PAPER.trainable_parameters / 1e6:g} M",
        ],
        ["FLOPs", f"{ours.flops / 1e12:.3f} T", f"~{_PAPER.flops / 1e12:g} T"],
        ["MACs", f"{ours.macs / 1e9:.1f} G", f"~{_PAPER.macs / 1e9:g} G"],
    ]
    text = [
        f"# {experiment.heading} of {recipe.model.name} ({recipe.model.variant}) with {_BACKBONE}",
        "",
        f"Measured on this machine's CPU for windows of {window_frames} frames; the paper's machine is an A100, its "
        "window is not stated (its MACs fit about 319 frames), and its total counts networks that it does not name.",
        "",
        Table(["", "ours", "paper"], rows).to_markdown(),
    ]
    return "\n".join(text) + "\n"
