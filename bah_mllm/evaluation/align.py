"""From prediction rows to one score per labelled item: frames at frame level, videos at video level.

Every labelled item of a split ends in exactly one of four places: scored (``n``), ``n_unparsed`` (the model replied
with neither label), ``n_failed`` (a row says that something broke, or its score is not a number) or ``n_missing`` (no
row at all). Nothing but scored items is judged, and nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Level, Variant
from bah_mllm.evaluation.labels import UNLABELLED, Labels, VideoLabels
from bah_mllm.evaluation.rowtable import NONE, Outcome, RowGroup, RowTable, number_names
from bah_mllm.predictions import PredictionRow

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int, Int8

__all__ = ["SLIDING_FRAMES", "Aligned", "Alignment", "Population", "RowCounts", "align", "max_sliding_mean"]

SLIDING_FRAMES = 24  # one second: BAH paper, appendix E.1, "Video-level classification"

# Means of equal scores must be equal whatever their number, or a constant system gets a ranking out of rounding errors:
# (.3 + .3 + .3) / 3 is .29999999999999999 or .3, depending on how many there are.
_MEAN_DECIMALS = 12

_ENTRIES_AT_ONCE = 4_000_000  # frames written at once when rows are spread over their spans: some 100 MB


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """The labelled items of a split.

    Args:
        level: Frames or videos.
        labels: 0 or 1, shape (items,).
        participants: Index into ``participant_ids``, shape (items,).
        participant_ids: Sorted.
        questions: 1 to 7, or 0 where unknown, shape (items,).
        videos: Whose item it is, as a place in ``fps``, ascending, shape (items,).
        frames: Its number in the video, shape (items,); 0 at video level.
        fps: Frames per second of each labelled video; NaN where unknown.
        video_ids: Of each labelled video, sorted.
        n_unlabelled_videos: Videos of the split without any label at this level.
        n_unlabelled_frames: Frames without a label in videos that have some.
    """

    level: Level
    labels: Int8[np.ndarray, " items"]
    participants: Int[np.ndarray, " items"]
    participant_ids: tuple[str, ...]
    questions: Int[np.ndarray, " items"]
    videos: Int[np.ndarray, " items"]
    frames: Int[np.ndarray, " items"]
    fps: Float[np.ndarray, " videos"]
    video_ids: tuple[str, ...]
    n_unlabelled_videos: int
    n_unlabelled_frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """The scores of one system, for one window and one way of aggregating.

    Args:
        system: As in the rows.
        window_frames: The window asked for; None where rows name none.
        aggregation: ``coverage`` (frame level: mean of the windows over a frame), ``video`` (rows about whole videos),
            ``max24`` (highest mean over 24 consecutive frames) or ``mean`` (of all frames).
        items: Which items of the population are scored, ascending, shape (scored,).
        scores: Probabilities from 0 to 1, shape (scored,).
        n_missing: Labelled items without a row.
        n_unparsed: Labelled items for which the model's reply held neither label.
        n_failed: Labelled items whose rows failed.
        n_incomplete_videos: Videos scored although some of their frames are not (``max24`` and ``mean`` only).
        has_labels_only: No row has a probability: the system gives labels.
    """

    system: str
    window_frames: int | None
    aggregation: str
    items: Int[np.ndarray, " scored"]
    scores: Float[np.ndarray, " scored"]
    n_missing: int
    n_unparsed: int
    n_failed: int
    n_incomplete_videos: int
    has_labels_only: bool


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
) -> Alignment:
    """Bring prediction rows and labels together.

    Args:
        rows: Rows, or a table with the columns of the schema. Those of other variants than ``main`` are left out.
        labels: Of the whole data set.
        level: What is judged. Video level takes rows about whole videos as they are, and aggregates frame-level rows.
        split: Whose videos are judged; all videos where None.

    Returns:
        One entry per system, window and aggregation, sorted.

    Raises:
        DataError: No labels at this level, no rows that could be judged, or a malformed table.
    """
    videos = labels.of_split(split)
    usable = tuple(video for video in videos if _is_labelled(video, level))
    if not usable:
        raise DataError(
            f"No video{f' of the split {split!r}' if split else ''} has {level.value}-level labels.",
            remedy=f"Judge at the other level with --level {'frame' if level is Level.VIDEO else 'video'}, or choose a "
            "split that is labelled.",
        )
    table = RowTable.read(rows)
    table, counts = _select(table, labels, videos, usable, level=level)
    layout = _Layout.of(usable, table, level)
    systems: list[Aligned] = []
    n_beyond_end = 0
    for group in table.groups():
        if level is Level.VIDEO and group.is_video_level:
            systems.append(_align_video_rows(group, layout))
            continue
        frames = _spread(group, layout)
        n_beyond_end += frames.n_beyond_end
        if level is Level.FRAME:
            systems.append(_align_frames(group, layout, frames))
        else:
            systems += _aggregate(group, layout, frames)
    counts = replace(counts, n_beyond_end=n_beyond_end)
    return Alignment(_population(videos, usable, level), tuple(systems), counts)


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


def _is_labelled(video: VideoLabels, level: Level) -> bool:
    if level is Level.VIDEO:
        return video.label is not None
    return video.frames is not None and bool((video.frames != UNLABELLED).any())


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


def _population(videos: Sequence[VideoLabels], usable: Sequence[VideoLabels], level: Level) -> Population:
    per_video = [
        np.array([video.label], dtype=np.int8) if level is Level.VIDEO else _frames_of(video) for video in usable
    ]
    known = [values != UNLABELLED for values in per_video]
    n_items = [int(mask.sum()) for mask in known]
    people, codes = number_names([video.participant_id for video in usable])
    questions = np.array([video.question or 0 for video in usable], dtype=np.int64)
    return Population(
        level=level,
        labels=np.concatenate([values[mask] for values, mask in zip(per_video, known, strict=True)]),
        participants=np.repeat(codes, n_items),
        participant_ids=people,
        questions=np.repeat(questions, n_items),
        videos=np.repeat(np.arange(len(usable)), n_items),
        frames=np.concatenate([np.flatnonzero(mask) for mask in known]),
        fps=np.array([video.fps or np.nan for video in usable]),
        video_ids=tuple(video.video_id for video in usable),
        n_unlabelled_videos=len(videos) - len(usable),
        n_unlabelled_frames=sum(int((~mask).sum()) for mask in known),
    )


# --- frames and videos ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """All frames of the judged videos, one video after the other.

    Args:
        place: For each video id of the table, its place among the judged videos.
        n_frames: Length of each judged video. Where the labels do not tell it, where its last row ends.
        offset: First frame of each judged video in the concatenation, and the total.
        is_labelled: For each frame of the concatenation; empty at video level.
    """

    place: Int[np.ndarray, " ids"]
    n_frames: Int[np.ndarray, " videos"]
    offset: Int[np.ndarray, " borders"]
    is_labelled: Bool[np.ndarray, " frames"]

    @classmethod
    def of(cls, usable: Sequence[VideoLabels], table: RowTable, level: Level) -> _Layout:
        place_of = {video.video_id: index for index, video in enumerate(usable)}
        place = np.array([place_of.get(name, -1) for name in table.video_ids], dtype=np.int64)
        last_stop = np.zeros(len(usable), dtype=np.int64)
        np.maximum.at(last_stop, place[table.video], np.where(table.is_video_level, 0, table.stop))
        n_frames = np.array(
            [last_stop[index] if video.frames is None else len(video.frames) for index, video in enumerate(usable)],
            dtype=np.int64,
        )
        labelled = [_frames_of(video) != UNLABELLED for video in usable] if level is Level.FRAME else []
        return cls(
            place=place,
            n_frames=n_frames,
            offset=np.concatenate([[0], np.cumsum(n_frames)]),
            is_labelled=np.concatenate(labelled) if labelled else np.zeros(0, dtype=bool),
        )

    @property
    def n_videos(self) -> int:
        return len(self.n_frames)


def _frames_of(video: VideoLabels) -> Int8[np.ndarray, " frames"]:
    return np.zeros(0, dtype=np.int8) if video.frames is None else video.frames


class _Frames(NamedTuple):
    """What the rows of a group say about each frame of the layout."""

    score: Float[np.ndarray, " frames"]  # NaN where no row scores the frame
    is_unparsed: Bool[np.ndarray, " frames"]
    is_failed: Bool[np.ndarray, " frames"]
    is_unparsed_video: Bool[np.ndarray, " videos"]
    is_failed_video: Bool[np.ndarray, " videos"]
    n_beyond_end: int


def _spread(group: RowGroup, layout: _Layout) -> _Frames:
    """Write each row over the frames of its span; a row without a span fails for its whole video."""
    rows = group.rows
    video = layout.place[rows.video]
    has_span = rows.start != NONE
    n_frames = layout.n_frames[video]
    start = np.where(has_span, np.minimum(rows.start, n_frames), 0)
    stop = np.where(has_span, np.minimum(rows.stop, n_frames), n_frames)
    n_beyond_end = int(np.where(has_span, rows.stop - np.maximum(rows.start, n_frames), 0).clip(min=0).sum())
    start, stop = start + layout.offset[video], stop + layout.offset[video]
    is_scored = (rows.outcome == Outcome.SCORED) & has_span
    is_unparsed = rows.outcome == Outcome.UNPARSED
    is_failed = ~is_scored & ~is_unparsed
    total = int(layout.offset[-1])
    n_windows = _cover(start[is_scored], stop[is_scored], total)
    with np.errstate(invalid="ignore"):
        score = _sum_over_spans(start[is_scored], stop[is_scored], rows.score[is_scored], total) / n_windows
    score[n_windows > 1] = score[n_windows > 1].round(_MEAN_DECIMALS)
    return _Frames(
        score=score,
        is_unparsed=_cover(start[is_unparsed], stop[is_unparsed], total) > 0,
        is_failed=_cover(start[is_failed], stop[is_failed], total) > 0,
        is_unparsed_video=np.bincount(video[is_unparsed], minlength=layout.n_videos) > 0,
        is_failed_video=np.bincount(video[is_failed], minlength=layout.n_videos) > 0,
        n_beyond_end=n_beyond_end,
    )


def _cover(start: Int[np.ndarray, " n"], stop: Int[np.ndarray, " n"], total: int) -> Int[np.ndarray, " frames"]:
    """Return how many spans cover each frame."""
    steps = np.bincount(start, minlength=total + 1) - np.bincount(stop, minlength=total + 1)
    return np.asarray(np.cumsum(steps)[:total])


def _sum_over_spans(
    start: Int[np.ndarray, " n"], stop: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"], total: int
) -> Float[np.ndarray, " frames"]:
    """Return for each frame the sum of the values whose spans cover it.

    Frame by frame rather than by differences at the borders: +p - p leaves rounding errors behind, and a frame under
    one window must have its score to the bit.
    """
    sums = np.zeros(total)
    lengths = stop - start
    block = np.cumsum(lengths) // _ENTRIES_AT_ONCE
    for number in np.unique(block):
        chosen = block == number
        n = lengths[chosen]
        shift = np.repeat(start[chosen] - (np.cumsum(n) - n), n)
        frame = shift + np.arange(len(shift))
        sums += np.bincount(frame, weights=np.repeat(values[chosen], n), minlength=total)
    return sums


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


def _align_frames(group: RowGroup, layout: _Layout, frames: _Frames) -> Aligned:
    keep = layout.is_labelled
    return _aligned(
        group,
        "coverage",
        frames.score[keep],
        is_unparsed=frames.is_unparsed[keep],
        is_failed=frames.is_failed[keep],
    )


def _aggregate(group: RowGroup, layout: _Layout, frames: _Frames) -> list[Aligned]:
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
            score.round(_MEAN_DECIMALS),
            is_unparsed=frames.is_unparsed_video,
            is_failed=frames.is_failed_video,
            n_incomplete_videos=n_incomplete,
        )
        for aggregation, score in (("max24", highest), ("mean", mean))
    ]


def _align_video_rows(group: RowGroup, layout: _Layout) -> Aligned:
    """Take rows about whole videos; of several with different spans the scored ones, and of those their mean."""
    rows = group.rows
    video = layout.place[rows.video]
    is_scored = rows.outcome == Outcome.SCORED
    n = np.bincount(video[is_scored], minlength=layout.n_videos)
    with np.errstate(invalid="ignore"):
        score = np.bincount(video[is_scored], weights=rows.score[is_scored], minlength=layout.n_videos) / n
    score[n > 1] = score[n > 1].round(_MEAN_DECIMALS)
    return _aligned(
        group,
        "video",
        score,
        is_unparsed=np.bincount(video[rows.outcome == Outcome.UNPARSED], minlength=layout.n_videos) > 0,
        is_failed=np.bincount(video[rows.outcome == Outcome.FAILED], minlength=layout.n_videos) > 0,
    )
