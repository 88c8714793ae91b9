"""Results for people: tables in the terminal."""

from bah_mllm.report.matrix import print_matrix
from bah_mllm.report.subgroups import print_subgroups
from bah_mllm.report.tables import print_comparisons, print_evaluation

__all__ = ["print_comparisons", "print_evaluation", "print_matrix", "print_subgroups"]
