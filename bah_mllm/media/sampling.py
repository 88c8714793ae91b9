"""Which frames of a window a model sees.

Samplers differ between the tools of this field; of 120 frames they show (8 frames a clip):

===========  =======================================  ===========================================================
``linspace``  0, 17, 34, 51, 68, 85, 102, 119         first and last included; the authors' zero-shot code
                                                      (``np.linspace(0, n - 1, 8)`` cut to integers), lmms-eval,
                                                      Video-LLaVA's own code
``hf``        0, 15, 30, 45, 60, 75, 90, 105          starts of equal parts; transformers 5
                                                      (``default_sample_indices_fn``), VLMEvalKit's Hugging Face class
``center``    13, 26, 40, 53, 66, 80, 93, 106         inner borders of n + 1 equal parts; VLMEvalKit's video data sets
===========  =======================================  ===========================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.timeline import Window

__all__ = ["SAMPLERS", "SampledIndices", "sample_indices"]


class SampledIndices(NamedTuple):
    """Frames sampled from a window.

    Args:
        indices: Frame numbers in the video, ascending, one for each frame the model takes.
        is_short: The window held fewer frames than the model takes, so that the last one was repeated.
    """

    indices: tuple[int, ...]
    is_short: bool


def _linspace(length: int, n_frames: int) -> list[int]:
    return [int(offset) for offset in np.linspace(0, length - 1, n_frames)]


def _hf(length: int, n_frames: int) -> list[int]:
    return [k * length // n_frames for k in range(n_frames)]


def _center(length: int, n_frames: int) -> list[int]:
    step = length / (n_frames + 1)  # a float product, as there: k * length // (n + 1) rounds otherwise now and then
    return [int(k * step) for k in range(1, n_frames + 1)]


# Name -> (frames in the window, frames to take, not more) -> offsets from the window's start, ascending.
SAMPLERS: dict[str, Callable[[int, int], list[int]]] = {"linspace": _linspace, "hf": _hf, "center": _center}


def sample_indices(window: Window, n_frames: int, sampler: str) -> SampledIndices:
    """Return which frames of a window the model sees.

    A window of exactly ``n_frames`` gives every frame; a shorter one gives every frame, then the last one again.

    Args:
        window: The span to sample from.
        n_frames: How many frames the model takes, at least 1.
        sampler: A name in ``SAMPLERS``.

    Raises:
        ConfigError: There is no such sampler, or ``n_frames`` is below 1.

    >>> sample_indices(Window(0, 120), 8, "hf").indices
    (0, 15, 30, 45, 60, 75, 90, 105)
    >>> sample_indices(Window(6, 8), 4, "linspace")
    SampledIndices(indices=(6, 7, 7, 7), is_short=True)
    """
    if sampler not in SAMPLERS:
        raise ConfigError(
            f"There is no frame sampler {sampler!r}.", remedy=f"Choose one of: {', '.join(sorted(SAMPLERS))}."
        )
    if n_frames < 1:
        raise ConfigError(f"A clip must hold at least 1 frame, but got {n_frames}.", remedy="Give --frames 8, say.")
    n_missing = n_frames - len(window)
    if n_missing >= 0:
        return SampledIndices((*range(window.start, window.stop), *[window.stop - 1] * n_missing), n_missing > 0)
    offsets = SAMPLERS[sampler](len(window), n_frames)
    return SampledIndices(tuple(window.start + offset for offset in offsets), is_short=False)
