"""Prediction rows on disk: the interface between running a method and judging it."""

from bah_mllm.predictions.manifest import DataSeen, Manifest, read_manifest
from bah_mllm.predictions.schema import COLUMNS, KEY, PredictionKey, PredictionRow
from bah_mllm.predictions.store import (
    RunStore,
    check_resumable,
    is_being_written,
    read_journal,
    read_run,
    rows_to_frame,
)

__all__ = [
    "COLUMNS",
    "KEY",
    "DataSeen",
    "Manifest",
    "PredictionKey",
    "PredictionRow",
    "RunStore",
    "check_resumable",
    "is_being_written",
    "read_journal",
    "read_manifest",
    "read_run",
    "rows_to_frame",
]
