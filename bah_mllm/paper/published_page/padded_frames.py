"""How many padded frames are counted, and what they do to weighted F1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bah_mllm.dataset.editions import published_sizes
from bah_mllm.paper.published import read_table, statement
from bah_mllm.paper.published_page.confusions import Shares, constants, hard_metrics
from bah_mllm.paper.published_page.possible_rows import negatives_needed
from bah_mllm.paper.published_page.rows import prevalence
from bah_mllm.paper.published_page.writing import percent, prose, section, table
from bah_mllm.report.numbers import figure

__all__ = ["Padding", "padded_frames", "padding"]

# The shortest and longest of the ablation, and defaults of the public code.
_WINDOWS_FRAMES = (24, 96, 300, 696, 2880)


class Padding(NamedTuple):
    """What a window length does to short videos: share of videos concerned, share of padded frames, two ways."""

    shorter: float
    padded: float
    padded_midpoints: float


def padding(window_frames: float, *, fps: float) -> Padding:
    """Return the padding of the histogram's videos, their durations spread evenly inside each bin."""
    bins = read_table("duration_histogram")
    start, stop, count = (np.array([float(row[name]) for row in bins]) for name in ("start_s", "stop_s", "count"))

    def shares(within: NDArray[np.float64]) -> tuple[float, float]:
        n_frames = (start[:, None] + (stop - start)[:, None] * within) * fps
        weight = count[:, None] / len(within)
        padded = np.maximum(window_frames - n_frames, 0)
        evaluated = (weight * (n_frames + padded)).sum()
        return float((weight * (padded > 0)).sum() / count.sum()), float((weight * padded).sum() / evaluated)

    shorter, padded = shares((np.arange(1000) + 0.5) / 1000)
    return Padding(shorter, padded, shares(np.array([0.5]))[1])


def _padding_rows(positive: float, *, fps: float) -> list[list[str]]:
    rows = []
    for window in _WINDOWS_FRAMES:
        p = padding(window, fps=fps)
        left = positive * (1 - p.padded)
        wf1 = hard_metrics(Shares(tn=1 - left, fp=0, fn=left, tp=0))["wf1"]
        shares = [percent(share) for share in (p.shorter, p.padded, p.padded_midpoints, left)]
        rows.append([str(window), *shares, figure(wf1)])
    return rows


def padded_frames() -> str:
    """Return the section on padding."""
    total = published_sizes()["iclr2026"]
    n_videos = sum(size.videos for size in total.values())
    n_counted = round(sum(float(row["count"]) for row in read_table("duration_histogram")))
    frames = sum(size.frames or 0 for size in total.values())
    hours = sum(size.hours or 0 for size in total.values())
    fps = round(frames / hours / 3600)
    positive = prevalence("v1", "frame")
    reached = statement("highest_wf1_of_window_ablation")
    needed = 1 - (1 - negatives_needed(reached)) / positive
    window = next(w for w in range(24, 2881, 24) if padding(w, fps=fps).padded >= needed)
    return section(
        "Padded frames are counted (v1; durations of iclr2026)",
        prose(
            f"""The public data loader pads videos that are shorter than the window by repeating the last frame and its
            label, and no public code masks the padding in the metrics (the loop that ran BAH is not public; that of the
            project it stems from judges padding like real frames). How much that is follows from the durations of the
            videos: the chart adds up to {n_counted:,}, {n_counted / n_videos:g} times the {n_videos:,} videos, so that
            it counts each video twice and its shares hold; {frames:,} frames in {hours:.2f} h are {fps} per second."""
        ),
        prose(
            f"""The last columns take the test split's {percent(positive)} of positive frames and padding without A/H,
            which is an assumption: the labels of the last frames are not in the tables."""
        ),
        table(
            [
                "window (frames)",
                "videos shorter",
                "padded among evaluated",
                "same, bin centres",
                "positives left",
                "weighted F1 of all-negative",
            ],
            _padding_rows(positive, fps=fps),
        ),
        prose(
            f"""Without padding all-negative has {figure(constants("v1", "frame")["all-negative"]["wf1"])}. The paper
            finds that weighted F1 grows with the window, to more than {reached:g} (appendix E.1). All-negative alone
            gets there with {percent(needed)} of negative padding, which is reached at a window of {window} frames."""
        ),
        prose(
            """**For users:** do not read a weighted F1 that grows with the window as a gain from context. bah-mllm
            never judges frames beyond the last labelled one, and counts them."""
        ),
    )
