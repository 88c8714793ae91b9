"""Importing weights that the authors' published code trained: ``bah-mllm weights import``.

Fusions (``best-model/model.pt`` beside its ``config.yml``) become faithful models in our format; visual backbones
(``model.pt`` beside ``mini_config.yml``) become backbones in ours. Nothing in a file is executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from supervised.models import FAITHFUL, FeatureModel, build_model, save_model
from supervised.models.backbones import BACKBONES, build_backbone, save_backbone
from supervised.models.tensor_files import load_tensors

__all__ = ["ImportedWeights", "import_weights"]

_MODALITIES = {"video": "visual", "vggish": "audio", "bert": "text"}
# How the published code names a part -> how we do. Its names are its interface; the longest that fits counts.
_STREAMS = {"temporal.": "streams.temporal.", "bn.": "streams.norm."}
_TRANSFORMER = {
    **_STREAMS,
    "fuse.visual_encoder.layers.0.": "encoders.visual.",
    "fuse.audio_encoder.layers.0.": "encoders.audio.",
    "fuse.final_encoder.layers.0.": "answers_encoder.",
    "fuse.final_self_attention.": "answers_attention.",
    "fuse.CA_va.": "cross.visual_audio.",
    "fuse.CA_av.": "cross.audio_visual.",
    "fuse.augment_audio_feats_dim.": "project.",
    "fuse.reduce_feats_dim.": "joint.",
    "fc1.": "mix.",
    "bn1.": "norm.",
    "fc2.": "classifier.",
}
_PARTS = {
    "lfan": {
        **_STREAMS,
        "fusion.layers.self_attn.qkv_proj.": "fusion.project.",
        "fusion.layers.self_attn.o_proj.": "fusion.out.",
        "fusion.layers.norm1.": "fusion.norm.",
        "regressor.": "classifier.",
    },
    "can": {
        **_STREAMS,
        "fuse.attn.": "project.",
        "fuse.weights.": "weigh.",
        "conv_c.": "unused.",
        "fc1.": "mix.",
        "bn1.": "norm.",
        "fc2.": "classifier.",
    },
    "mt": _TRANSFORMER,
    "jmt": {
        **_TRANSFORMER,
        "fuse.jr_encoder.layers.0.": "encoders.joint.",
        "fuse.CA_jrv.": "cross.joint_visual.",
        "fuse.CA_vjr.": "cross.visual_joint.",
        "fuse.CA_jra.": "cross.joint_audio.",
        "fuse.CA_ajr.": "cross.audio_joint.",
    },
}
_LAYERS = (
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
    (r"\.layer_norm(\d)\.", r".norm\1."),
    (r"\.feed_forward\.", ".feedforward."),
)
# Each convolution is also registered under a second name, with the same values.
_SECOND_NAME = re.compile(r"temporal\.\w+\.network\.\d+\.net\.[04]\.(bias|weight_g|weight_v)")
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class ImportedWeights:
    """What an import wrote.

    Args:
        model: Name of the model.
        n_parameters: Its parameters.
        notes: What the user should know.
        windows: ``key=value`` of a recipe: the windows that a fusion was trained in, as far as they are known. They are
            part of how the published code goes over videos.
    """

    model: str
    n_parameters: int
    notes: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()


def import_weights(source: Path, *, model: str, out: Path, window_frames: int | None = None) -> ImportedWeights:
    """Write weights of the published code in our format.

    Args:
        source: File ``model.pt``, or the folder that holds it.
        model: ``lfan``, ``can``, ``mt`` or ``jmt``; or a backbone of ``supervised.models.backbones.BACKBONES``.
        out: Folder to write: one that ``load_feature_model`` reads, or ``build_backbone(weights=...)`` for a backbone.
        window_frames: For ``lfan``, the only length of its windows; None takes ``window_length`` of ``config.yml``.

    Raises:
        ConfigError: There is no such model, the file is of another one, or LFAN's window is unknown.
        DataError: The file holds no tensors, or tensors are missing, unknown or of another shape.
        PrerequisiteError: There is no such file.
    """
    if model in BACKBONES:
        if not source.exists():
            raise _no_file(source, "model.pt, or the folder with it and mini_config.yml")
        has_config = source.is_file() and source.with_name("mini_config.yml").is_file()
        backbone = build_backbone(model, weights=source.parent if has_config else source)
        save_backbone(out, backbone)
        return ImportedWeights(model, sum(one.numel() for one in backbone.parameters()))
    if model not in FAITHFUL:
        raise ConfigError(
            f"There are no published weights of a model {model!r}.",
            remedy=f"Choose one of: {', '.join((*FAITHFUL, *BACKBONES))}.",
        )
    file = source / "model.pt" if source.is_dir() else source
    if not file.is_file():
        raise _no_file(file, "model.pt, or the folder best-model with it")
    published = load_tensors(file)
    settings = _read_settings(file.with_name("config.yml"), model)
    built = _build(model, published, settings, window_frames)
    _fill(built, published, model)
    save_model(out, built)
    n_backbone = sum(key.startswith("spatial.") for key in published)
    notes = [f"{n_backbone} tensors of the frozen backbone of faces are left out: import it by its own file"]
    length = str(built.window_frames or settings.get("window_length", ""))
    trained_in = {"window_frames": length, "hop_frames": settings.get("hop_length", "")}
    windows = tuple(f"data.{name}={value}" for name, value in trained_in.items() if value.isdigit())
    n_parameters = sum(one.numel() for one in built.parameters())
    return ImportedWeights(model, n_parameters, tuple(notes if n_backbone else ()), windows)


def _no_file(path: Path, wanted: str) -> PrerequisiteError:
    return PrerequisiteError(f"There is no file of weights {path}.", remedy=f"Name the file {wanted}.")


def _read_settings(path: Path, model: str) -> dict[str, str]:
    """Return the plain values of ``config.yml``; none where it is not there.

    Read line by line: the published code writes one of its numbers as an object of NumPy, which no safe reader of YAML
    takes.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    matches = (re.fullmatch(r"(\w+): (\S+)", line) for line in lines)
    settings: dict[str, str] = {match[1]: match[2] for match in matches if match}
    trained = settings.get("model_name", model).lower()
    if trained != model:
        raise ConfigError(
            f"The weights beside {path.name} are of the model {trained}, not {model}.", remedy=f"Use --model {trained}."
        )
    return settings


def _build(
    model: str, published: Mapping[str, Tensor], settings: Mapping[str, str], window_frames: int | None
) -> FeatureModel:
    """Return the faithful model, with random weights, whose modalities and widths the published weights have."""
    dims = {}
    for key, value in published.items():  # in the order of the modalities
        match = re.fullmatch(r"temporal\.(\w+)\.network\.0\.conv1\.weight_v", key)
        if match and match[1] in _MODALITIES:
            dims[_MODALITIES[match[1]]] = value.shape[1]
    if not dims:
        raise DataError(
            f"The weights hold no temporal convolutions over {', '.join(_MODALITIES)}: they are no {model}.",
            remedy="Name best-model/model.pt of the published code, or --model resnet18 or alike for a backbone.",
        )
    if model != "lfan":
        return build_model(model, dims, variant="faithful")
    names = {"window_length": "window_frames", "num_heads": "n_heads", "modal_dim": "modal_dim"}
    names["tcn_kernel_size"] = "kernel_frames"
    options = {ours: int(settings[theirs]) for theirs, ours in names.items() if settings.get(theirs, "").isdigit()}
    if window_frames is not None:
        options["window_frames"] = window_frames
    if "window_frames" not in options:
        raise ConfigError(
            "The window of these weights of lfan is unknown: there is no config.yml with window_length beside them.",
            remedy="Put that file there, or give --window-frames.",
        )
    return build_model(model, dims, variant="faithful", **options)


def _fill(built: FeatureModel, published: Mapping[str, Tensor], model: str) -> None:
    """Load the published weights; list what is missing, unknown or of another shape."""
    own = built.state_dict()
    given: dict[str, Tensor] = {}
    unknown = []
    misshaped = []
    for key, value in published.items():
        if key.startswith("spatial.") or _SECOND_NAME.fullmatch(key):
            continue
        name = _our_name(key, model, built.modalities)
        if name not in own:
            unknown.append(key)
        elif own[name].shape != value.shape:
            misshaped.append(f"{key} is {tuple(value.shape)}, not {tuple(own[name].shape)}")
        given[name] = value
    problems = {
        "missing": [name for name in own if name not in given],
        "unknown": unknown,
        "of another shape": misshaped,
    }
    if any(problems.values()):
        said = "; ".join(f"{len(keys)} {kind} ({_listed(keys)})" for kind, keys in problems.items() if keys)
        raise DataError(
            f"The weights do not fit {model}: {said}.",
            remedy="Check --model, and that the file is best-model/model.pt as the published code wrote it.",
        )
    built.load_state_dict(given)


def _our_name(key: str, model: str, modalities: tuple[str, ...]) -> str:
    parts = _PARTS[model]
    part = max((part for part in parts if key.startswith(part)), key=len, default="")
    name = parts.get(part, "") + key.removeprefix(part)
    for theirs, ours in _MODALITIES.items():
        name = name.replace(f".{theirs}.", f".{ours}.")
    if part == "fuse.attn.":  # numbered in the order of the modalities
        number, _, rest = key.removeprefix(part).partition(".")
        if number.isdigit() and int(number) < len(modalities):
            name = f"{parts[part]}{modalities[int(number)]}.{rest}"
    for pattern, replacement in _LAYERS:
        name = re.sub(pattern, replacement, name)
    return name


def _listed(keys: list[str]) -> str:
    more = f", and {len(keys) - _MAX_LISTED} more" if len(keys) > _MAX_LISTED else ""
    return ", ".join(keys[:_MAX_LISTED]) + more
