"""Backbones of faces, and models over features: ``build_model``, ``save_model`` and ``load_feature_model``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.loading import load_named
from bah_mllm.core.reading import Refusal, read_json
from supervised.models.base import FeatureModel, ModelSpec, Variant
from supervised.models.tensor_files import DAMAGED

__all__ = ["FAITHFUL", "MODELS", "FeatureModel", "ModelSpec", "build_model", "load_feature_model", "save_model"]

MODELS = {
    "mlp": "supervised.models.mlp:Mlp",
    "tcn": "supervised.models.tcn:Tcn",
    "lfan": "supervised.models.lfan:Lfan",
    "can": "supervised.models.can:Can",
    "mt": "supervised.models.joint_transformer:Mt",
    "jmt": "supervised.models.joint_transformer:Jmt",
}
FAITHFUL = {
    "lfan": "supervised.models.faithful:FaithfulLfan",
    "can": "supervised.models.faithful:FaithfulCan",
    "mt": "supervised.models.faithful:FaithfulMt",
    "jmt": "supervised.models.faithful:FaithfulJmt",
}

_WEIGHTS = "model.safetensors"
_SPEC = "model.json"  # written last, so that a folder with it is whole


def build_model(
    name: str,
    dims: Mapping[str, int],
    *,
    variant: Variant = "corrected",
    **options: Any,  # noqa: ANN401 - each model's own
) -> FeatureModel:
    """Return a model over features, with random weights from PyTorch's generator.

    Args:
        name: A key of ``MODELS``.
        dims: Modality -> width of its features, in order; the first one leads.
        variant: ``corrected``, or ``faithful`` to the published code (keys of ``FAITHFUL``).
        options: Of that model: see its class.

    Raises:
        ConfigError: There is no such model, variant or option, or it cannot take these modalities.
    """
    if variant not in ("corrected", "faithful"):
        raise ConfigError(f"There is no variant {variant!r}.", remedy="Use corrected or faithful.")
    model_class = load_named(MODELS if variant == "corrected" else FAITHFUL, name, kind=f"{variant} model")
    allowed = inspect.signature(model_class).parameters.keys() - {"dims"}
    unknown = sorted(options.keys() - allowed)
    if unknown:
        raise ConfigError(
            f"The model {name} ({variant}) has no option {', '.join(unknown)}.",
            remedy=f"Use its options: {', '.join(sorted(allowed)) or 'none'}.",
        )
    if any(isinstance(dim, bool) or not isinstance(dim, int) or dim < 1 for dim in dims.values()):
        raise ConfigError(f"Features are {dict(dims)} wide.", remedy="Give whole numbers from 1.")
    try:
        model: FeatureModel = model_class(dims, **options)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:  # as PyTorch's layers refuse what they are given
        raise ConfigError(
            f"The model {name} cannot have the options {options}: {error}.", remedy="Correct their values."
        ) from error
    model.spec = ModelSpec(name, variant, dict(dims), dict(options))
    return model


def save_model(folder: Path, model: FeatureModel) -> None:
    """Write ``model.safetensors`` (weights and running statistics) and ``model.json`` (what builds the model).

    Args:
        folder: Made where it is not there; files of the same names are replaced.
        model: From ``build_model``.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    spec_path, weights_path = folder / _SPEC, folder / _WEIGHTS
    spec_path.unlink(missing_ok=True)  # weights without it are no whole model
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomically(weights_path, save(state))
    write_atomically(spec_path, (json.dumps(asdict(model.spec), indent=2) + "\n").encode())


def load_feature_model(folder: Path) -> FeatureModel:
    """Return the model that ``save_model`` kept in a folder: on the CPU, in evaluation mode.

    Raises:
        PrerequisiteError: The folder holds no whole model.
        ConfigError: Its ``model.json`` asks for what this version does not have.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / _SPEC).is_file() or not (folder / _WEIGHTS).is_file():
        raise PrerequisiteError(
            f"{folder} holds no whole model ({_WEIGHTS} and {_SPEC}).",
            remedy="Name the folder that `bah-mllm train --out` or `bah-mllm weights import --out` wrote.",
        )
    damaged: tuple[type[Exception], ...] = (*DAMAGED, MemoryError, SafetensorError)
    remedy = "Train or import it again into a new folder."
    try:
        spec = read_json(folder / _SPEC, Refusal(PrerequisiteError, f"{folder / _SPEC} is damaged", remedy))
        model = build_model(spec["name"], spec["dims"], variant=spec["variant"], **spec["options"])
        model.load_state_dict(load_file(folder / _WEIGHTS))
    except damaged as error:
        raise PrerequisiteError(
            f"The model in {folder} is damaged: {error}.",
            remedy=remedy,
        ) from error
    model.eval()
    return model
