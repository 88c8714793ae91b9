"""Mean and spread of features, for their standardisation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from supervised.features.store import FeatureStore

if TYPE_CHECKING:
    from jaxtyping import Float64

__all__ = ["FeatureStatistics", "feature_statistics"]


class FeatureStatistics(NamedTuple):
    """Of each dimension over all frames.

    Attributes:
        mean: Shape (dim,).
        sd: With n - 1, shape (dim,); 0 for a dimension that never changes.
        n_frames: Frames that count.
    """

    mean: Float64[np.ndarray, " dim"]
    sd: Float64[np.ndarray, " dim"]
    n_frames: int


def feature_statistics(store: FeatureStore, name: str, video_ids: Iterable[str]) -> FeatureStatistics:
    """Return the mean and standard deviation of each dimension over the valid frames of videos.

    One video is held at a time. Give the training videos only: the published code takes those of validation as well.

    Args:
        store: Where the features lie.
        name: Of the set.
        video_ids: Videos that have features in it.

    Raises:
        DataError: A video has no features, or all together have fewer than two valid frames.

    References:
        Chan, Golub & LeVeque 1983: means and squared deviations of parts, merged without loss of digits.
    """
    dim = store.info(name).dim
    n, mean, squares = 0, np.zeros(dim), np.zeros(dim)
    for video_id in video_ids:
        stored = store.read(name, video_id)
        rows = stored.values[stored.is_valid].astype(np.float64)
        if not len(rows):
            continue
        own_mean = rows.mean(axis=0)
        step, total = own_mean - mean, n + len(rows)
        squares += ((rows - own_mean) ** 2).sum(axis=0) + step**2 * (n * len(rows) / total)
        mean += step * (len(rows) / total)
        n = total
    if n < 2:
        raise DataError(f"The features {name} have {n} valid frames.", remedy="Give more videos.")
    return FeatureStatistics(mean, np.sqrt(squares / (n - 1)), n)
