"""Labels that a model gives to frames of the target itself: confident ones (ACPL) and those of centroids (SHOT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

__all__ = ["Confident", "centroid_labels", "confident_labels"]


class Confident(NamedTuple):
    """Which frames a model is sure of, and of what.

    Args:
        is_kept: Shape (n,).
        labels: Class per frame, shape (n,); of use only where kept.
    """

    is_kept: Bool[Tensor, " n"]
    labels: Int64[Tensor, " n"]


def confident_labels(
    p: Float[Tensor, "n classes"], p_flipped: Float[Tensor, "n classes"], *, tau: float, agree: bool
) -> Confident:
    """Return the augmented confident pseudo-labels (ACPL) of frames seen twice, as they are and flipped.

    A frame's score is the mean of the largest probabilities of its two views, and it is kept where the score is above
    ``tau`` (not equal). Its label is the answer of the surer view; where both are equally sure, of the flipped one.

    Args:
        p: Probabilities of the frames as they are.
        p_flipped: Probabilities of their mirror images.
        tau: Threshold, 0 to 1.
        agree: Also ask that both views answer alike. The public code does not.

    References:
        Zeeshan et al. 2024, "Subject-based domain adaptation for facial expression recognition", and its public code.
    """
    largest, answer = p.max(1)
    largest_flipped, answer_flipped = p_flipped.max(1)
    is_kept = (largest + largest_flipped) / 2 > tau
    if agree:
        is_kept &= answer == answer_flipped
    return Confident(is_kept, torch.where(largest > largest_flipped, answer, answer_flipped))


def centroid_labels(
    embedding: Float[Tensor, "n width"], p: Float[Tensor, "n classes"], *, drop_empty: bool, n_rounds: int = 2
) -> Int64[Tensor, " n"]:
    """Return SHOT's pseudo-labels: the class whose centroid lies nearest in angle.

    Embeddings get a constant 1 appended and are scaled to length 1. The first centroids are means weighted with p, the
    next ones means of the frames labelled so; a class that no frame is labelled with keeps its centroid.

    Args:
        embedding: What the classifier sees of every frame.
        p: Its answers.
        drop_empty: Leave classes out that no frame is answered with. The public code does; a model that never answers
            A/H then never will.
        n_rounds: How often labels are given.

    Returns:
        Class per frame; equally near centroids give the lower class.

    References:
        Liang et al. 2020 (SHOT), equations 4 to 6, and its public code as of 2022 (labels map back to their classes).
    """
    n_classes = p.shape[1]
    rows = functional.normalize(torch.cat([embedding, torch.ones_like(embedding[:, :1])], dim=1), dim=1)
    weights = p
    labels = p.argmax(1)
    centroids = torch.zeros(n_classes, rows.shape[1], dtype=rows.dtype, device=rows.device)
    for _ in range(n_rounds):
        count = torch.bincount(labels, minlength=n_classes)
        mass = weights.sum(0)
        means = weights.T @ rows / mass.clamp(min=1e-8)[:, None]
        centroids = torch.where((mass > 0)[:, None], means, centroids)
        near = functional.normalize(centroids, dim=1)
        cosine = rows @ near.T
        if drop_empty:
            cosine = cosine.masked_fill(count == 0, -torch.inf)
        labels = cosine.argmax(1)
        weights = functional.one_hot(labels, n_classes).to(rows.dtype)
    return labels
