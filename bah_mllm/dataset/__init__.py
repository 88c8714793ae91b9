"""Data sets: BAH in its editions, its split files alone, manifests, folders of videos, and the demo set.

Start at ``open_dataset``; everything else hangs on the ``Dataset`` that it returns.
"""

from bah_mllm.dataset.check import DataReport, DataStats, check_dataset, stats_dataset
from bah_mllm.dataset.consent import Consented, check_publishable, publishable, submittable
from bah_mllm.dataset.dataset import Dataset, Problem, Task
from bah_mllm.dataset.opening import dataset_and_split, demo_root, open_dataset

__all__ = [
    "Consented",
    "DataReport",
    "DataStats",
    "Dataset",
    "Problem",
    "Task",
    "check_dataset",
    "check_publishable",
    "dataset_and_split",
    "demo_root",
    "open_dataset",
    "publishable",
    "stats_dataset",
    "submittable",
]
