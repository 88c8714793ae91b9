"""Features of face, voice and words: one row per frame of a video, on disk."""

from supervised.features.importing import import_arrays
from supervised.features.statistics import FeatureStatistics, feature_statistics
from supervised.features.store import FeatureSet, FeatureStore, StoredFeatures

__all__ = [
    "FeatureSet",
    "FeatureStatistics",
    "FeatureStore",
    "StoredFeatures",
    "feature_statistics",
    "import_arrays",
]
