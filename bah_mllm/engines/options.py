"""How a model is loaded and run: what every engine is given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from bah_mllm.core.errors import ConfigError

__all__ = ["Attention", "ChatTemplate", "Dtype", "EngineOptions", "Quantization"]

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantization = Literal["4bit", "8bit"]
Attention = Literal["sdpa", "eager"]
ChatTemplate = Literal["auto", "chat", "raw"]

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How to load and run a model.

    Args:
        model: Folder with safetensors, ``.gguf`` file, hub id, or a name of ``bah-mllm models list``; the engine's own
            default where None. The scripted engine reads ``text``, ``video`` or a JSON file.
        revision: Commit, tag or branch on the hub; None is the newest that is cached or published.
        device: ``auto`` (the first CUDA device, else the CPU), ``cpu``, ``cuda`` or ``cuda:1``.
        dtype: ``auto`` (bfloat16 on CUDA, float32 on the CPU), ``float32``, ``bfloat16`` or ``float16``.
        quantize: ``4bit`` or ``8bit`` by bitsandbytes, or None. Vision tower, projector and output layer are spared.
        attention: ``sdpa``, or ``eager`` (slower: 2.1 times measured on a CPU; for debugging).
        batch_windows: Windows in one forward pass, at least 1. Pays on GPUs only; halved when memory runs out.
        n_frames: Frames a window, for engines that see video; the paper takes 8.
        wrapper: Name of the text around a prompt, for engines that know several; None is the engine's default.
        chat_template: For ``text``: ``chat`` uses the tokenizer's chat template, ``raw`` gives the prompt alone,
            ``auto`` takes ``chat`` where there is a template.
        max_packed_tokens: Prompts of a window are scored together in passes of at most so many tokens (one longer
            prompt goes alone). Bounds memory, which grows with the square.
        seed: For the scripted engine's scores; other engines are greedy and deterministic, and record it.

    Raises:
        ConfigError: A value that is not among these.
    """

    model: str | None = None
    revision: str | None = None
    device: str = "auto"
    dtype: Dtype = "auto"
    quantize: Quantization | None = None
    attention: Attention = "sdpa"
    batch_windows: int = 1
    n_frames: int = 8
    wrapper: str | None = None
    chat_template: ChatTemplate = "auto"
    max_packed_tokens: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for option, choices in (
            ("dtype", get_args(Dtype)),
            ("quantize", (None, *get_args(Quantization))),
            ("attention", get_args(Attention)),
            ("chat_template", get_args(ChatTemplate)),
        ):
            value = getattr(self, option)
            if value not in choices:
                names = ", ".join(str(choice) for choice in choices if choice is not None)
                raise ConfigError(f"The engine option {option} cannot be {value!r}.", remedy=f"Choose one of: {names}.")
        if not _DEVICE.fullmatch(self.device):
            raise ConfigError(
                f"The device cannot be {self.device!r}.", remedy="Choose auto, cpu, cuda, or one device such as cuda:1."
            )
        for option in ("batch_windows", "n_frames", "max_packed_tokens"):
            if getattr(self, option) < 1:
                raise ConfigError(
                    f"The engine option {option} must be at least 1, but is {getattr(self, option)}.",
                    remedy=f"Give {option} as a positive number.",
                )
