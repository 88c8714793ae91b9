"""Who is adapted to, and which of their frames train, select and test.

Table 23 of the BAH paper prints how many frames of each test participant are in each part; the rule behind its numbers
is ``split_sizes``. The paper's parts hold frames drawn at random, so that a test frame's neighbours are among the
training frames: results are optimistic for every method that trains on the target. ``segment`` and ``video`` keep
neighbours together.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

__all__ = ["PARTS", "TARGET_SPLITS", "PartSizes", "TargetSplit", "split_sizes", "split_target"]

TargetSplitName = Literal["frame", "segment", "video"]
TARGET_SPLITS: tuple[TargetSplitName, ...] = ("frame", "segment", "video")
PARTS = ("train", "val", "test")

_TEST_SHARE = 0.2
_VAL_SHARE = 0.1
_PIECE_S = 10.0  # ours: a longer stretch of one label is cut, or one stretch could be a whole part
_GUARD_S = 1.0  # ours: so far from a test or validation frame no frame trains


class PartSizes(NamedTuple):
    """How many frames with and without A/H a target's parts hold."""

    train_ah: int
    train_n: int
    val_ah: int
    val_n: int
    test_ah: int
    test_n: int


@dataclass(frozen=True, slots=True, eq=False)
class TargetSplit:
    """The parts of a target's frames.

    Args:
        kind: ``frame``, ``segment`` or ``video``.
        train: Rows of the target, ascending; the same for the others. No row is in two parts.
        val: For choosing an epoch, never for testing.
        test: What is judged.
        n_left_out: Rows in no part, as they lie too near a frame of another part.
    """

    kind: str
    train: Int64[np.ndarray, " train"]
    val: Int64[np.ndarray, " val"]
    test: Int64[np.ndarray, " test"]
    n_left_out: int = 0


def split_sizes(n_positive: int, n_negative: int) -> PartSizes:
    """Return the sizes of a target's parts as in the paper.

    A fifth of the frames, rounded up, tests, with the target's own share of A/H. A tenth of all (an eighth of the rest)
    validates, half of it with A/H where there are enough of them: at most half of the positives that are left. The
    others train. Only validation is balanced.

    Args:
        n_positive: Frames with A/H.
        n_negative: Frames without.

    References:
        BAH paper, Table 23: the rule gives all 56 rows, but the validation negatives of P28, printed as 215 where rule
        and the total of the data set give 591.

    >>> split_sizes(601, 4573)
    PartSizes(train_ah=240, train_n=3383, val_ah=241, val_n=275, test_ah=120, test_n=915)
    """
    total = n_positive + n_negative
    n_test = math.ceil(_TEST_SHARE * total)
    test_ah = n_positive - _share(total - n_test, n_positive, n_negative)
    rest_ah, rest = n_positive - test_ah, total - n_test
    half = rest // 16
    val_ah = min(half, math.ceil(rest_ah / 2))
    val_n = half + min(half - val_ah, rest_ah - val_ah)
    val_n = min(val_n, rest - rest_ah)
    test_n = n_test - test_ah
    return PartSizes(rest_ah - val_ah, n_negative - test_n - val_n, val_ah, val_n, test_ah, test_n)


def _share(n: int, n_positive: int, n_negative: int) -> int:
    """Return how many of n frames are positive where classes keep their shares, by largest remainder."""
    total = n_positive + n_negative
    if total == 0:
        return 0
    whole, remainder = divmod(n * n_positive, total)
    other = (n * n_negative) % total
    return whole + int(remainder > other)


def split_target(
    labels: Int64[np.ndarray, " n"],
    videos: Int64[np.ndarray, " n"],
    t_s: np.ndarray,
    *,
    kind: TargetSplitName,
    seed: int,
    participant_id: str,
) -> TargetSplit:
    """Split a target's frames.

    Args:
        labels: 0 or 1 of every labelled frame.
        videos: Number of each frame's video.
        t_s: Time of each frame in its video, in seconds, ascending within a video.
        kind: ``frame`` draws frames at random in the paper's numbers. ``segment`` keeps stretches of one label together
            (cut at 10 s) and leaves training and validation frames out that are within 1 s of a frame of another
            part. ``video`` keeps videos together. The last two come as near to 70, 10 and 20 % of each class as whole
            stretches or videos allow; the test part gets positives first.
        seed: Of the draw; with the participant's id it decides everything.
        participant_id: So that targets do not depend on each other.
    """
    rng = np.random.default_rng([seed, int(hashlib.sha256(participant_id.encode()).hexdigest()[:8], 16)])
    if kind == "frame":
        return _split_frames(labels, rng)
    units = videos.copy() if kind == "video" else _stretches(labels, videos, t_s)
    part = _assign(labels, units, rng)[np.unique(units, return_inverse=True)[1]]
    kept = np.ones(len(labels), dtype=bool)
    if kind == "segment":
        kept = _far_from_others(part, videos, t_s)
    train, val, test = (np.flatnonzero((part == number) & kept) for number in range(3))
    return TargetSplit(kind, train, val, test, n_left_out=int((~kept).sum()))


def _split_frames(labels: Int64[np.ndarray, " n"], rng: np.random.Generator) -> TargetSplit:
    sizes = split_sizes(int((labels == 1).sum()), int((labels == 0).sum()))
    parts: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    for label, (n_train, n_val) in ((1, (sizes.train_ah, sizes.val_ah)), (0, (sizes.train_n, sizes.val_n))):
        rows = rng.permutation(np.flatnonzero(labels == label))
        for part, drawn in zip(PARTS, np.split(rows, [n_train, n_train + n_val]), strict=True):
            parts[part].append(drawn)
    train, val, test = (np.sort(np.concatenate(parts[part])) for part in PARTS)
    return TargetSplit("frame", train, val, test)


def _stretches(
    labels: Int64[np.ndarray, " n"], videos: Int64[np.ndarray, " n"], t_s: np.ndarray
) -> Int64[np.ndarray, " n"]:
    """Return the number of each frame's stretch: neighbours of one label in one video, at most 10 s."""
    is_new = np.ones(len(labels), dtype=bool)
    is_new[1:] = (labels[1:] != labels[:-1]) | (videos[1:] != videos[:-1])
    number = np.cumsum(is_new) - 1
    since = t_s - t_s[np.flatnonzero(is_new)][number]
    piece = (since // _PIECE_S).astype(np.int64)
    is_new[1:] |= piece[1:] != piece[:-1]
    stretch: Int64[np.ndarray, " n"] = np.cumsum(is_new) - 1
    return stretch


def _assign(
    labels: Int64[np.ndarray, " n"], units: Int64[np.ndarray, " n"], rng: np.random.Generator
) -> Int64[np.ndarray, " units"]:
    """Return the part (0 train, 1 validation, 2 test) of each unit: largest first, to where most is missing."""
    numbers = np.unique(units)
    counts = np.array([[(labels[units == u] == c).sum() for c in (1, 0)] for u in numbers], dtype=float).reshape(-1, 2)
    total = counts.sum(0).clip(min=1)
    wanted = np.outer([1 - _TEST_SHARE - _VAL_SHARE, _VAL_SHARE, _TEST_SHARE], total)
    have = np.zeros_like(wanted)
    part = np.zeros(len(numbers), dtype=np.int64)
    shuffled = rng.permutation(len(numbers))
    share = (counts[shuffled] / total).sum(1)
    for unit in shuffled[np.argsort(-share, kind="stable")]:
        costs = []
        for number in range(3):
            after = have.copy()
            after[number] += counts[unit]
            costs.append((((after - wanted) / total) ** 2).sum())
        part[unit] = int(np.argmin(costs))
        have[part[unit]] += counts[unit]
    for needed in (2, 0):  # test, then training
        positive = np.flatnonzero(counts[:, 0] > 0)
        if len(positive) and not (part[positive] == needed).any():
            spare = [u for u in positive if needed == 2 or (part[positive] == part[u]).sum() > 1]
            if spare:
                part[min(spare, key=lambda u: counts[u].sum())] = needed
    return part


def _far_from_others(
    part: Int64[np.ndarray, " n"], videos: Int64[np.ndarray, " n"], t_s: np.ndarray
) -> Bool[np.ndarray, " n"]:
    """Return which frames may stay: all test frames, and others more than 1 s from frames that go before them."""
    kept = np.ones(len(part), dtype=bool)
    for number in np.unique(videos):
        rows = np.flatnonzero(videos == number)
        for mine, others in ((0, (1, 2)), (1, (2,))):  # a validation frame gives way to tests only
            own, foreign = rows[part[rows] == mine], rows[np.isin(part[rows], others)]
            if len(own) and len(foreign):
                kept[own] &= _distance(t_s[own], t_s[foreign]) > _GUARD_S
    return kept


def _distance(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how far each time is from the nearest of the others; both ascending."""
    after = np.searchsorted(others, times)
    left = np.abs(times - others[np.clip(after - 1, 0, len(others) - 1)])
    right = np.abs(times - others[np.clip(after, 0, len(others) - 1)])
    distance: np.ndarray = np.minimum(left, right)
    return distance
