"""Data sets: BAH in its editions, its split files alone, manifests, folders of videos, and the demo set.

Start at ``open_dataset``; everything else hangs on the ``Dataset`` that it returns.
"""

from bah_mllm.dataset.check import DataReport, DataStats, check_dataset, stats_dataset
from bah_mllm.dataset.consent import Consented, check_publishable, publishable, submittable
from bah_mllm.dataset.dataset import Dataset, Task
from bah_mllm.dataset.matching import MatchedNames, match_names, nearest_name
from bah_mllm.dataset.opening import dataset_and_split, demo_root, following_links, open_dataset
from bah_mllm.dataset.problems import Problem, shared_participants

__all__ = [
    "Consented",
    "DataReport",
    "DataStats",
    "Dataset",
    "MatchedNames",
    "Problem",
    "Task",
    "check_dataset",
    "check_publishable",
    "dataset_and_split",
    "demo_root",
    "following_links",
    "match_names",
    "nearest_name",
    "open_dataset",
    "publishable",
    "shared_participants",
    "stats_dataset",
    "submittable",
]
