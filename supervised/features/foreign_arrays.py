"""Features that others made, one array a video, as a set of the store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bah_mllm.core.arrays import read_array
from bah_mllm.core.errors import DataError
from bah_mllm.core.reading import Refusal
from bah_mllm.dataset.paths import spellings
from supervised.features.store import FeatureSet, FeatureStore

__all__ = ["import_arrays"]


def import_arrays(
    store: FeatureStore, info: FeatureSet, folder: Path, video_ids: Iterable[str], *, fps: float | None = None
) -> int:
    """Add the arrays of a folder to a set, and return how many videos have none or an unusable one.

    Args:
        store: Made where it is not there.
        info: The set; made where it is not there.
        folder: With ``<video id>.npy`` or ``<file name without extension>.npy`` for each video: shape (n_frames, dim),
            a row a frame; rows with NaN count as not valid.
        video_ids: Which videos to look for.
        fps: Frames a second, where known.

    Raises:
        ConfigError: The name of the set cannot be that of a folder.
        RunError: A set of that name was made otherwise.
    """
    store.create(info)
    n_lacking = 0
    for video_id in video_ids:
        try:
            values = _read(folder, video_id)
            is_valid = np.isfinite(values).all(axis=1) if values.ndim == 2 else np.zeros(0, bool)
            store.add(info.name, video_id, values, is_valid, fps=fps)
        except DataError as error:
            store.fail(info.name, video_id, error.problem.rstrip("."))
            n_lacking += 1
    return n_lacking


def _read(folder: Path, video_id: str) -> np.ndarray:
    names = [*spellings(video_id), Path(video_id).stem]
    path = next((path for name in names if (path := folder / f"{name}.npy").is_file()), None)
    if path is None:
        raise DataError("there is no array of it", remedy="Name arrays as the videos.")
    array = read_array(
        path, Refusal(DataError, "its array cannot be read", "Save it with numpy.save, without objects.")
    )
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"its array holds {array.dtype}", remedy="Save floating-point numbers.")
    return array
