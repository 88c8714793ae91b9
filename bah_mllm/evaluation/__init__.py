"""The one evaluator: prediction rows and labels in, metrics with anchors and intervals out. See README.md here."""

from bah_mllm.evaluation.align import Aligned, Alignment, RowCounts, align
from bah_mllm.evaluation.calibration import Transformed, reliability_rows, transform_rows
from bah_mllm.evaluation.compare import Comparison, Difference, compare_rows
from bah_mllm.evaluation.evaluate import evaluate_rows
from bah_mllm.evaluation.events import EventRule
from bah_mllm.evaluation.foreign import ForeignRows, read_foreign
from bah_mllm.evaluation.labels import UNLABELLED, Labels, Share, TrainPrior, VideoLabels
from bah_mllm.evaluation.matrix import ComparisonMatrix, compare_all
from bah_mllm.evaluation.population import Population
from bah_mllm.evaluation.results import Estimate, Evaluation, EventResult, ItemCounts, LineIdentity, Result
from bah_mllm.evaluation.seeds import PooledSeeds, pool_seeds
from bah_mllm.evaluation.subgroups import Groupings, Subgroups, subgroup_rows
from bah_mllm.evaluation.thresholds import NestedThreshold, nested_thresholds

__all__ = [
    "UNLABELLED",
    "Aligned",
    "Alignment",
    "Comparison",
    "ComparisonMatrix",
    "Difference",
    "Estimate",
    "Evaluation",
    "EventResult",
    "EventRule",
    "ForeignRows",
    "Groupings",
    "ItemCounts",
    "Labels",
    "LineIdentity",
    "NestedThreshold",
    "PooledSeeds",
    "Population",
    "Result",
    "RowCounts",
    "Share",
    "Subgroups",
    "TrainPrior",
    "Transformed",
    "VideoLabels",
    "align",
    "compare_all",
    "compare_rows",
    "evaluate_rows",
    "nested_thresholds",
    "pool_seeds",
    "read_foreign",
    "reliability_rows",
    "subgroup_rows",
    "transform_rows",
]
