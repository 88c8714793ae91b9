"""Process time of some work: of all threads of this process, so that a busy machine does not count."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time

__all__ = ["process_seconds"]


def process_seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Return the median process time of some work in seconds, after one run that is not counted.

    Args:
        work: What to measure.
        repeats: Runs that are counted, at least 1.
    """
    work()
    times = []
    for _ in range(repeats):
        started = process_time()
        work()
        times.append(process_time() - started)
    return median(times)
