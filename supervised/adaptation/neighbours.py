"""NRC: what a frame's neighbours in the target say about it, and how much each of them counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

__all__ = ["Frames", "Neighbours", "find_neighbours", "neighbour_loss"]

_WEIGHT_OF_OTHERS = 0.1  # Yang et al. 2021: affinity of neighbours that are not reciprocal, and of expanded ones


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Where each frame of a bank comes from, so that near duplicates can be told.

    Args:
        video: Number of its video, shape (n,).
        t_s: Time in the video in seconds, shape (n,).
    """

    video: Int64[Tensor, " n"]
    t_s: Float[Tensor, " n"]


class Neighbours(NamedTuple):
    """The neighbours of a batch of frames.

    Args:
        near: Rows of the bank nearest to each frame, shape (batch, k).
        affinity: 1 where the frame is among the neighbour's own, else 0.1, shape (batch, k).
        expanded: The neighbours of each neighbour, shape (batch, k, m).
        is_there: False where fewer neighbours exist than asked for, shape (batch, k).
        is_expanded_there: The same for the expanded ones, shape (batch, k, m).
    """

    near: Int64[Tensor, "batch k"]
    affinity: Float[Tensor, "batch k"]
    expanded: Int64[Tensor, "batch k m"]
    is_there: Bool[Tensor, "batch k"]
    is_expanded_there: Bool[Tensor, "batch k m"]


def find_neighbours(
    bank: Float[Tensor, "n width"],
    index: Int64[Tensor, " batch"],
    *,
    k: int,
    m: int,
    frames: Frames | None = None,
    exclude_within_s: float | None = None,
    overwrite_affinities: bool = False,
) -> Neighbours:
    """Return the nearest rows of a bank by cosine, without the frame itself, and their nearest rows in turn.

    A frame is left out of its own neighbours by its number, so that a duplicate of it may be one. With fewer rows than
    asked for, all others are taken.

    Args:
        bank: Embeddings of length 1.
        index: Rows of the bank that are asked about.
        k: Neighbours of each.
        m: Neighbours of each neighbour.
        frames: Where the rows come from; needed for ``exclude_within_s``.
        exclude_within_s: Leave neighbours of the same video out that are at most this many seconds away. None takes
            them: at 24 frames a second all neighbours of a frame then tend to be of the same moment.
        overwrite_affinities: Set every affinity to 0.1, as one of the public scripts does by writing through a view.

    References:
        Yang et al. 2021, "Exploiting the intrinsic neighborhood structure for source-free domain adaptation" (NRC),
        section 3; K = 3 and M = 2 in BAH's appendix E.3.2.
    """
    near, is_there = _nearest(bank, index, k, frames, exclude_within_s)
    flat, flat_there = _nearest(bank, near.reshape(-1), m, frames, exclude_within_s)
    shape = (*near.shape, flat.shape[1])
    expanded = flat.reshape(shape)
    is_expanded_there = flat_there.reshape(shape) & is_there[:, :, None]
    is_reciprocal = ((expanded == index[:, None, None]) & is_expanded_there).any(2)
    affinity = torch.full_like(near, _WEIGHT_OF_OTHERS, dtype=bank.dtype)
    if not overwrite_affinities:
        affinity = torch.where(is_reciprocal, torch.ones_like(affinity), affinity)
    return Neighbours(near, affinity, expanded, is_there, is_expanded_there)


def _nearest(
    bank: Float[Tensor, "n width"],
    index: Int64[Tensor, " rows"],
    count: int,
    frames: Frames | None,
    exclude_within_s: float | None,
) -> tuple[Int64[Tensor, "rows count"], Bool[Tensor, "rows count"]]:
    # Batch by bank products, never a copy of the bank for each row of the batch.
    cosine = bank[index] @ bank.T
    if frames is not None and exclude_within_s is not None:
        same_video = frames.video[index][:, None] == frames.video[None, :]
        is_close = (frames.t_s[index][:, None] - frames.t_s[None, :]).abs() <= exclude_within_s
        cosine = cosine.masked_fill(same_video & is_close, -torch.inf)
    cosine[torch.arange(len(index)), index] = -torch.inf
    value, near = cosine.topk(min(count, len(bank)), dim=1)
    return near, value > -torch.inf


def neighbour_loss(
    p: Float[Tensor, "batch classes"],
    scores: Float[Tensor, "n classes"],
    index: Int64[Tensor, " batch"],
    neighbours: Neighbours,
    *,
    self_reg: bool = True,
) -> dict[str, Float[Tensor, ""]]:
    """Return NRC's terms by name: agreement with neighbours, with their neighbours, and with one's former answer.

    Each is minus the mean over the batch of the weighted sum of inner products of answers. The public code writes them
    as a divergence that differs by a term without gradient. Only p carries gradient. A frame without neighbours adds 0.

    Args:
        p: Answers of the batch.
        scores: The bank of answers.
        index: Rows of the bank that the batch is.
        neighbours: Of the batch.
        self_reg: Whether the frame's own former answer counts.

    References:
        Yang et al. 2021 (NRC), equations 3, 5 and 7.
    """
    scores = scores.detach()
    agreement = (scores[neighbours.near] * p[:, None, :]).sum(2) * neighbours.affinity * neighbours.is_there
    inner = (scores[neighbours.expanded] * p[:, None, None, :]).sum(3) * neighbours.is_expanded_there
    terms = {"near": -agreement.sum(1).mean(), "expanded": -_WEIGHT_OF_OTHERS * inner.sum((1, 2)).mean()}
    if self_reg:
        terms["self"] = -(scores[index] * p).sum(1).mean()
    return terms
