"""What tables and figures call a metric."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["HEADINGS"]

# Metric to heading. A line break is for the narrow columns of the terminal; a table in a file has a space there.
HEADINGS: Mapping[str, str] = MappingProxyType(
    {
        "f1": "F1",
        "f1_negative": "F1 neg",
        "macro_f1": "macro-F1",
        "wf1": "WF1",
        "accuracy": "accuracy",
        "ap": "AP",
        "ap_bah": "AP_bah",
        "auroc": "AUROC",
        "brier": "Brier",
        "ece": "ECE",
        "segment_f1_30": "segment F1\nIoU 0.3",
        "segment_f1_50": "segment F1\nIoU 0.5",
        "onset_error_s": "onset\nerror, s",
        "offset_error_s": "offset\nerror, s",
        "false_alarms_per_minute": "false alarms\na minute",
    }
)
