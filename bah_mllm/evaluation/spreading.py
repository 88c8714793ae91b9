"""From rows about windows to what is said about each frame: rows are written over the frames of their spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bah_mllm.core.records import Level
from bah_mllm.evaluation.labels import UNLABELLED, VideoLabels
from bah_mllm.evaluation.population import frames_of
from bah_mllm.evaluation.rowtable import NONE, Outcome, RowGroup, RowTable

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["MEAN_DECIMALS", "FrameLayout", "SpreadFrames", "spread"]

# Means of equal scores must be equal whatever their number, or a constant system gets a ranking out of rounding errors:
# (.3 + .3 + .3) / 3 is .29999999999999999 or .3, depending on how many there are.
MEAN_DECIMALS = 12

_ENTRIES_AT_ONCE = 4_000_000  # frames written at once when rows are spread over their spans: some 100 MB


@dataclass(frozen=True, slots=True, eq=False)
class FrameLayout:
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
    def of(cls, usable: Sequence[VideoLabels], table: RowTable, level: Level) -> FrameLayout:
        """Lay out the frames of videos that a table of rows is about.

        Args:
            usable: The judged videos.
            table: Rows about them.
            level: At frame level every frame is known to be labelled or not.
        """
        place_of = {video.video_id: index for index, video in enumerate(usable)}
        place = np.array([place_of.get(name, -1) for name in table.video_ids], dtype=np.int64)
        last_stop = np.zeros(len(usable), dtype=np.int64)
        np.maximum.at(last_stop, place[table.video], np.where(table.is_video_level, 0, table.stop))
        n_frames = np.array(
            [last_stop[index] if video.frames is None else len(video.frames) for index, video in enumerate(usable)],
            dtype=np.int64,
        )
        labelled = [frames_of(video) != UNLABELLED for video in usable] if level is Level.FRAME else []
        return cls(
            place=place,
            n_frames=n_frames,
            offset=np.concatenate([[0], np.cumsum(n_frames)]),
            is_labelled=np.concatenate(labelled) if labelled else np.zeros(0, dtype=bool),
        )

    @property
    def n_videos(self) -> int:
        """How many videos are judged."""
        return len(self.n_frames)


class SpreadFrames(NamedTuple):
    """What the rows of a group say about each frame of the layout."""

    score: Float[np.ndarray, " frames"]  # NaN where no row scores the frame
    is_unparsed: Bool[np.ndarray, " frames"]
    is_failed: Bool[np.ndarray, " frames"]
    is_unparsed_video: Bool[np.ndarray, " videos"]
    is_failed_video: Bool[np.ndarray, " videos"]
    n_beyond_end: int


def spread(group: RowGroup, layout: FrameLayout) -> SpreadFrames:
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
    score[n_windows > 1] = score[n_windows > 1].round(MEAN_DECIMALS)
    return SpreadFrames(
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
