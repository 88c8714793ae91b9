"""Running jobs in batches, so that one bad window or a full memory costs as little as possible."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.errors import BahError
from bah_mllm.core.records import Answer, Status, WindowJob

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Batches", "describe_failure", "fill_in", "is_out_of_memory", "new_counters"]

_COUNTERS = (
    "vision_encodes",  # frames that went through the vision tower
    "vision_reused",  # frames whose features were at hand
    "prefix_prefills",  # windows whose shared prefix went through the language model
    "prompts_scored",
    "prompts_reused",  # prompts that were answered from memory
    "forward_passes",  # passes through the language model while scoring
    "tokens_fed",  # tokens in them, padding left out
    "tokens_generated",
    "batch_halvings",
)


def new_counters() -> dict[str, int]:
    """Return the counters of an engine, all 0. Every engine has all of them."""
    return dict.fromkeys(_COUNTERS, 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: torch's on any device, Python's, or our own.

    Told by name, so that nothing heavy is imported; on the CPU torch raises a plain RuntimeError.
    """
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def describe_failure(error: BaseException) -> str:
    """Return what went wrong without quoting what the model was asked: foreign messages may hold parts of a prompt."""
    if isinstance(error, BahError):
        return f"{type(error).__name__}: {error.problem}"
    return f"{type(error).__name__} at {_place(error.__traceback__)}"


def _place(traceback: TracebackType | None) -> str:
    """Where in this package, and where in the library below it."""
    places = []
    while traceback is not None:
        places.append((Path(traceback.tb_frame.f_code.co_filename), traceback.tb_lineno))
        traceback = traceback.tb_next
    ours = [place for place in places if place[0].parent == Path(__file__).parent]
    return " in ".join(f"{file.name}:{line}" for file, line in dict.fromkeys([*places[-1:], *ours[-1:]]))


class Batches:
    """Splits jobs into batches and keeps their failures apart.

    A batch that runs out of memory is done again in halves, and the smaller size is kept from then on. A batch that
    fails otherwise is done again window by window, so that only the culprit fails.

    Args:
        max_windows: Windows in a batch, at least 1.
        counters: ``batch_halvings`` is counted here.
    """

    def __init__(self, *, max_windows: int, counters: dict[str, int]) -> None:
        self.max_windows = max_windows
        self._counters = counters

    def run(
        self, jobs: Sequence[WindowJob], answer: Callable[[Sequence[WindowJob]], list[list[Answer]]]
    ) -> list[list[Answer]]:
        """Return the answers to all jobs, in their order.

        Args:
            jobs: Any number of windows.
            answer: Answers one batch; whatever it raises becomes answers with the status ``engine_error``.
        """
        answers: list[list[Answer]] = []
        while len(answers) < len(jobs):
            batch = jobs[len(answers) : len(answers) + self.max_windows]
            result = _attempt(batch, answer)
            if isinstance(result, list):
                answers += result
            elif len(batch) == 1:
                answers.append([Answer(failure=(Status.ENGINE_ERROR, result.reason))] * len(batch[0].prompts))
            elif result.is_out_of_memory:
                self._counters["batch_halvings"] += 1
                self.max_windows = len(batch) // 2
            else:
                for job in batch:
                    answers += self.run([job], answer)
        return answers


def fill_in(prepared: Sequence[Sequence[object]], answers: Iterable[Answer]) -> list[list[Answer]]:
    """Put answers in place of what was asked.

    Args:
        prepared: For each window and prompt, an answer that is known already (a failure), or what was asked.
        answers: To all that was asked, in order.
    """
    remaining = iter(answers)
    return [[item if isinstance(item, Answer) else next(remaining) for item in items] for items in prepared]


class _Failure:
    """What is kept of an exception: not its traceback, which would keep the tensors of the failed pass alive."""

    def __init__(self, error: Exception) -> None:
        self.is_out_of_memory = is_out_of_memory(error)
        self.reason = (
            f"{type(error).__name__}: one window does not fit into memory"
            if self.is_out_of_memory
            else describe_failure(error)
        )


def _attempt(
    batch: Sequence[WindowJob], answer: Callable[[Sequence[WindowJob]], list[list[Answer]]]
) -> list[list[Answer]] | _Failure:
    try:
        return answer(batch)
    except Exception as error:  # noqa: BLE001 - a model may raise anything; it becomes rows that say so
        failure = _Failure(error)
    if failure.is_out_of_memory:
        _free_memory()
    return failure


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
