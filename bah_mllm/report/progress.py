"""What a long run shows on stderr while it works, and where its time went."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

from bah_mllm.core.saying import say

if TYPE_CHECKING:
    from rich.progress import Progress as _Bar

__all__ = ["Progress", "Stopwatch"]

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


class Progress:
    """How far long work is, on stderr: a bar with rate and remaining time on a terminal, lines or nothing elsewhere.

    What is said meanwhile appears above the bar, which goes when the work ends.

    Args:
        doing: What is done: ``looked at``.
        total: How many there are of what is counted.
        done: How many of them are done already.
        unit: What is counted: ``videos``.
        says_lines: Where stderr is no terminal, say after each step what the bar would show.
        is_quiet: Show and say nothing at all.
    """

    _shown: ClassVar[_Bar | None] = None

    def __init__(
        self,
        doing: str,
        *,
        total: int,
        done: int = 0,
        unit: str,
        says_lines: bool = False,
        is_quiet: bool = False,
    ) -> None:
        self._doing, self._unit, self._total, self._done = doing, unit, total, min(done, total)
        self._says_lines = says_lines and not is_quiet
        self._n_new = self._n_failed = 0
        self._started = perf_counter()
        self._bar: _Bar | None = None
        if sys.stderr.isatty() and not is_quiet:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as _Bar

            from bah_mllm.report.console import plain_console

            self._bar = _Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeRemainingColumn(),
                console=plain_console(is_stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(f"{doing} {unit}", total=total, completed=self._done, note="")

    def __enter__(self) -> Self:
        if Progress._shown is not None:  # work inside of other work: two bars would write over each other
            self._bar = None
        if self._bar is not None:
            Progress._shown = self._bar
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            Progress._shown = None

    def over(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield items and count each when the next one is asked for, with the bar shown until the last."""
        with self:
            for item in items:
                yield item
                self.advance()

    def advance(self, n: int = 1, *, n_failed: int = 0, note: str = "") -> None:
        """Count what is done.

        Args:
            n: How many more.
            n_failed: How many of these failed.
            note: What else there is to know at this point: the loss, say.
        """
        self._n_new, self._n_failed, self._done = self._n_new + n, self._n_failed + n_failed, self._done + n
        if self._bar is not None:
            rate = f"{self._n_new / max(perf_counter() - self._started, 1e-9):.2f} {self._unit}/s"
            failed = f"{self._n_failed:,} failed" if self._n_failed else ""
            self._bar.update(self._task, advance=n, note=", ".join(part for part in (rate, failed, note) if part))
        elif self._says_lines and n:
            say(f"{self._doing} {self._done:,} of {self._total:,} {self._unit}{f', {note}' if note else ''}")
