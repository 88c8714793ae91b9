"""Arrays in files that others wrote or that a disk damaged: read whole, or refused by one kind of error."""

from __future__ import annotations

import tokenize
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zipfile import BadZipFile

if TYPE_CHECKING:
    import numpy as np

    from bah_mllm.core.reading import Refusal

__all__ = ["DAMAGED_ARRAYS", "read_array"]

# What numpy and zipfile raise on damaged files, over 40,000 mutated ones.
DAMAGED_ARRAYS: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, TypeError, ArithmeticError, LookupError)
DAMAGED_ARRAYS += (AttributeError, SyntaxError, MemoryError, RuntimeError, tokenize.TokenError, BadZipFile, zlib.error)


def read_array(path: Path, refusal: Refusal, *, mapped: Literal["r", "c"] | None = None) -> np.ndarray:
    """Return the array of a ``.npy`` file; nothing in it is executed.

    Args:
        path: Of the file.
        refusal: How it is refused.
        mapped: Leave the values on disk until they are used; ``c`` lets a caller change its own copy.

    Raises:
        BahError: The refusal's: the file is missing or damaged, or holds objects.
    """
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that only a damaged file has
            array = np.load(path, mmap_mode=mapped, allow_pickle=False)
    except DAMAGED_ARRAYS as error:
        raise refusal.of(f"it is missing, damaged or no array ({type(error).__name__})") from None
    if not isinstance(array, np.ndarray):  # an archive of several
        raise refusal.of("it holds no single array")
    return array
