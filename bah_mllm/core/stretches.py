"""Stretches: where a condition holds along samples or frames, and what of them lies inside spans of seconds.

Conventions: indices are half open, ``[start, stop)``; a span is its start and end in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Stretch", "TimeSpan", "overlap_s", "stretches", "stretches_between", "true_stretches", "within"]

TimeSpan = tuple[float, float]

_ROUNDING_S = 1e-9


class Stretch(NamedTuple):
    """A stretch of samples and its times.

    Args:
        start: First sample.
        stop: One past the last.
        start_s: When the first one begins, in seconds.
        stop_s: When the last one ends.
    """

    start: int
    stop: int
    start_s: float
    stop_s: float

    @property
    def span(self) -> TimeSpan:
        """Start and end in seconds."""
        return self.start_s, self.stop_s

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s


def true_stretches(flags: Bool[np.ndarray, " samples"]) -> list[tuple[int, int]]:
    """Return the first and one past the last index of each run of true values, in order.

    >>> true_stretches(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def stretches(
    t_s: Float[np.ndarray, " samples"],
    is_on: Bool[np.ndarray, " samples"],
    *,
    stays_on: Bool[np.ndarray, " samples"] | None = None,
    min_s: float = 0.0,
    gap_s: float = 0.0,
) -> list[Stretch]:
    """Return the stretches where a condition holds; a sample lasts from half a step before it to half a step after.

    Args:
        t_s: Times in seconds, ascending, shape (samples,).
        is_on: What starts a stretch, shape (samples,).
        stays_on: What keeps it going, a weaker condition (hysteresis); the same where None.
        min_s: Shorter stretches are dropped.
        gap_s: Stretches that are nearer than this are one.
    """
    half_s = float(np.median(np.diff(t_s))) / 2 if len(t_s) > 1 else 0.02
    begin_s = np.maximum(t_s - half_s, 0.0)
    return stretches_between(begin_s, t_s + half_s, is_on, stays_on=stays_on, min_s=min_s, gap_s=gap_s)


def stretches_between(
    begin_s: Float[np.ndarray, " samples"],
    end_s: Float[np.ndarray, " samples"],
    is_on: Bool[np.ndarray, " samples"],
    *,
    stays_on: Bool[np.ndarray, " samples"] | None = None,
    min_s: float = 0.0,
    gap_s: float = 0.0,
) -> list[Stretch]:
    """Return the stretches where a condition holds, of samples whose begin and end are known.

    Args:
        begin_s: When each sample begins, in seconds, ascending, shape (samples,).
        end_s: When each sample ends, ascending, shape (samples,).
        is_on: See ``stretches``.
        stays_on: See ``stretches``.
        min_s: See ``stretches``.
        gap_s: See ``stretches``.
    """
    found: list[Stretch] = []
    for start, stop in true_stretches(is_on if stays_on is None else stays_on | is_on):
        if not is_on[start:stop].any():
            continue
        one = Stretch(start, stop, float(begin_s[start]), float(end_s[stop - 1]))
        if found and one.start_s - found[-1].stop_s < gap_s:
            before = found.pop()
            one = one._replace(start=before.start, start_s=before.start_s)
        found.append(one)
    return [one for one in found if one.length_s >= min_s - _ROUNDING_S]


def within(
    t_s: Float[np.ndarray, " samples"], spans: Iterable[TimeSpan], margin_s: float = 0.0
) -> Bool[np.ndarray, " samples"]:
    """Return which times lie inside one of the spans, or nearer to it than a margin."""
    inside = np.zeros(len(t_s), dtype=bool)
    for start_s, stop_s in spans:
        inside[np.searchsorted(t_s, start_s - margin_s) : np.searchsorted(t_s, stop_s + margin_s)] = True
    return inside


def overlap_s(span: TimeSpan, others: Iterable[TimeSpan]) -> float:
    """Return for how many seconds a span overlaps others, which do not overlap one another.

    >>> overlap_s((1.0, 4.0), [(0.0, 2.0), (3.5, 9.0)])
    1.5
    """
    return sum(max(0.0, min(span[1], stop_s) - max(span[0], start_s)) for start_s, stop_s in others)
