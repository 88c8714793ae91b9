"""Results for people: tables in the terminal."""

from bah_mllm.report.events import print_events
from bah_mllm.report.matrix import print_matrix
from bah_mllm.report.subgroups import print_subgroups
from bah_mllm.report.tables import print_comparisons, print_evaluation
from bah_mllm.report.thresholds import print_thresholds

__all__ = [
    "print_comparisons",
    "print_evaluation",
    "print_events",
    "print_matrix",
    "print_subgroups",
    "print_thresholds",
]
