"""Backbones of faces: uint8 images -> one feature vector each.

The paper extracts its visual features with ResNet-18 to ResNet-152 or APViT, pre-trained on basic emotions and then
fine-tuned on BAH (section 4.2); the published code also has the IR-50 of an ABAW3 entry. No weights come with this
package: ``build_backbone`` takes them from where ``supervised.models.backbone_weights`` says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from bah_mllm.core.errors import DataError, PrerequisiteError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.loading import load_named
from bah_mllm.core.reading import Refusal, read_json
from bah_mllm.core.saying import say
from supervised.models.backbone_weights import HEAD, BackboneWeights, Normalisation, read_backbone_weights

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = [
    "BACKBONES",
    "Backbone",
    "Head",
    "build_backbone",
    "digest_of_weights",
    "freeze",
    "load_head",
    "save_backbone",
]

BACKBONES = {
    "resnet18": "supervised.models.resnet:resnet18",
    "resnet34": "supervised.models.resnet:resnet34",
    "resnet50": "supervised.models.resnet:resnet50",
    "resnet101": "supervised.models.resnet:resnet101",
    "resnet152": "supervised.models.resnet:resnet152",
    "ir50": "supervised.models.ir50:IR50",
    "apvit": "supervised.models.apvit:APViT",
    "tiny": "supervised.models.tiny:Tiny",
}
_MEAN_STD: dict[Normalisation, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # the published BAH code
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision and the ResNets of the hub
}


class _Reduction(nn.Module):
    """A narrower feature: ReLU, batch norm, linear, ReLU, as in the published code."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(n_in), nn.Linear(n_in, n_out), nn.ReLU())

    def forward(self, feature: Float[Tensor, "batch n_in"]) -> Float[Tensor, "batch n_out"]:
        out: Tensor = self.layer(feature)
        return out


class Backbone(nn.Module):
    """A network of faces with what goes before it (size, normalisation) and, where asked for, a reduction after it.

    Parameters are named as in the published weights: ``model.*`` and ``layer_reduce_dim.*``.

    Args:
        name: Key of ``BACKBONES``.
        reduce_dim: Width to reduce the features to; None leaves them. The published ones have 512, which is what the
            paper's TCN takes; a network of that width gets no reduction.
        normalisation: ``half``: (x / 255 - 0.5) / 0.5, or ``imagenet``: that set's mean and deviation.
        options: Keyword arguments of the network (APViT's tokens to keep).

    Attributes:
        dim: Width of the features.
        input_px: Side of the square that the network sees.
        resize_px: Side to which faces are scaled before the middle is cut out (or, in training, a random part).
        weights_name: Where the weights came from; ``random`` without any.
        is_stand_in: Weights are random, all of them or those of a part: the features say nothing of a face.
    """

    def __init__(
        self,
        name: str,
        *,
        reduce_dim: int | None = None,
        normalisation: Normalisation = "half",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.options = dict(options or {})
        self.model: nn.Module = load_named(BACKBONES, name, kind="backbone")(**self.options)
        self.input_px: int = self.model.input_px
        self.resize_px: int = self.model.resize_px
        body_dim: int = self.model.dim
        self.dim: int = body_dim
        self.layer_reduce_dim: nn.Module = nn.Identity()
        if reduce_dim is not None and reduce_dim != body_dim:
            self.dim = reduce_dim
            self.layer_reduce_dim = _Reduction(body_dim, reduce_dim)
        self.normalisation = normalisation
        self.weights_name = "random"
        self.is_stand_in = True
        self._is_frozen = False
        mean, std = _MEAN_STD[normalisation]
        self.register_buffer("_mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies the features it gives, for a feature set or a run: plain values."""
        return {
            "backbone": self.name,
            "weights": self.weights_name,
            "weights_digest": self.weights_digest,
            "dim": self.dim,
            "input_px": self.input_px,
            "resize_px": self.resize_px,
            "normalisation": self.normalisation,
            **self.options,
        }

    @property
    def weights_digest(self) -> str:
        """See ``digest_of_weights``; read anew at each call."""
        return digest_of_weights(self)

    def train(self, mode: bool = True) -> Backbone:  # noqa: FBT001, FBT002 - torch's signature
        """Set the mode, unless frozen: then it stays in that of inference.

        The published code freezes parameters only, so that its batch norms and dropouts go on working as in training.
        """
        super().train(mode and not self._is_frozen)
        return self

    def resize(self, faces: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 px px"]:
        """Scale to ``resize_px`` squared, whatever the aspect, values in [0, 255]; antialiased as Pillow's bilinear.

        Raises:
            DataError: Not uint8, not three channels, or without a pixel.
        """
        if faces.dtype != torch.uint8 or faces.ndim != 4 or faces.shape[-1] != 3 or 0 in faces.shape[1:]:
            raise DataError(
                f"Faces are {faces.dtype} of shape {tuple(faces.shape)}, not uint8 (batch, height, width, 3).",
                remedy="Pass decoded RGB images of at least 1 x 1 pixel.",
            )
        image = faces.permute(0, 3, 1, 2).float()
        size = (self.resize_px, self.resize_px)
        if image.shape[2:] == size:
            return image
        return nn.functional.interpolate(image, size, mode="bilinear", antialias=True)

    def embed(self, image: Float[Tensor, "batch 3 px px"]) -> Float[Tensor, "batch dim"]:
        """Return the features of images of ``input_px`` squared with values in [0, 255]."""
        feature: Tensor = self.layer_reduce_dim(self.model((image - self._mean) / self._std))
        return feature

    def forward(self, faces: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch dim"]:
        """Return the features of RGB faces of any size of at least 1 x 1 pixel.

        Raises:
            DataError: As ``resize``.
        """
        start = (self.resize_px - self.input_px) // 2
        middle = slice(start, start + self.input_px)
        return self.embed(self.resize(faces)[:, :, middle, middle])


def digest_of_weights(network: nn.Module) -> str:
    """Return the first 16 hexadecimal digits of a SHA-256 over names and values of parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def freeze(backbone: Backbone) -> Backbone:
    """Fix a backbone: no gradients, and the mode of inference also after ``train()`` of what it is part of."""
    backbone._is_frozen = True  # noqa: SLF001 - this module's own class
    backbone.requires_grad_(requires_grad=False)
    backbone.eval()
    return backbone


def build_backbone(
    name: str,
    weights: str | Path | None = None,
    *,
    random: bool = False,
    reduce_dim: int | None = None,
    normalisation: Normalisation | None = None,
) -> Backbone:
    """Return a backbone in inference mode.

    Args:
        name: Key of ``BACKBONES``.
        weights: Folder, file or hub name (see ``supervised.models.backbone_weights``); None with ``random`` for none.
        random: Allow random values for what the weights do not hold: all, a reduction, or the transformer over the
            IR-50 of APViT. Random features say nothing of a face; it is said on stderr.
        reduce_dim: Width to reduce the features to; None takes what the weights have.
        normalisation: None takes that of the weights: ``half`` for the authors' and ours, ``imagenet`` for those of
            torchvision and the hub.

    Raises:
        ConfigError: There is no such backbone, or the weights are of another one.
        DataError: The weights cannot be read, or lack or misshape parameters.
        PrerequisiteError: There are no weights, and ``random`` is false.
    """
    load_named(BACKBONES, name, kind="backbone")  # an unknown name is told before missing weights are
    if weights is None:
        if not random:
            raise PrerequisiteError(
                f"The backbone {name} needs weights: a random one says nothing of a face.",
                remedy="Name them: `features --weights NAME=PATH`, `train --set weights=PATH`; or allow random ones.",
            )
        say(f"WARNING: {name} has random weights: its features say nothing of faces.")
        backbone = Backbone(name, reduce_dim=reduce_dim, normalisation=normalisation or "half")
        backbone.eval()
        return backbone
    found = read_backbone_weights(name, weights)
    backbone = Backbone(
        name,
        reduce_dim=reduce_dim or found.reduce_dim,
        normalisation=normalisation or found.normalisation,
        options=found.options,
    )
    backbone.weights_name = found.label
    backbone.is_stand_in = _fill(backbone, found, random=random)
    backbone.eval()
    return backbone


def save_backbone(
    folder: Path,
    backbone: Backbone,
    *,
    head: nn.Linear | None = None,
    classes: tuple[str, ...] = (),
    started_from: str | None = None,
) -> None:
    """Write ``model.safetensors`` and ``backbone.json``, which ``build_backbone(weights=folder)`` reads.

    Args:
        folder: Made where it is not there.
        backbone: What to save.
        head: Its classifier, kept beside it; see ``load_head``.
        classes: Names of the head's outputs, in order.
        started_from: Weights that its training started from, for the record.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in backbone.state_dict().items()}
    if head is not None:
        state |= {HEAD + name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    write_atomically(folder / "model.safetensors", save(state))
    config = {
        "name": backbone.name,
        "reduce_dim": None if isinstance(backbone.layer_reduce_dim, nn.Identity) else backbone.dim,
        "normalisation": backbone.normalisation,
        "options": backbone.options,
        "classes": list(classes),
        "started_from": started_from,
        "weights_digest": backbone.weights_digest,
    }
    write_atomically(folder / "backbone.json", (json.dumps(config, indent=1) + "\n").encode())


def saved_name(folder: Path) -> str:
    """Return which backbone a folder of ``save_backbone`` holds.

    Raises:
        DataError: It is no such folder, or damaged.
    """
    remedy = "Give the folder of a seed that `bah-mllm train` wrote with a recipe of backbones."
    path = folder / "backbone.json"
    if not path.exists():
        raise DataError(f"The folder {folder.name} holds no trained backbone: there is no {path.name}.", remedy=remedy)
    refusal = Refusal(DataError, f"{path.name} of {folder.name} is damaged", remedy)
    config = read_json(path, refusal)
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise refusal.of("it names no backbone")
    return str(config["name"])


class Head(NamedTuple):
    """A classifier over a backbone's features, and the names of its outputs (empty where they are not known)."""

    layer: nn.Linear
    classes: tuple[str, ...]


def load_head(name: str, weights: str | Path) -> Head:
    """Return the classifier that is kept beside a backbone's weights.

    Raises:
        DataError: There is none, or not a single linear layer.
    """
    found = read_backbone_weights(name, weights)
    if found.head is None:
        raise DataError(
            f"The weights {found.label} have no classifier.",
            remedy="Train one: bah-mllm train --recipe finetune_bah --set weights=DIR --data ROOT --out DIR",
        )
    n_out, n_in = found.head["weight"].shape
    layer = nn.Linear(n_in, n_out)
    layer.load_state_dict(found.head)
    return Head(layer.eval(), found.classes)


def _fill(backbone: Backbone, found: BackboneWeights, *, random: bool) -> bool:
    """Load weights and return whether a part stays random, where that is allowed.

    What else is missing, of another shape or unknown is an error that lists some of it.
    """
    own = backbone.state_dict()
    given = found.state
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    n_missing = len(missing)
    for part in ("layer_reduce_dim.", "model.vit."):
        if random and not any(key.startswith(part) for key in given) and any(key.startswith(part) for key in missing):
            say(f"WARNING: {part.rstrip('.')} of {backbone.name} is random: train it before using its features.")
            missing = [key for key in missing if not key.startswith(part)]
    problems = {
        "missing": missing,
        "of another shape": [key for key in own if key in given and own[key].shape != given[key].shape],
        "unknown": [key for key in given if key not in own],
    }
    if any(problems.values()):
        said = "; ".join(f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in problems.items() if keys)
        raise DataError(
            f"The weights {found.label} do not fit {backbone.name}: {said}.",
            remedy="Pass weights of this backbone, or allow a random reduction that is then trained.",
        )
    backbone.load_state_dict({**own, **given})
    return n_missing > 0


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
