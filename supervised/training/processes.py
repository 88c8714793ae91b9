"""Several processes on one training: which part of a batch is whose, and sums and means over all of them.

``accelerate launch`` (``torchrun`` on CPUs) starts them; without it there is one, and everything here is a no-op.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = ["Processes", "Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of every batch a process takes.

    Args:
        rank: 0 for the first process.
        world: How many processes there are.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls, device: str = "auto") -> Shard:
        """Return the part of this process, as ``accelerate launch`` started it."""
        return Processes.current(device).shard


@dataclass(frozen=True, slots=True, eq=False)
class Processes:
    """The processes that share a training, seen from one of them.

    Args:
        state: accelerate's ``PartialState``, which has no types.
    """

    state: Any

    @classmethod
    def current(cls, device: str) -> Processes:
        """Return the processes as they were started. The first call decides about the device for all others.

        Args:
            device: ``auto`` or ``cpu``.
        """
        from accelerate import PartialState

        return cls(PartialState(cpu=True) if device == "cpu" else PartialState())

    @property
    def shard(self) -> Shard:
        """The part of every batch that this process takes."""
        return Shard(int(self.state.process_index), int(self.state.num_processes))

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.state.device
        return device

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes and speaks."""
        return self.shard.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other."""
        return self.shard.world == 1

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.state.wait_for_everyone()

    def total(self, weight: float) -> float:
        """Return the sum of a number over all processes."""
        if self.is_alone:
            return weight
        from accelerate.utils import reduce

        return float(reduce(torch.tensor(weight, dtype=torch.float64, device=self.device), "sum").item())

    def totals(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return sums by name over all processes, of which one may have had no batch."""
        if self.is_alone:
            return dict(sums)
        from accelerate.utils import gather_object

        parts = gather_object([dict(sums)])
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}

    def add_gradients(self, trained: Sequence[nn.Parameter]) -> None:
        """Add up the gradients of all processes, those that a process does not have counting as zero."""
        if self.is_alone:
            return
        from accelerate.utils import reduce

        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained])
        flat = reduce(flat, "sum")
        for parameter, piece in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = piece.view_as(parameter).clone()

    def average_statistics(self, model: nn.Module) -> None:
        """Average running statistics over processes, so that all go on with the same ones."""
        if self.is_alone:
            return
        from accelerate.utils import reduce

        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(reduce(buffer.clone(), "mean"))

    def from_first(self, found: dict[str, float]) -> dict[str, float]:
        """Return what the first process found, in all of them."""
        if self.is_alone:
            return found
        from accelerate.utils import broadcast_object_list

        held = [found]
        broadcast_object_list(held)
        return held[0]
