"""Files of weights from anywhere: read as tensors, never as programs."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bah_mllm.core.errors import DataError

__all__ = ["DAMAGED", "load_tensors"]

# What torch.load raises on damaged files, over thousands of mutated ones.
DAMAGED: tuple[type[Exception], ...] = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, struct.error)
DAMAGED += (ValueError, LookupError, TypeError, AttributeError, AssertionError)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; nothing in it is executed.

    Args:
        path: ``.safetensors``, or what ``torch.save`` writes.

    Raises:
        DataError: It cannot be read as tensors, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    damaged: tuple[type[Exception], ...] = (*DAMAGED, SafetensorError)
    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except damaged as error:
        raise DataError(
            f"The weights {path.name} cannot be read as tensors ({type(error).__name__}).",
            remedy="Check the download; pickled objects are refused: save a state dict, best as .safetensors.",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise DataError(
            f"The weights {path.name} are not a state dict.", remedy="Save the module's state_dict(), not the module."
        )
    return loaded
