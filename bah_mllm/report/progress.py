"""What a long run shows on stderr while it works, and where its time went."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import Self, TypeVar

from bah_mllm.core.records import Status
from bah_mllm.predictions import PredictionRow

__all__ = ["LiveLine", "RunProgress", "Stopwatch"]

_Item = TypeVar("_Item")


class Stopwatch:
    """Seconds by what they were spent on.

    Attributes:
        seconds: Name to seconds so far.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def spent_on(self, name: str) -> Iterator[None]:
        """Count the time inside the block."""
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += perf_counter() - started  # type: ignore[assignment]

    def waiting(self, name: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items; count the time that getting each one takes."""
        iterator = iter(items)
        while True:
            with self.spent_on(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item


class LiveLine:
    """A line that is written over while work goes on; nothing where stderr is not a terminal."""

    _EVERY_S = 0.25

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._shown_at = 0.0

    def show(self, text: str) -> None:
        """Replace the line, at most four times a second."""
        now = perf_counter()
        if self._is_shown and now - self._shown_at >= self._EVERY_S:
            self._shown_at = now
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)  # noqa: T201

    def clear(self) -> None:
        """Leave an empty line behind."""
        if self._is_shown and self._shown_at:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201


class RunProgress:
    """A bar with rate and remaining time; nothing where stderr is not a terminal.

    Args:
        total: Rows of the whole run.
        done: Rows that are there already.
    """

    def __init__(self, *, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._started = perf_counter()
        self._n_new = 0
        self._n_failed = 0
        self._task = self._bar.add_task("predictions", total=total, completed=min(done, total), rate="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, rows: Sequence[PredictionRow]) -> None:
        """Count rows that are written."""
        self._n_new += len(rows)
        self._n_failed += sum(Status(row.status).is_failure for row in rows)
        rate = f"{self._n_new / (perf_counter() - self._started):.2f} rows/s"
        failed = f", {self._n_failed} failed" if self._n_failed else ""
        self._bar.update(self._task, advance=len(rows), rate=rate + failed)
