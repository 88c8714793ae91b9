"""From prediction rows to one score per labelled item: frames at frame level, videos at video level.

Every labelled item of a split ends in exactly one of four places: scored (``n``), ``n_unparsed`` (the model replied
with neither label), ``n_failed`` (a row says that something broke, or its score is not a number) or ``n_missing`` (no
row at all). Nothing but scored items is judged, unless the caller wants the others to count as negative or as wrong
(``Unanswered``): then they are judged with the score that this gives them, and remain counted where they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Level, Unanswered, Variant
from bah_mllm.evaluation.labels import Labels, VideoLabels
from bah_mllm.evaluation.population import Population, is_labelled, population_of
from bah_mllm.evaluation.rowtable import Outcome, RowGroup, RowTable
from bah_mllm.evaluation.spreading import MEAN_DECIMALS, FrameLayout, SpreadFrames, spread
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

__all__ = ["SLIDING_FRAMES", "Aligned", "Alignment", "RowCounts", "align", "max_sliding_mean"]

SLIDING_FRAMES = 24  # one second: BAH paper, appendix E.1, "Video-level classification"


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """The scores of one system, for one window and one way of aggregating.

    Args:
        system: As in the rows.
        window_frames: The window asked for; None where rows name none.
        aggregation: ``coverage`` (frame level: mean of the windows over a frame), ``video`` (rows about whole videos),
            ``max24`` (highest mean over 24 consecutive frames) or ``mean`` (of all frames).
        items: Which items of the population are judged, ascending, shape (judged,).
        scores: Probabilities from 0 to 1, shape (judged,).
        n_missing: Labelled items without a row.
        n_unparsed: Labelled items for which the model's reply held neither label.
        n_failed: Labelled items whose rows failed.
        n_incomplete_videos: Videos scored although some of their frames are not (``max24`` and ``mean`` only).
        has_labels_only: No row has a probability: the system gives labels.
        unanswered: How items without an answer are judged.
    """

    system: str
    window_frames: int | None
    aggregation: str
    items: Int[np.ndarray, " judged"]
    scores: Float[np.ndarray, " judged"]
    n_missing: int
    n_unparsed: int
    n_failed: int
    n_incomplete_videos: int
    has_labels_only: bool
    unanswered: Unanswered = Unanswered.LEAVE_OUT

    @property
    def n_unanswered(self) -> int:
        """How many labelled items have no answer."""
        return self.n_missing + self.n_unparsed + self.n_failed


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of the prediction rows.

    Args:
        n_rows: All of them.
        n_duplicates: Rows with the key of a later row, which replaced them.
        n_unknown_video: Rows about videos that the data set does not have.
        unknown_videos: Ids of up to three of these videos.
        n_other_split: Rows about videos of other splits.
        n_other_variant: Rows of other variants (label order swapped, content free).
        n_other_level: Rows about whole videos, left out at frame level.
        n_unlabelled: Rows about videos without a label at this level.
        n_beyond_end: Frames that rows score beyond the last frame of a video: padding, never counted.
    """

    n_rows: int
    n_duplicates: int
    n_unknown_video: int
    unknown_videos: tuple[str, ...]
    n_other_split: int
    n_other_variant: int
    n_other_level: int
    n_unlabelled: int
    n_beyond_end: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """The labelled items of a split, and what each system says about them."""

    population: Population
    systems: tuple[Aligned, ...]
    counts: RowCounts


def align(
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    *,
    level: Level,
    split: str | None,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> Alignment:
    """Bring prediction rows and labels together.

    Args:
        rows: Rows, or a table with the columns of the schema. Those of other variants than ``main`` are left out.
        labels: Of the whole data set.
        level: What is judged. Video level takes rows about whole videos as they are, and aggregates frame-level rows.
        split: Whose videos are judged; all videos where None.
        unanswered: How items without an answer are judged. A video that some of its frames answer for has one.

    Returns:
        One entry per system, window and aggregation, sorted.

    Raises:
        DataError: No labels at this level, no rows that could be judged, or a malformed table.
    """
    videos = labels.of_split(split)
    usable = tuple(video for video in videos if is_labelled(video, level))
    if not usable:
        raise DataError(
            f"No video{f' of the split {split!r}' if split else ''} has {level.value}-level labels.",
            remedy=f"Judge at the other level with --level {'frame' if level is Level.VIDEO else 'video'}, or choose a "
            "split that is labelled.",
        )
    table = RowTable.read(rows)
    table, counts = _select(table, labels, videos, usable, level=level)
    layout = FrameLayout.of(usable, table, level)
    systems: list[Aligned] = []
    n_beyond_end = 0
    for group in table.groups():
        if level is Level.VIDEO and group.is_video_level:
            systems.append(_align_video_rows(group, layout))
            continue
        frames = spread(group, layout)
        n_beyond_end += frames.n_beyond_end
        if level is Level.FRAME:
            systems.append(_align_frames(group, layout, frames))
        else:
            systems += _aggregate(group, layout, frames)
    counts = replace(counts, n_beyond_end=n_beyond_end)
    population = population_of(videos, usable, level)
    return Alignment(population, tuple(_fill(one, population, unanswered) for one in systems), counts)


def max_sliding_mean(scores: Float[np.ndarray, " frames"], *, n_frames: int = SLIDING_FRAMES) -> float:
    """Return the highest mean over ``n_frames`` consecutive frames; the mean of all where the video is shorter.

    Args:
        scores: Per frame; NaN where a frame has no score, which is left out of the means. At least one number.
        n_frames: Length of the sliding window.

    References:
        BAH paper, appendix E.1, "Video-level classification".

    >>> max_sliding_mean(np.array([0., 0., 1., 1., 0.]), n_frames=2)
    1.0
    """
    known = ~np.isnan(scores)
    values = np.where(known, scores, 0.0)
    width = min(n_frames, len(scores))
    sums = np.lib.stride_tricks.sliding_window_view(values, width).sum(axis=-1)
    n_known = np.lib.stride_tricks.sliding_window_view(known, width).sum(axis=-1)
    return float((sums[n_known > 0] / n_known[n_known > 0]).max())


# --- which rows count -------------------------------------------------------------------------------------------------


def _select(
    table: RowTable,
    labels: Labels,
    videos: Sequence[VideoLabels],
    usable: Sequence[VideoLabels],
    *,
    level: Level,
) -> tuple[RowTable, RowCounts]:
    """Keep the rows that can be judged; count the others by the first reason that applies."""
    n_rows = len(table)
    table = table.last_of_each_key()
    n_duplicates = n_rows - len(table)
    known_ids = {video.video_id for video in labels.videos}
    split_ids, usable_ids = ({video.video_id for video in some} for some in (videos, usable))
    is_known, in_split, is_usable = (
        np.array([name in ids for name in table.video_ids], dtype=bool)[table.video]
        for ids in (known_ids, split_ids, usable_ids)
    )
    is_variant = table.variant == list(Variant).index(Variant.MAIN)
    is_other_level = table.is_video_level if level is Level.FRAME else np.zeros(len(table), dtype=bool)
    counts = RowCounts(
        n_rows=n_rows,
        n_duplicates=n_duplicates,
        n_unknown_video=int((~is_known).sum()),
        unknown_videos=tuple(sorted({table.video_ids[v] for v in table.video[~is_known].tolist()})[:3]),
        n_other_split=int((is_known & ~in_split).sum()),
        n_other_variant=int((in_split & ~is_variant).sum()),
        n_other_level=int((in_split & is_variant & is_other_level).sum()),
        n_unlabelled=int((in_split & is_variant & ~is_other_level & ~is_usable).sum()),
    )
    kept = table.take(is_usable & is_variant & ~is_other_level)
    if not len(kept):
        raise DataError(
            f"None of the {n_rows} prediction rows can be judged at {level.value} level: {counts.n_unknown_video} are "
            f"about unknown videos, {counts.n_other_split} about other splits, {counts.n_unlabelled} about unlabelled "
            f"videos, {counts.n_other_variant} of another variant, {counts.n_other_level} of the other level.",
            remedy="Check --data, --split and --level against what was predicted.",
        )
    return kept, counts


# --- frames and videos ------------------------------------------------------------------------------------------------


def _aligned(
    group: RowGroup,
    aggregation: str,
    score: Float[np.ndarray, " items"],
    *,
    is_unparsed: Bool[np.ndarray, " items"],
    is_failed: Bool[np.ndarray, " items"],
    n_incomplete_videos: int = 0,
) -> Aligned:
    """Sort items into the four places."""
    is_scored = ~np.isnan(score)
    is_unparsed = is_unparsed & ~is_scored
    is_failed = is_failed & ~is_scored & ~is_unparsed
    return Aligned(
        system=group.system,
        window_frames=group.window_frames,
        aggregation=aggregation,
        items=np.flatnonzero(is_scored),
        scores=score[is_scored],
        n_missing=int((~is_scored & ~is_unparsed & ~is_failed).sum()),
        n_unparsed=int(is_unparsed.sum()),
        n_failed=int(is_failed.sum()),
        n_incomplete_videos=n_incomplete_videos,
        has_labels_only=group.has_labels_only,
    )


def _fill(aligned: Aligned, population: Population, unanswered: Unanswered) -> Aligned:
    """Give the items without an answer the score that they are to be judged with."""
    if unanswered is Unanswered.LEAVE_OUT:
        return aligned
    labels = population.labels.astype(np.float64)
    scores = np.zeros_like(labels) if unanswered is Unanswered.NEGATIVE else 1 - labels
    scores[aligned.items] = aligned.scores
    return replace(aligned, items=np.arange(len(labels)), scores=scores, unanswered=unanswered)


def _align_frames(group: RowGroup, layout: FrameLayout, frames: SpreadFrames) -> Aligned:
    keep = layout.is_labelled
    return _aligned(
        group,
        "coverage",
        frames.score[keep],
        is_unparsed=frames.is_unparsed[keep],
        is_failed=frames.is_failed[keep],
    )


def _aggregate(group: RowGroup, layout: FrameLayout, frames: SpreadFrames) -> list[Aligned]:
    """Turn frame scores into video scores, in both ways."""
    highest, mean = np.full(layout.n_videos, np.nan), np.full(layout.n_videos, np.nan)
    n_incomplete = 0
    for video in range(layout.n_videos):
        score = frames.score[layout.offset[video] : layout.offset[video + 1]]
        n_known = int((~np.isnan(score)).sum())
        if n_known:
            highest[video] = max_sliding_mean(score)
            mean[video] = np.nanmean(score)
            n_incomplete += n_known < len(score)
    return [
        _aligned(
            group,
            aggregation,
            score.round(MEAN_DECIMALS),
            is_unparsed=frames.is_unparsed_video,
            is_failed=frames.is_failed_video,
            n_incomplete_videos=n_incomplete,
        )
        for aggregation, score in (("max24", highest), ("mean", mean))
    ]


def _align_video_rows(group: RowGroup, layout: FrameLayout) -> Aligned:
    """Take rows about whole videos; of several with different spans the scored ones, and of those their mean."""
    rows = group.rows
    video = layout.place[rows.video]
    is_scored = rows.outcome == Outcome.SCORED
    n = np.bincount(video[is_scored], minlength=layout.n_videos)
    with np.errstate(invalid="ignore"):
        score = np.bincount(video[is_scored], weights=rows.score[is_scored], minlength=layout.n_videos) / n
    score[n > 1] = score[n > 1].round(MEAN_DECIMALS)
    return _aligned(
        group,
        "video",
        score,
        is_unparsed=np.bincount(video[rows.outcome == Outcome.UNPARSED], minlength=layout.n_videos) > 0,
        is_failed=np.bincount(video[rows.outcome == Outcome.FAILED], minlength=layout.n_videos) > 0,
    )
