"""Weights of backbones of faces, wherever they came from.

- a folder written by ``save_backbone`` (``backbone.json``, ``model.safetensors``): what ``bah-mllm train`` leaves;
- a folder of the authors (``mini_config.yml``, ``model.pt``);
- a file of weights (``.safetensors``, ``.pt``, ``.pth``) under torchvision's names, or those of the published IR-50
  (which may also start APViT);
- for ResNets, a model of the Hugging Face hub (``microsoft/resnet-18``) or its local folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from bah_mllm.core.loading import import_optional
from bah_mllm.core.reading import Refusal, read_json
from bah_mllm.dataset.yaml_files import load_yaml
from supervised.models.apvit import from_ir50
from supervised.models.resnet import from_transformers
from supervised.models.tensor_files import load_tensors

__all__ = ["HEAD", "BackboneWeights", "Normalisation", "read_backbone_weights"]

Normalisation = Literal["half", "imagenet"]
HEAD = "classifier.1."
"""Before the names of the head's tensors in the published weights: a dropout followed by this layer."""
_APVIT_HEAD = "model.classification_head.fc."
_HUB_NAME = re.compile(r"[\w-][\w.-]*/(?!.*\.(?:pt|pth|safetensors)$)[\w.-]+")  # organisation/model, and no file


@dataclass(frozen=True, slots=True)
class BackboneWeights:
    """Weights as read: under the backbone's own names, without the head.

    Args:
        label: Where they came from, without its path.
        state: Tensors of the backbone, its network's as ``model.*``.
        normalisation: That the weights were trained with.
        reduce_dim: Width of the reduction that they have; None for none.
        options: Keyword arguments of the network.
        head: ``weight`` and ``bias`` of a classifier of one layer; None where there is none.
        classes: Names of the head's outputs; empty where they are not known.
    """

    label: str
    state: dict[str, Tensor]
    normalisation: Normalisation
    reduce_dim: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Tensor] | None = None
    classes: tuple[str, ...] = ()


def read_backbone_weights(name: str, weights: str | Path) -> BackboneWeights:
    """Return the weights of a backbone.

    Args:
        name: Of the backbone.
        weights: Folder, file or hub name; see the module.

    Raises:
        ConfigError: They are of another backbone.
        DataError: They cannot be read.
        PrerequisiteError: There are none.
    """
    place = Path(weights).expanduser()
    if (place / "backbone.json").is_file():
        return _read_own(name, place)
    if (place / "mini_config.yml").is_file():
        return _read_published(name, place)
    if place.is_file():
        return _read_file(name, place)
    is_on_hub = not place.exists() and _HUB_NAME.fullmatch(str(weights)) is not None
    if name.startswith("resnet") and ((place / "config.json").is_file() or is_on_hub):
        return _read_hub(name, str(weights))
    raise PrerequisiteError(
        f"There are no weights of {name} at {weights}.",
        remedy="Name a folder with backbone.json or mini_config.yml, a file .safetensors, .pt or .pth, or (ResNets) a "
        "model of the hub such as microsoft/resnet-18.",
    )


def _read_own(name: str, folder: Path) -> BackboneWeights:
    remedy = "Train the backbone again, or restore the folder."
    config = read_json(
        folder / "backbone.json", Refusal(DataError, f"backbone.json of {folder.name} is damaged", remedy)
    )
    try:
        found = BackboneWeights(
            folder.name,
            load_tensors(folder / "model.safetensors"),
            config["normalisation"],
            config["reduce_dim"],
            config["options"],
            classes=tuple(config["classes"]),
        )
        trained = config["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"The file backbone.json of the weights {folder.name} is damaged ({type(error).__name__}).",
            remedy=remedy,
        ) from error
    _check_name(name, trained, folder.name)
    return _without_head(found)


def _read_published(name: str, folder: Path) -> BackboneWeights:
    """Read a folder of the authors; their classifier and any second head for compound emotions stay out."""
    config = load_yaml(folder / "mini_config.yml")
    model = config.get("model") if isinstance(config, dict) else None
    if not isinstance(model, dict) or "model_type" not in model:
        raise DataError(
            f"The file mini_config.yml of the weights {folder.name} has no model.model_type.",
            remedy="Take the folder as the authors publish it.",
        )
    _check_name(name, str(model["model_type"]).lower(), folder.name)
    reduce_dim = model.get("reduce_dim")
    return _without_head(
        BackboneWeights(
            folder.name,
            load_tensors(folder / "model.pt"),
            "half",
            None if reduce_dim in {None, "None"} else int(reduce_dim),
            _apvit_options(model, folder.name) if name == "apvit" else {},
        )
    )


def _apvit_options(model: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Return how many tokens a published APViT keeps; refuse the kinds of attention that the paper does not use."""
    method = model.get("apvit_attn_method", "SUM_ABS_1")
    if method != "SUM_ABS_1" or model.get("apvit_apply_self_att", False):
        raise DataError(
            f"The weights {label} rate patches by {method}, or weigh them; only sums of magnitudes are supported.",
            remedy="Take weights with apvit_attn_method SUM_ABS_1 and apvit_apply_self_att False.",
        )
    return {"n_keep": int(model.get("apvit_k", 160)), "keep_rate": float(model.get("apvit_r", 0.9))}


def _read_file(name: str, path: Path) -> BackboneWeights:
    state = {key.removeprefix("module."): value for key, value in load_tensors(path).items()}
    if any(key.startswith("model.") for key in state):  # the authors' model.pt, without its folder
        reduction = state.get("layer_reduce_dim.layer.2.weight")
        return _without_head(BackboneWeights(path.name, state, "half", None if reduction is None else len(reduction)))
    if any("embedder.embedder." in key for key in state):
        state = from_transformers(state)
    state = {key.removeprefix("backbone."): value for key, value in state.items()}  # the published IR-50
    if name == "apvit" and any(key.startswith("body.") for key in state):
        state = from_ir50(state)
    body = {f"model.{key}": value for key, value in state.items() if not key.startswith(("fc.", "logits."))}
    return BackboneWeights(path.name, body, "imagenet" if name.startswith("resnet") else "half")


def _read_hub(name: str, source: str) -> BackboneWeights:
    transformers = import_optional("transformers", extra="llm", purpose="weights of the hub")
    try:
        model = transformers.ResNetModel.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            f"There are no weights of {name} at {source}: no such folder or file, nor such a ResNet on the hub.",
            remedy="Correct the path, or go online once so that the hub's model is kept.",
        ) from error
    label = Path(source).name if Path(source).exists() else source
    state = {f"model.{key}": value for key, value in from_transformers(model.state_dict()).items()}
    return BackboneWeights(label, state, "imagenet")


def _without_head(found: BackboneWeights) -> BackboneWeights:
    """Split the classifier from the rest: ``classifier.1``, or APViT's ``model.classification_head.fc``."""
    body = {}
    head = {}
    for key, value in found.state.items():
        if key.startswith((HEAD, _APVIT_HEAD)):
            head[key.rpartition(".")[2]] = value
        elif not key.startswith(("classifier.", "compound_cl_head.", "model.classification_head.")):
            body[key] = value
    return replace(found, state=body, head=head if set(head) == {"weight", "bias"} else None)


def _check_name(name: str, trained: str, label: str) -> None:
    if trained != name:
        raise ConfigError(
            f"The weights {label} are of the backbone {trained}, not {name}.",
            remedy=f"Ask for {trained}, or pass others.",
        )
