"""Frames of one domain, in batches: what the strategies of this folder draw from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bah_mllm.core.arrays import read_array
from bah_mllm.core.errors import RunError
from bah_mllm.core.reading import Refusal
from bah_mllm.core.storage import naming
from supervised.models.mlp import Mlp
from supervised.records import IGNORED, StepLoss

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

__all__ = [
    "Answers",
    "Domain",
    "FrameStrategy",
    "answer",
    "batch_rows",
    "classify_rows",
    "cross_entropy",
    "embed_rows",
    "map_domain",
    "score_rows",
    "summed",
    "write_domain",
]

_ROWS_AT_ONCE = 4096
_MAPPED = ("features", "labels", "subject", "video", "t_s")


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """Frames of the source, or of a target, as rows.

    Args:
        features: Standardised already; several modalities side by side. Shape (n, dim).
        labels: 0, 1 or ``IGNORED``, shape (n,).
        subject: Number of each row's participant, shape (n,).
        video: Number of each row's video, shape (n,).
        t_s: Time in its video in seconds, shape (n,).
        flipped: The same frames mirrored; None where the features have no twin.
    """

    features: Float[Tensor, "n dim"]
    labels: Int64[Tensor, " n"]
    subject: Int64[Tensor, " n"]
    video: Int64[Tensor, " n"]
    t_s: Float[Tensor, " n"]
    flipped: Float[Tensor, "n dim"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(
        self, index: Int64[Tensor, " batch"], device: torch.device, *, flipped: bool = False
    ) -> Float[Tensor, "batch dim"]:
        """Return rows as float32 on a device; mirrored ones where asked for and known."""
        chosen = self.flipped if flipped and self.flipped is not None else self.features
        return chosen[index].to(device, torch.float32)

    def take(self, index: Int64[np.ndarray, " rows"]) -> Domain:
        """Return some rows as a domain of their own."""
        rows = torch.from_numpy(np.asarray(index, dtype=np.int64))
        flipped = None if self.flipped is None else self.flipped[rows]
        return Domain(
            self.features[rows], self.labels[rows], self.subject[rows], self.video[rows], self.t_s[rows], flipped
        )


def write_domain(folder: Path, domain: Domain) -> None:
    """Write a domain without its mirrored twin, for ``map_domain``; files that are there are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _MAPPED:
        path = folder / f"{name}.npy"
        with naming(path), path.open("wb") as file:
            # Into a file that it knows as one, numpy writes by itself, and loses the reason why it cannot.
            np.save(SimpleNamespace(write=file.write), getattr(domain, name).numpy())


def map_domain(folder: Path) -> Domain:
    """Return the domain that ``write_domain`` wrote, memory-mapped: processes that map it share one copy.

    Raises:
        RunError: A file is missing or damaged.
    """
    arrays = {}
    for name in _MAPPED:
        refusal = Refusal(RunError, str(folder / f"{name}.npy"), "Run the same command again: it is written anew.")
        arrays[name] = read_array(folder / f"{name}.npy", refusal, mapped="c")
    return Domain(**{name: torch.from_numpy(array) for name, array in arrays.items()})


class Answers(NamedTuple):
    """What a model says of rows: embeddings and logits."""

    embedding: Float[Tensor, "n width"]
    logits: Float[Tensor, "n 2"]


def embed_rows(model: nn.Module, rows: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch width"]:
    """Return what the classifier sees of each row; every row is a window of one frame."""
    frame_model = cast("Mlp", model)
    is_real = torch.ones(len(rows), 1, dtype=torch.bool, device=rows.device)
    return frame_model.embed({frame_model.modality: rows[:, None, :]}, is_real)[:, 0]


def classify_rows(model: nn.Module, embedding: Float[Tensor, "batch width"]) -> Float[Tensor, "batch 2"]:
    """Return the logits of no A/H and A/H."""
    return cast("Mlp", model).classify(embedding)


def answer(model: nn.Module, domain: Domain, *, flipped: bool = False) -> Answers:
    """Return embeddings and logits of all rows in evaluation mode, on the CPU; modes of layers stay as they were."""
    modes = {module: module.training for module in model.modules()}
    device = next(model.parameters()).device
    model.eval()
    parts: list[Answers] = []
    with torch.no_grad():
        for start in range(0, len(domain), _ROWS_AT_ONCE):
            index = torch.arange(start, min(start + _ROWS_AT_ONCE, len(domain)))
            embedding = embed_rows(model, domain.rows(index, device, flipped=flipped))
            logits = classify_rows(model, embedding)
            parts.append(Answers(embedding.float().cpu(), logits.float().cpu()))
    for module, was_training in modes.items():
        module.training = was_training
    if not parts:
        return Answers(torch.zeros(0, 1), torch.zeros(0, 2))
    return Answers(torch.cat([part.embedding for part in parts]), torch.cat([part.logits for part in parts]))


def score_rows(model: nn.Module, domain: Domain) -> Float[np.ndarray, " n"]:
    """Return the probability of A/H of every row."""
    p = functional.softmax(answer(model, domain).logits.double(), dim=1)[:, 1]
    return np.asarray(p.numpy())


def batch_rows(
    n: int, *, batch: int, n_batches: int, seed: tuple[int, ...], drop_last: bool
) -> Iterator[Int64[Tensor, " batch"]]:
    """Yield numbers of rows in random order, beginning anew in another order where they run out.

    Args:
        n: Rows there are; with none, empty batches are yielded.
        batch: Rows of a batch; all of them where there are fewer.
        n_batches: How many to yield.
        seed: Decides about the order.
        drop_last: Leave a last, smaller batch of each round out.
    """
    per_round = max(1, n // batch if drop_last else math.ceil(n / batch))
    for number in range(n_batches):
        turn, place = divmod(number, per_round)
        if place == 0:
            order = torch.from_numpy(np.random.default_rng([*seed, turn]).permutation(n))
        yield order[place * batch : (place + 1) * batch]


class FrameStrategy:
    """What the strategies of this folder have in common: parts of the model with rates of their own, rows of frames.

    Args:
        seed: With the epoch it decides about the order of rows.
        backbone_lr_factor: Learning rate of all before the bottleneck, relative to bottleneck and classifier.
        train_classifier: Whether the classifier is trained.
    """

    def __init__(self, *, seed: int, backbone_lr_factor: float = 1.0, train_classifier: bool = True) -> None:
        self._seed = seed
        self._backbone_lr_factor = backbone_lr_factor
        self._train_classifier = train_classifier

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return the backbone, and bottleneck with classifier; a frozen classifier has no part in the optimiser."""
        parts = cast("Mlp", model)
        if not self._train_classifier:
            parts.classifier.requires_grad_(requires_grad=False)
        backbone = list(parts.hidden.parameters())
        known = {id(parameter) for parameter in backbone}
        head = [each for each in model.parameters() if id(each) not in known and each.requires_grad]
        return [{"params": backbone, "lr_factor": self._backbone_lr_factor}, {"params": head}]

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:  # noqa: ARG002 - most strategies need neither
        """Keep a frozen classifier in evaluation mode."""
        if not self._train_classifier:
            cast("Mlp", model).classifier.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: most strategies follow from seed and epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


def cross_entropy(
    logits: Float[Tensor, "n 2"], labels: Int64[Tensor, " n"], *, smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over labelled rows; 0 where none is labelled."""
    if not bool((labels != IGNORED).any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits, labels, ignore_index=IGNORED, label_smoothing=smoothing)


def summed(terms: Mapping[str, tuple[float, Float[Tensor, ""]]]) -> StepLoss:
    """Return the weighted sum of terms, each with its weight; parts are unweighted."""
    total = torch.stack([weight * value for weight, value in terms.values()]).sum()
    return StepLoss(total, {name: value.item() for name, (_, value) in terms.items()})
