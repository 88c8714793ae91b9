"""What the published code saved: its key names and shapes are written out here, as that code has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

INPUTS = {"video": 512, "vggish": 128, "bert": 768}
LFAN = {"video": [256, 256, 128, 128], "vggish": [64, 64, 32, 32], "bert": [256, 256, 128, 128]}
OTHERS = {"video": [256, 256, 128, 128, 128], "vggish": [128, 128, 64, 64], "bert": [256, 256, 128, 128]}

# The numpy number that the published code puts into its configuration, which no safe reader takes.
CONFIG = """amp: true
best_epoch: !!python/object/apply:numpy.core.multiarray.scalar
- !!python/object/apply:numpy.dtype
  args:
  - i8
  - false
  - true
- !!binary |
  AQAAAAAAAAA=
hop_length: 10
modal_dim: 32
modality:
- video
- vggish
- bert
- EXPR_continuous_label
model_name: {model}
num_heads: 2
t0: 2025-05-01 12:00:00.123456
tcn_kernel_size: 5
window_length: 24
"""


def linear(name: str, n_in: int, n_out: int) -> Shapes:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def batch_norm(name: str, width: int) -> Shapes:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in names} | {f"{name}.num_batches_tracked": ()}


def layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def streams(channels: dict[str, list[int]]) -> Shapes:
    shapes: Shapes = {}
    for modality, widths in channels.items():
        n_in = INPUTS[modality]
        for i, width in enumerate(widths):
            block = f"temporal.{modality}.network.{i}"
            for conv, second, inputs in (("conv1", "net.0", n_in), ("conv2", "net.4", width)):
                for name in (conv, second):
                    shapes[f"{block}.{name}.bias"] = (width,)
                    shapes[f"{block}.{name}.weight_g"] = (width, 1, 1)
                    shapes[f"{block}.{name}.weight_v"] = (width, inputs, 5)
            if n_in != width:
                shapes |= {f"{block}.downsample.weight": (width, n_in, 1), f"{block}.downsample.bias": (width,)}
            n_in = width
        shapes |= batch_norm(f"bn.{modality}", widths[-1])
    return shapes


def attention(name: str) -> Shapes:
    return {f"{name}.in_proj_weight": (384, 128), f"{name}.in_proj_bias": (384,)} | linear(f"{name}.out_proj", 128, 128)


def encoder(name: str) -> Shapes:
    layer = f"{name}.layers.0"
    return {
        **attention(f"{layer}.attention"),
        **linear(f"{layer}.feed_forward.0", 128, 128),
        **linear(f"{layer}.feed_forward.2", 128, 128),
        **layer_norm(f"{layer}.layer_norm1", 128),
        **layer_norm(f"{layer}.layer_norm2", 128),
    }


def published_shapes(model: str, *, without: str | None = None) -> Shapes:
    if model == "lfan":
        channels = {modality: widths for modality, widths in LFAN.items() if modality != without}
        shapes = {"spatial.visual.backbone.input_layer.0.weight": (64, 3, 3, 3)} | streams(channels)
        for modality, widths in channels.items():
            shapes |= linear(f"fusion.layers.self_attn.qkv_proj.{modality}", widths[-1], 96)
        joint = 32 * len(channels)
        shapes |= linear("fusion.layers.self_attn.o_proj", joint, joint) | layer_norm("fusion.layers.norm1", joint)
        return shapes | linear("regressor", 128 + joint, 2)
    shapes = streams(OTHERS)
    if model == "can":
        for i, widths in enumerate(OTHERS.values()):
            shapes |= linear(f"fuse.attn.{i}", widths[-1], 128)
        shapes |= linear("fuse.weights", 384, 384) | {"conv_c.weight": (128, 384, 1), "conv_c.bias": (128,)}
        return shapes | batch_norm("bn1", 384) | linear("fc1", 384, 384) | linear("fc2", 384, 2)
    shapes |= encoder("fuse.visual_encoder") | encoder("fuse.audio_encoder") | encoder("fuse.final_encoder")
    crossings = ["CA_va", "CA_av"]
    if model == "jmt":
        shapes |= encoder("fuse.jr_encoder")
        crossings += ["CA_jra", "CA_ajr", "CA_vjr", "CA_jrv"]
    for crossing in crossings:
        shapes |= attention(f"fuse.{crossing}")
    shapes |= linear("fuse.reduce_feats_dim", 256, 128) | linear("fuse.augment_audio_feats_dim", 64, 128)
    shapes |= attention("fuse.final_self_attention") | batch_norm("bn1", 128)
    return shapes | linear("fc1", 128, 128) | linear("fc2", 128, 2)


def _published_state(model: str, *, without: str | None = None) -> dict[str, Tensor]:
    """Return random values under the published names; the second names of a convolution hold the same values.

    Args:
        model: Of the published code.
        without: A modality of LFAN that was left out of its training.
    """
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for name, shape in published_shapes(model, without=without).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif ".net." in name:
            state[name] = state[name.replace("net.0", "conv1").replace("net.4", "conv2")]
        else:
            values = torch.randn(shape, generator=generator)
            state[name] = values.abs() + 0.1 if name.endswith(("running_var", "weight_g")) else 0.1 * values
    return state


@pytest.fixture(scope="session")
def published_state() -> Callable[..., dict[str, Tensor]]:
    return _published_state


@pytest.fixture(scope="session")
def saved() -> Callable[..., Path]:
    """Write a state as ``model.pt`` into a new folder, and return the file."""

    def write(folder: Path, state: dict[str, Tensor], *, config: str | None = None) -> Path:
        folder.mkdir(parents=True)
        torch.save(state, folder / "model.pt")
        if config is not None:
            (folder / "config.yml").write_text(CONFIG.format(model=config))
        return folder / "model.pt"

    return write
