"""The paper's numbers beside ours, and only where the cell is the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bah_mllm.paper.published import published_cells, published_results


def cells(**changes: object) -> dict[str, float]:
    asked = {"edition": "v1", "level": "frame", "split": "test", "system": "transcript_def1@hf:x", "window_frames": 120}
    found = published_cells(**{**asked, "aggregation": "coverage", **changes})
    return {metric: cell.value for metric, cell in found.items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"f1": 0.3631, "wf1": 0.5053}),
        ({"window_frames": 8, "system": "simple@video-llava:y"}, {"f1": 0.0, "wf1": 0.7148}),
        ({"window_frames": 192}, {"f1": 0.3618, "wf1": 0.5095}),
        ({"level": "video", "aggregation": "video", "window_frames": None}, {"f1": 0.7233, "wf1": 0.6787}),
        ({"edition": "iclr2026", "level": "video", "aggregation": "video"}, {"macro_f1": 0.6341}),
        ({"system": "fusion LFAN", "window_frames": None}, {"f1": 0.2737, "wf1": 0.7396, "ap_bah": 0.2416}),
        ({"window_frames": 16}, {}),
        ({"split": "val"}, {}),
        ({"system": "my_prompt@hf:x"}, {}),
        ({"level": "video", "aggregation": "max24"}, {}),
        ({"edition": "iclr2026"}, {}),
    ],
)
def test_the_papers_value_is_found_where_prompt_window_and_level_agree(changes, expected):
    assert cells(**changes) == expected


def test_every_published_number_has_its_source():
    assert len(published_results()) == 250
    assert all(cell.source and 0 <= cell.value <= 1 for cell in published_results())


def test_importing_the_evaluator_loads_neither_pandas_nor_scikit_learn():
    heavy = "{'sklearn', 'pandas', 'scipy', 'torch', 'pyarrow'}"
    code = f"import sys, bah_mllm.evaluation, bah_mllm.report; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
