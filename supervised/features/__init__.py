"""Features of face, voice and words: one row per frame of a video, on disk."""

from supervised.features.foreign_arrays import import_arrays
from supervised.features.store import FeatureSet, FeatureStore, StoredFeatures

__all__ = [
    "FeatureSet",
    "FeatureStore",
    "StoredFeatures",
    "import_arrays",
]
