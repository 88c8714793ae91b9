"""The paper's definition of average precision: zero for perfect answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bah_mllm.dataset.editions import published_sizes
from bah_mllm.evaluation.metrics import ap, ap_bah
from bah_mllm.paper.published_page.rows import items_of, prevalence, published_rows
from bah_mllm.paper.published_page.writing import prose, section, table
from bah_mllm.report.numbers import figure

__all__ = ["average_precision"]


def _ap_cases(n: int, n_positive: int) -> dict[str, tuple[NDArray[np.int8], NDArray[np.float64]]]:
    labels = np.r_[np.ones(n_positive, np.int8), np.zeros(n - n_positive, np.int8)]
    scores = {
        "every score 0": np.zeros(n),
        "every score .5": np.full(n, 0.5),
        "every score 1": np.ones(n),
        "perfect answers, 0 and 1": labels.astype(float),
        "perfect answers, .1 and .9": 0.1 + 0.8 * labels,
        "perfect ranking, .5001 and .5004": 0.5001 + 0.0003 * labels,
    }
    return {name: (labels, values) for name, values in scores.items()}


def average_precision() -> str:
    """Return the section on the paper's definition of average precision."""
    sets = [(edition, level) for edition in published_sizes() for level in ("frame", "video")]
    cases = [_ap_cases(*items_of(edition, level)) for edition, level in sets]
    rows = [
        [name, *(f"{figure(ap(*case[name]))} / {figure(ap_bah(*case[name]))}" for case in cases)] for name in cases[0]
    ]
    rows.insert(0, ["share of positives", *(figure(prevalence(*which)) for which in sets)])
    frame = [row for row in published_rows() if row.level == "frame" and row.family == "supervised"]
    below = {
        edition: [
            sum(row.metrics["ap_bah"] < prevalence(edition, "frame") for row in frame if row.edition == edition),
            sum(row.edition == edition for row in frame),
        ]
        for edition in published_sizes()
    }
    count = " and ".join(f"{some} of {every} of `{edition}`" for edition, (some, every) in below.items())
    return section(
        "AP is zero for perfect answers (both editions)",
        prose(
            """The paper reads precision and recall at the thresholds 0, 0.001 ... 0.999, sets precision to 0 where
            nothing is predicted, and applies the trapezoid rule. Constant scores then give half the share of positives
            or 0, perfect answers .5 or 0, and a perfect ranking inside one step of the grid no more than a constant.
            Each cell: `ap` (the usual one) / `ap_bah` (the paper's), computed by `bah_mllm.evaluation.metrics` on as
            many items as the test split has."""
        ),
        table(["scores", *(f"{edition} {level}s" for edition, level in sets)], rows),
        prose(
            f"""Among the published frame-level rows of trained models {count} have an AP below the share of positives,
            which is what a ranking by chance has by the usual definition. By the paper's definition this tells nothing
            about the ranking. The video-level rows of trained models are left out: their labels differ (below)."""
        ),
        prose(
            """**For users:** never put `ap` of one work beside the paper's AP. Report `ap` and `auroc`; report
            `ap_bah` only for comparison, and not where `ap_bah_unreliable` is noted."""
        ),
    )
