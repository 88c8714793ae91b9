"""The one door through which every model answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bah_mllm.core.records import Answer, WindowJob

__all__ = ["Capabilities", "Engine", "EngineFacts"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do.

    Args:
        sees_video: It takes the pixels of a clip; otherwise it reads text only.
        hears: It takes the sound of a clip.
        scores_labels: It returns log-probabilities of labels.
        generates: It returns replies.
        n_frames: How many frames it takes from a window; 0 for engines that see no video.
        frame_size_px: Height and width of the frames it takes; 0 for engines that see no video, and before loading
            where the checkpoint decides.
    """

    sees_video: bool
    scores_labels: bool
    generates: bool
    hears: bool = False
    n_frames: int = 0
    frame_size_px: int = 0


class EngineFacts(Protocol):
    """What planning needs to know of an engine, loaded or not.

    Attributes:
        name: The engine's name, as given to ``--engine``.
        model: Short name of the checkpoint; with the prompt and the engine it names the system.
        capabilities: What it can do.
    """

    name: str
    model: str
    capabilities: Capabilities

    def control_markers(self) -> Sequence[str]:
        """Return the special tokens and role markers that untrusted text must not contain."""
        ...


class Engine(EngineFacts, Protocol):
    """A loaded model.

    Attributes:
        counters: Running totals of the work done (``vision_encodes``, ``prefix_prefills``, ``tokens_fed``,
            ``forward_passes``, ``batch_halvings`` ...); only ever grow.
    """

    counters: dict[str, int]

    def describe(self) -> Mapping[str, object]:
        """Return what a stranger needs to run the same model again: checkpoint, revision, dtype, device, wrapper ..."""
        ...

    def score(self, jobs: Sequence[WindowJob]) -> list[list[Answer]]:
        """Return the log-probability of every label: one list per job, one answer per prompt, in their order.

        An input that cannot be answered gets an answer with ``failure``; the others are not affected. A batch that
        does not fit into memory is halved, down to one window, which then fails.
        """
        ...

    def generate(self, jobs: Sequence[WindowJob], *, max_new_tokens: int) -> list[list[Answer]]:
        """Return greedy replies, in the same shape as ``score``."""
        ...
