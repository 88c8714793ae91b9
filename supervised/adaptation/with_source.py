"""Training on the source, and adaptation that still has it: MMD and the subject-based method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from supervised.adaptation.domains import (
    Domain,
    FrameStrategy,
    answer,
    batch_rows,
    classify_rows,
    cross_entropy,
    embed_rows,
    summed,
)
from supervised.adaptation.losses import Estimator, mmd
from supervised.adaptation.pseudo_labels import confident_labels
from supervised.records import IGNORED, StepLoss

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

__all__ = ["Labelled", "Mmd", "MmdOptions", "SubjectBased", "SubjectOptions", "SubjectPairs", "SupervisedOptions"]


class SupervisedOptions(BaseModel):
    """Training on labels: of the source, or of the target (the oracle).

    Args:
        batch_frames: Rows of a batch, at least 2.
        label_smoothing: y (1 - e) + e / 2, as in SHOT's training of the source.
        backbone_lr_factor: Learning rate of what comes before the bottleneck, relative to the rest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    batch_frames: int = Field(ge=2)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    backbone_lr_factor: float = Field(default=1.0, gt=0)


class MmdOptions(BaseModel):
    """How two domains are brought together.

    Args:
        batch_frames: Rows of each domain in a step, at least 2; all of a domain with fewer.
        mmd_weight: Weight of the discrepancy.
        estimator: ``unbiased`` or ``biased``.
        label_smoothing: Of the source's cross-entropy.
        backbone_lr_factor: Learning rate of what comes before the bottleneck, relative to the rest.
        loaders: ``longer`` ends an epoch with the longer domain, the other one beginning anew; ``shorter`` ends it with
            the shorter one, as the public code does.
        detached: Take the discrepancy without gradient, as the public code does: nothing is aligned then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    batch_frames: int = Field(ge=2)
    mmd_weight: float = Field(default=1.0, ge=0)
    estimator: Estimator = "unbiased"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    backbone_lr_factor: float = Field(default=1.0, gt=0)
    loaders: Literal["longer", "shorter"] = "longer"
    detached: bool = False


class SubjectOptions(MmdOptions):
    """MMD with confident pseudo-labels of the target.

    Args:
        gamma3: Weight of the cross-entropy on pseudo-labels; with 0 this is MMD.
        tau: Threshold of the first pseudo-labels.
        tau_step: Subtracted from it at each refresh.
        tau_min: Smallest threshold that steps lead to.
        refresh_epochs: Pseudo-labels are made anew every so many epochs.
        agree: Both views must answer alike.
        only_confident: Align confident target rows alone, as the public code does.
        only_shrink: Refresh among rows that were kept before, as the public code does; lowering tau then adds none.
        flip_probability: Share of rows whose second view is really mirrored; the public code has 0.5.
    """

    gamma3: float = Field(default=0.01, ge=0)
    tau: float = Field(default=0.95, ge=0, le=1)
    tau_step: float = Field(default=0.01, ge=0)
    tau_min: float = Field(default=0.8, ge=0, le=1)
    refresh_epochs: int = Field(default=4, ge=1)
    agree: bool = False
    only_confident: bool = False
    only_shrink: bool = False
    flip_probability: float = Field(default=1.0, ge=0, le=1)


class Labelled(FrameStrategy):
    """Cross-entropy on a domain's own labels: training on the source, and the oracle on the target.

    Args:
        domain: With labels.
        options: Batches and smoothing.
        seed: Of the order of rows.
    """

    def __init__(self, domain: Domain, options: SupervisedOptions, *, seed: int) -> None:
        super().__init__(seed=seed, backbone_lr_factor=options.backbone_lr_factor)
        self._domain, self._options = domain, options

    def n_batches(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Return how many batches an epoch has."""
        return math.ceil(len(self._domain) / self._options.batch_frames)

    def batches(self, epoch: int) -> Iterator[Int64[Tensor, " batch"]]:
        """Yield numbers of rows."""
        seed = (self._seed, epoch)
        return batch_rows(
            len(self._domain),
            batch=self._options.batch_frames,
            n_batches=self.n_batches(epoch),
            seed=seed,
            drop_last=False,
        )

    def weight(self, batch: Int64[Tensor, " batch"]) -> float:
        """Return the labelled rows of a batch; a batch of one row is skipped, as it cannot be normalised."""
        return float((self._domain.labels[batch] != IGNORED).sum()) if len(batch) > 1 else 0.0

    def loss(self, model: nn.Module, batch: Int64[Tensor, " batch"]) -> StepLoss:
        """Return the mean cross-entropy."""
        device = next(model.parameters()).device
        logits = classify_rows(model, embed_rows(model, self._domain.rows(batch, device)))
        return StepLoss(
            cross_entropy(logits, self._domain.labels[batch].to(device), smoothing=self._options.label_smoothing), {}
        )


class PairBatch(NamedTuple):
    """Numbers of rows of two domains, or of two subjects of one."""

    first: Int64[Tensor, " batch"]
    second: Int64[Tensor, " batch"]


class SubjectPairs(FrameStrategy):
    """The subject-based method's training on the source: two different subjects a step, whose frames are aligned.

    Differs from the public code, which draws both batches from all subjects at once and takes the discrepancy without
    gradient (``options.detached``). Of a single subject, both batches are its own.

    Args:
        source: With labels and subjects.
        options: Batches and discrepancy.
        seed: Of pairs and rows.

    References:
        Zeeshan et al. 2024, abstract: a discrepancy loss between source subjects. Their weights are not stated in BAH's
        appendix: 1 here.
    """

    def __init__(self, source: Domain, options: MmdOptions, *, seed: int) -> None:
        super().__init__(seed=seed, backbone_lr_factor=options.backbone_lr_factor)
        self._source, self._options = source, options
        subjects = source.subject.unique()
        self._rows = [torch.nonzero(source.subject == subject).flatten() for subject in subjects]

    def n_batches(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Return how many steps an epoch has: as many as batches of the whole source."""
        return max(1, len(self._source) // self._options.batch_frames)

    def batches(self, epoch: int) -> Iterator[PairBatch]:
        """Yield rows of two subjects."""
        rng = np.random.default_rng([self._seed, epoch])
        for _ in range(self.n_batches(epoch)):
            pair = rng.permutation(len(self._rows))[:2]
            first, second = int(pair[0]), int(pair[-1])
            yield PairBatch(self._draw(first, rng), self._draw(second, rng))

    def _draw(self, subject: int, rng: np.random.Generator) -> Int64[Tensor, " batch"]:
        rows = self._rows[subject]
        chosen = rng.choice(len(rows), size=min(self._options.batch_frames, len(rows)), replace=False)
        return rows[torch.from_numpy(chosen)]

    def weight(self, batch: PairBatch) -> float:
        """Return the rows of both subjects; a pair with a single row is skipped, as it cannot be normalised."""
        return float(len(batch.first) + len(batch.second)) if min(len(batch.first), len(batch.second)) > 1 else 0.0

    def loss(self, model: nn.Module, batch: PairBatch) -> StepLoss:
        """Return both cross-entropies and the discrepancy."""
        device = next(model.parameters()).device
        embeddings = [embed_rows(model, self._source.rows(rows, device)) for rows in batch]
        terms = {
            f"ce_{number}": (
                1.0,
                cross_entropy(
                    classify_rows(model, embedding),
                    self._source.labels[rows].to(device),
                    smoothing=self._options.label_smoothing,
                ),
            )
            for number, (embedding, rows) in enumerate(zip(embeddings, batch, strict=True))
        }
        terms["mmd"] = (self._options.mmd_weight, _discrepancy(embeddings[0], embeddings[1], self._options))
        return summed(terms)


class Mmd(FrameStrategy):
    """UDA (MMD): cross-entropy on the source, and the discrepancy between source and target.

    Each domain goes through the model by itself, so that normalisation layers see one domain at a time.

    Args:
        source: With labels.
        target: Labels are not looked at.
        options: Batches and discrepancy.
        seed: Of the order of rows.

    References:
        BAH paper, appendix E.3.1.
    """

    def __init__(self, source: Domain, target: Domain, options: MmdOptions, *, seed: int) -> None:
        super().__init__(seed=seed, backbone_lr_factor=options.backbone_lr_factor)
        self._source, self._target, self._options = source, target, options
        self._target_rows = torch.arange(len(target))

    def n_batches(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Return how many steps an epoch has."""
        lengths = [max(1, n // self._options.batch_frames) for n in (len(self._source), len(self._target_rows))]
        return max(lengths) if self._options.loaders == "longer" else min(lengths)

    def batches(self, epoch: int) -> Iterator[PairBatch]:
        """Yield rows of both domains."""
        n, batch = self.n_batches(epoch), self._options.batch_frames
        sizes = (len(self._source), len(self._target_rows))
        source, target = (
            batch_rows(size, batch=batch, n_batches=n, seed=(self._seed, epoch, stream), drop_last=True)
            for stream, size in enumerate(sizes)
        )
        for first, second in zip(source, target, strict=True):
            yield PairBatch(first, self._target_rows[second])

    def weight(self, batch: PairBatch) -> float:
        """Return the source's rows; a step with a single one is skipped, as it cannot be normalised."""
        return float(len(batch.first)) if len(batch.first) > 1 else 0.0

    def loss(self, model: nn.Module, batch: PairBatch) -> StepLoss:
        """Return cross-entropy and discrepancy; a target batch of fewer than two rows is left out."""
        return summed(self._terms(model, batch))

    def _terms(self, model: nn.Module, batch: PairBatch) -> dict[str, tuple[float, Float[Tensor, ""]]]:
        device = next(model.parameters()).device
        source = embed_rows(model, self._source.rows(batch.first, device))
        logits = classify_rows(model, source)
        labels = self._source.labels[batch.first].to(device)
        terms = {"ce": (1.0, cross_entropy(logits, labels, smoothing=self._options.label_smoothing))}
        if len(batch.second) > 1:
            target = embed_rows(model, self._target.rows(batch.second, device))
            terms["mmd"] = (self._options.mmd_weight, _discrepancy(source, target, self._options))
            terms |= self._target_terms(model, target, batch.second)
        return terms

    def _target_terms(
        self,
        model: nn.Module,  # noqa: ARG002 - for the method that has such terms
        embedding: Float[Tensor, "batch width"],  # noqa: ARG002
        rows: Int64[Tensor, " batch"],  # noqa: ARG002
    ) -> dict[str, tuple[float, Float[Tensor, ""]]]:
        return {}


class SubjectBased(Mmd):
    """UDA (Sub-Based): MMD, and cross-entropy on confident pseudo-labels of the target.

    Pseudo-labels are made anew for the whole target every ``refresh_epochs``. With fewer than two confident rows the
    term is left out until the next refresh. A target without mirrored features takes each frame as its own mirror
    image.

    Attributes:
        refreshes: One entry a refresh: ``epoch``, ``tau``, ``n_kept``, ``n_kept_positive``, and ``n_right`` of those
            kept, where the target has labels: told, never used.

    References:
        BAH paper, appendix E.3.1: gamma3 0.01, tau 0.95 "updated every 4 epochs"; direction and step are not stated.
    """

    def __init__(self, source: Domain, target: Domain, options: SubjectOptions, *, seed: int) -> None:
        super().__init__(source, target, options, seed=seed)
        self._own = options
        self._pseudo = torch.full((len(target),), IGNORED, dtype=torch.int64)
        self.refreshes: list[dict[str, float]] = []

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        """Make pseudo-labels where it is time."""
        super().begin_epoch(model, epoch)
        number, rest = divmod(epoch, self._own.refresh_epochs)
        if rest == 0:
            self._refresh(model, number, epoch)
        if self._own.only_confident:
            self._target_rows = torch.nonzero(self._pseudo != IGNORED).flatten()

    def _refresh(self, model: nn.Module, number: int, epoch: int) -> None:
        start, step = self._own.tau, self._own.tau_step
        tau = max(min(self._own.tau_min, start), start - step * number)
        p = functional.softmax(answer(model, self._target).logits, dim=1)
        p_flipped = functional.softmax(answer(model, self._target, flipped=True).logits, dim=1)
        if self._own.flip_probability < 1:
            drawn = np.random.default_rng([self._seed, epoch, 2]).random(len(p)) < self._own.flip_probability
            p_flipped = torch.where(torch.from_numpy(drawn)[:, None], p_flipped, p)
        found = confident_labels(p, p_flipped, tau=tau, agree=self._own.agree)
        is_kept: Bool[Tensor, " n"] = found.is_kept
        if self._own.only_shrink and number > 0:
            is_kept = is_kept & (self._pseudo != IGNORED)
        self._pseudo = torch.where(is_kept, found.labels, IGNORED)
        self.refreshes.append(
            {
                "epoch": epoch,
                "tau": tau,
                "n_kept": int(is_kept.sum()),
                "n_kept_positive": int((self._pseudo == 1).sum()),
                "n_right": int((is_kept & (self._pseudo == self._target.labels)).sum()),
            }
        )

    def _target_terms(
        self, model: nn.Module, embedding: Float[Tensor, "batch width"], rows: Int64[Tensor, " batch"]
    ) -> dict[str, tuple[float, Float[Tensor, ""]]]:
        if self._own.gamma3 == 0 or int((self._pseudo != IGNORED).sum()) < 2:
            return {}
        labels = self._pseudo[rows].to(embedding.device)
        return {"pseudo": (self._own.gamma3, cross_entropy(classify_rows(model, embedding), labels))}

    def state_dict(self) -> dict[str, Any]:
        """Return the pseudo-labels and what is told of them."""
        return {"pseudo": self._pseudo, "refreshes": self.refreshes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the pseudo-labels."""
        self._pseudo, self.refreshes = state["pseudo"].cpu(), list(state["refreshes"])


def _discrepancy(
    first: Float[Tensor, "n width"], second: Float[Tensor, "m width"], options: MmdOptions
) -> Float[Tensor, ""]:
    # In half precision the differences that it is made of drown in rounding.
    with torch.autocast(first.device.type, enabled=False):
        value = mmd(first.float(), second.float(), estimator=options.estimator)
    return value.detach() if options.detached else value
