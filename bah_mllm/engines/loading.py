# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""Finding and loading checkpoints of transformers: folders with safetensors, .gguf files, hub ids. Never pickle."""

from __future__ import annotations

import logging
import os
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before transformers is imported, which reads them then: no usage statistics, and no asking a hub's bot to convert
# pickled weights.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from bah_mllm.core.errors import BahError, EngineError, OutOfMemoryError, PrerequisiteError
from bah_mllm.core.loading import import_optional, is_installed
from bah_mllm.engines.batching import is_out_of_memory
from bah_mllm.engines.models import MODELS, find_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from bah_mllm.engines import EngineOptions

__all__ = [
    "Checkpoint",
    "context_length",
    "describe_model",
    "end_tokens",
    "find_checkpoint",
    "find_file",
    "load_config",
    "load_model",
    "load_tokenizer",
]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "bitsandbytes", "numpy")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a model comes from.

    Args:
        name: Short name, as in ``prompt@engine:name``.
        source: Folder, or hub id.
        gguf_file: Name of the ``.gguf`` file in the folder, or None.
        is_local: It is a folder; nothing is asked of a hub.
        is_managed: It is in our own cache: the name says it all.
        revision: Commit, tag or branch on the hub; None for folders and for the hub's main branch.
    """

    name: str
    source: str
    gguf_file: str | None
    is_local: bool
    is_managed: bool = False
    revision: str | None = None

    @property
    def load_arguments(self) -> dict[str, Any]:
        """What the ``from_pretrained`` of models and tokenizers take."""
        arguments: dict[str, Any] = {
            "pretrained_model_name_or_path": self.source,
            "local_files_only": self.is_local,
            "trust_remote_code": False,  # where nothing is said, transformers asks at the terminal
        }
        if self.gguf_file is not None:
            arguments["gguf_file"] = self.gguf_file
        if self.revision is not None:
            arguments["revision"] = self.revision
        return arguments


def find_checkpoint(model: str, *, revision: str | None) -> Checkpoint:
    """Tell folders, files, names of our own cache and hub ids apart.

    Raises:
        PrerequisiteError: It is none of these, or is not there, or holds no safetensors.
    """
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return Checkpoint(path.stem, str(path.parent), path.name, is_local=True)
    if path.is_dir():
        if not any(path.glob("*.safetensors")):
            raise PrerequisiteError(
                f"The model folder {path} holds no .safetensors file.",
                remedy="Give a folder with safetensors weights; .bin and .pt files are pickles, which can run code, "
                "and are not read.",
            )
        return Checkpoint(path.resolve().name, str(path), None, is_local=True)
    if model in MODELS:
        return Checkpoint(model, str(find_model(model)), None, is_local=True, is_managed=True)
    if _HUB_ID.fullmatch(model) and path.suffix != ".gguf":
        return Checkpoint(path.name, model, None, is_local=False, revision=revision)
    raise PrerequisiteError(
        f"There is no model {model!r}: neither a folder, nor a .gguf file, nor a hub id (owner/name).",
        remedy=f"Check the path, or choose one of: {', '.join(sorted(MODELS))}.",
    )


def choose_device(device: str) -> Any:  # noqa: ANN401 - torch.device
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        PrerequisiteError: There is no such device.
    """
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda:0" if n_cuda else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= n_cuda:
        raise PrerequisiteError(
            f"The device {device} is not there: torch sees {n_cuda} CUDA devices.",
            remedy="Choose --device cpu or auto, or install a CUDA build of torch.",
        )
    return chosen


def choose_dtype(dtype: str, device: Any) -> Any:  # noqa: ANN401 - torch.dtype, torch.device
    """Return the torch dtype; ``auto`` is bfloat16 on CUDA and float32 on the CPU."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return getattr(torch, dtype)


def find_file(checkpoint: Checkpoint, name: str) -> Path | None:
    """Return a file of a checkpoint, or None where it has none of this name."""
    if checkpoint.is_local:
        path = Path(checkpoint.source) / name
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(checkpoint.source, name, revision=checkpoint.revision))
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return None


def load_config(checkpoint: Checkpoint, *, model_type: str) -> PreTrainedConfig:
    """Load the configuration of a checkpoint of one kind.

    Raises:
        PrerequisiteError: It is not there.
        EngineError: It cannot be read, or is of another kind: transformers would load what fits and leave the rest
            random.
    """
    try:
        config = AutoConfig.from_pretrained(**checkpoint.load_arguments)
    except Exception as error:  # foreign files raise anything
        raise _explain(error, checkpoint, "configuration") from error
    if config.model_type != model_type:
        raise EngineError(
            f"The checkpoint {checkpoint.source} is of the kind {config.model_type!r}, not {model_type!r}.",
            remedy=f"Give --model a {model_type} checkpoint, or choose another engine.",
        )
    return config


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint.

    Raises:
        PrerequisiteError: It is not there.
        EngineError: It cannot be read.
    """
    try:
        return AutoTokenizer.from_pretrained(**checkpoint.load_arguments)
    except Exception as error:  # foreign files raise anything
        raise _explain(error, checkpoint, "tokenizer") from error


def load_model(auto_class: Any, checkpoint: Checkpoint, options: EngineOptions) -> PreTrainedModel:  # noqa: ANN401
    """Load a model, ready to answer: on its device, in its dtype, quantised where asked.

    Args:
        auto_class: Class of transformers with ``from_pretrained``.
        checkpoint: What to load.
        options: Device, dtype, attention, quantisation.

    Raises:
        PrerequisiteError: Weights, a package or the device are not there.
        EngineError: The files do not make such a model.
    """
    if not sys.stderr.isatty():
        disable_progress_bar()
    device = choose_device(options.device)
    arguments = checkpoint.load_arguments | {
        "dtype": choose_dtype(options.dtype, device),
        "attn_implementation": options.attention,
        "use_safetensors": None if checkpoint.gguf_file else True,
    }
    if checkpoint.gguf_file:
        import_optional("gguf", extra="llm", purpose="reading a .gguf file")
    if options.quantize is not None:
        arguments |= _quantisation(options.quantize, arguments["dtype"])
    if options.quantize is not None or (device.type == "cuda" and is_installed("accelerate")):
        arguments["device_map"] = {"": device}  # straight to the device, not through main memory
    try:
        model, loaded = auto_class.from_pretrained(**arguments, output_loading_info=True)
        if "device_map" not in arguments:
            model = model.to(device)
    except Exception as error:  # foreign files raise anything
        raise _explain(error, checkpoint, "model") from error
    if loaded["missing_keys"]:
        raise EngineError(
            f"The checkpoint {checkpoint.source} lacks weights of {type(model).__name__}, such as "
            f"{sorted(loaded['missing_keys'])[0]}; they would be random.",
            remedy="Give --model a complete checkpoint of the kind that the engine runs.",
        )
    model.eval()
    # Replies are greedy, so that a run can be repeated: of the checkpoint's own settings only the tokens are kept.
    old = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=old.bos_token_id, eos_token_id=old.eos_token_id, pad_token_id=old.pad_token_id, do_sample=False
    )
    return model


def _quantisation(bits: str, dtype: Any) -> dict[str, Any]:  # noqa: ANN401 - torch.dtype
    from transformers import BitsAndBytesConfig

    for package in ("bitsandbytes", "accelerate"):
        import_optional(package, extra="quant", purpose=f"--quantize {bits}")
    # The vision tower and the projector are small and feed everything else; the output layer makes the scores.
    # Full module paths: transformers 5.23 matches them from the beginning, and "video_tower" alone spares nothing.
    spared = ["model.video_tower", "model.image_tower", "model.multi_modal_projector", "lm_head"]
    if bits == "8bit":
        # It casts to float16 by design, and says so for every layer of every pass.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=spared)}
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=spared,
        )
    }


def _explain(error: Exception, checkpoint: Checkpoint, what: str) -> BahError:
    if isinstance(error, BahError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError(
            f"The model {checkpoint.name} does not fit into memory.",
            remedy="Use --quantize 4bit, --dtype bfloat16, or a device with more memory.",
        )
    if isinstance(error, OSError) and not checkpoint.is_local:
        return PrerequisiteError(
            f"The {what} of {checkpoint.source} is neither in the cache of Hugging Face nor could it be fetched as "
            f"safetensors ({type(error).__name__}).",
            remedy=f"Run `hf download {checkpoint.source}` once where there is a network, or give --model FOLDER.",
        )
    reason = (str(error).splitlines() or [""])[0][:200]
    return EngineError(
        f"The {what} in {checkpoint.source} cannot be loaded ({type(error).__name__}: {reason}).",
        remedy="Check that it is a complete checkpoint of transformers of the kind that the engine runs.",
    )


def context_length(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a model takes, or None where its configuration does not say.

    With sliding-window attention a packed pass is exact only within the window, so that is the limit then.
    """
    text = config.get_text_config()
    limits = [getattr(text, "max_position_embeddings", None)]
    layers = getattr(text, "layer_types", None)
    if layers is None or any("sliding" in layer or "chunked" in layer for layer in layers):
        limits += [getattr(text, "sliding_window", None), getattr(text, "attention_chunk_size", None)]
    known = [limit for limit in limits if limit]
    return min(known) if known else None


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that end a reply: the model's and the tokenizer's."""
    ends = model.generation_config.eos_token_id
    found = set(ends if isinstance(ends, list) else [ends]) | {tokenizer.eos_token_id}
    return sorted(token for token in found if token is not None)


def _commit(checkpoint: Checkpoint) -> str | None:
    """Commit of a hub's checkpoint: the name of its folder in the cache. None for other folders."""
    file = None if checkpoint.is_local else find_file(checkpoint, "config.json")
    return file.parent.name if file is not None and file.parent.parent.name == "snapshots" else None


def describe_model(model: PreTrainedModel, checkpoint: Checkpoint, options: EngineOptions) -> dict[str, object]:
    """Return what identifies a loaded model, for the run's manifest."""
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    managed = MODELS[checkpoint.name] if checkpoint.is_managed else None
    shown = str(Path(checkpoint.source, checkpoint.gguf_file)) if checkpoint.gguf_file else checkpoint.source
    return {
        "checkpoint": managed.name if managed else shown,
        "weights_sha256": managed.weights_sha256 if managed else None,
        "revision": _commit(checkpoint) or checkpoint.revision,
        "port": "transformers",
        "architecture": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "attention": options.attention,
        "quantize": options.quantize,
        "context_length": context_length(model.config),
        "batch_windows": options.batch_windows,
        "max_packed_tokens": options.max_packed_tokens,
        "seed": options.seed,
        "packages": packages,
    }
