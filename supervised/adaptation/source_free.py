"""Adaptation without the source: SHOT and NRC."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from bah_mllm.core.errors import ConfigError
from supervised.adaptation.domains import (
    Domain,
    FrameStrategy,
    answer,
    batch_rows,
    classify_rows,
    embed_rows,
    summed,
)
from supervised.adaptation.losses import Diversity, diversity, mean_entropy
from supervised.adaptation.neighbours import Frames, find_neighbours, neighbour_loss
from supervised.adaptation.pseudo_labels import centroid_labels
from supervised.records import StepLoss

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

__all__ = ["Nrc", "NrcOptions", "Shot", "ShotOptions"]


class SourceFreeOptions(BaseModel):
    """What SHOT and NRC have in common.

    Args:
        batch_frames: Rows of a batch, at least 2; a rest of one row is skipped, as it cannot be normalised.
        backbone_lr_factor: Learning rate of what comes before the bottleneck, relative to the rest.
        diversity: How often classes should be answered in a batch: ``uniform`` (as the methods have it), ``prior`` (as
            often as in the source; ours, for unbalanced classes), or ``none``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    batch_frames: int = Field(ge=2)
    backbone_lr_factor: float = Field(default=0.1, gt=0)
    diversity: Diversity = "uniform"


class ShotOptions(SourceFreeOptions):
    """SHOT.

    Args:
        beta: Weight of the cross-entropy on centroid pseudo-labels; 0 leaves them out.
        drop_empty: Leave classes out that no frame is answered with, as the public code does.
    """

    beta: float = Field(default=0.3, ge=0)
    drop_empty: bool = False


class NrcOptions(SourceFreeOptions):
    """NRC.

    Args:
        n_neighbours: K, neighbours of each frame.
        n_expanded: M, neighbours of each neighbour.
        self_reg: Whether a frame's own former answer counts.
        nrc_switch: Take K = 5 and M = 4 in the second half of the epochs, as one of the public scripts does.
        exclude_within_s: Leave neighbours out that are of the same video and at most so many seconds away; None takes
            them.
        overwrite_affinities: All affinities 0.1, as one of the public scripts has them by accident.
    """

    n_neighbours: int = Field(default=3, ge=1)
    n_expanded: int = Field(default=2, ge=1)
    self_reg: bool = True
    nrc_switch: bool = False
    exclude_within_s: float | None = Field(default=None, ge=0)
    overwrite_affinities: bool = False


class _SourceFree(FrameStrategy):
    def __init__(
        self,
        target: Domain,
        options: SourceFreeOptions,
        *,
        seed: int,
        prior_positive: float | None,
        train_classifier: bool,
    ) -> None:
        super().__init__(seed=seed, backbone_lr_factor=options.backbone_lr_factor, train_classifier=train_classifier)
        if options.diversity == "prior" and prior_positive is None:
            raise ConfigError(
                "The diversity 'prior' needs the share of A/H in the source, which is unknown.",
                remedy='Give a source with labels, or set diversity = "uniform".',
            )
        self._target, self._options = target, options
        self._prior = None if prior_positive is None else torch.tensor([1 - prior_positive, prior_positive])

    def n_batches(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Return how many batches an epoch has."""
        return math.ceil(len(self._target) / self._options.batch_frames)

    def batches(self, epoch: int) -> Iterator[Int64[Tensor, " batch"]]:
        """Yield numbers of rows."""
        n = self.n_batches(epoch)
        seed = (self._seed, epoch)
        return batch_rows(len(self._target), batch=self._options.batch_frames, n_batches=n, seed=seed, drop_last=False)

    def weight(self, batch: Int64[Tensor, " batch"]) -> float:
        """Return the rows of a batch; a single row is skipped."""
        return float(len(batch)) if len(batch) > 1 else 0.0

    def _forward(
        self, model: nn.Module, batch: Int64[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch 2"]]:
        device = next(model.parameters()).device
        embedding = embed_rows(model, self._target.rows(batch, device))
        return embedding, classify_rows(model, embedding)


class Shot(_SourceFree):
    """SFUDA (SHOT): the classifier is frozen; answers become certain and diverse, and follow centroid pseudo-labels.

    Args:
        target: Labels are not looked at.
        options: See ``ShotOptions``.
        seed: Of the order of rows.
        prior_positive: Share of A/H in the source, for ``diversity = "prior"``.

    References:
        Liang et al. 2020, "Do we really need to access the source data?", equations 2 to 7; BAH paper, appendix E.3.2.
    """

    def __init__(self, target: Domain, options: ShotOptions, *, seed: int, prior_positive: float | None = None) -> None:
        super().__init__(target, options, seed=seed, prior_positive=prior_positive, train_classifier=False)
        self._own = options
        self._pseudo = torch.zeros(len(target), dtype=torch.int64)

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        """Make pseudo-labels of all rows."""
        super().begin_epoch(model, epoch)
        if self._own.beta > 0:
            embedding, logits = answer(model, self._target)
            p = functional.softmax(logits, dim=1)
            self._pseudo = centroid_labels(embedding, p, drop_empty=self._own.drop_empty)

    def loss(self, model: nn.Module, batch: Int64[Tensor, " batch"]) -> StepLoss:
        """Return entropy, diversity and, weighted with beta, cross-entropy on pseudo-labels."""
        _, logits = self._forward(model, batch)
        p = functional.softmax(logits, dim=1)
        terms = {
            "entropy": (1.0, mean_entropy(p)),
            "diversity": (1.0, diversity(p, self._own.diversity, self._prior)),
        }
        if self._own.beta > 0:
            pseudo = self._pseudo[batch].to(logits.device)
            terms["pseudo"] = (self._own.beta, functional.cross_entropy(logits, pseudo))
        return summed(terms)


class Nrc(_SourceFree):
    """SFUDA (NRC): a frame is answered as its neighbours in the target are.

    Banks hold the embedding, of length 1, and the answer of every row; they are made in evaluation mode, and a batch
    replaces its rows before its neighbours are looked for.

    Args:
        target: Labels are not looked at.
        options: See ``NrcOptions``.
        seed: Of the order of rows.
        n_epochs: Of the training, for ``nrc_switch``.
        prior_positive: Share of A/H in the source, for ``diversity = "prior"``.

    References:
        Yang et al. 2021, "Exploiting the intrinsic neighborhood structure for source-free domain adaptation"; BAH
        paper, appendix E.3.2: K = 3, M = 2.
    """

    def __init__(
        self,
        target: Domain,
        options: NrcOptions,
        *,
        seed: int,
        n_epochs: int,
        prior_positive: float | None = None,
    ) -> None:
        super().__init__(target, options, seed=seed, prior_positive=prior_positive, train_classifier=True)
        self._own, self._n_epochs = options, n_epochs
        self._bank = torch.zeros(0, 0)
        self._scores = torch.zeros(0, 2)
        self._k, self._m = options.n_neighbours, options.n_expanded

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        """Make the banks before the first epoch; set K and M."""
        super().begin_epoch(model, epoch)
        if epoch == 0:
            embedding, logits = answer(model, self._target)
            self._bank = functional.normalize(embedding, dim=1)
            self._scores = functional.softmax(logits, dim=1)
        if self._own.nrc_switch and epoch >= self._n_epochs / 2:
            self._k, self._m = 5, 4

    def loss(self, model: nn.Module, batch: Int64[Tensor, " batch"]) -> StepLoss:
        """Return agreement with neighbours and their neighbours, with one's former answer, and diversity."""
        embedding, logits = self._forward(model, batch)
        p = functional.softmax(logits, dim=1)
        self._bank[batch] = functional.normalize(embedding.detach().float(), dim=1).cpu()
        self._scores[batch] = p.detach().float().cpu()
        neighbours = find_neighbours(
            self._bank,
            batch,
            k=self._k,
            m=self._m,
            frames=Frames(self._target.video, self._target.t_s),
            exclude_within_s=self._own.exclude_within_s,
            overwrite_affinities=self._own.overwrite_affinities,
        )
        terms = neighbour_loss(p.cpu(), self._scores, batch, neighbours, self_reg=self._own.self_reg)
        terms["diversity"] = diversity(p, self._own.diversity, self._prior).cpu()
        return summed({name: (1.0, value) for name, value in terms.items()})

    def state_dict(self) -> dict[str, Any]:
        """Return the banks."""
        return {"bank": self._bank, "scores": self._scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the banks."""
        self._bank, self._scores = state["bank"].cpu(), state["scores"].cpu()
