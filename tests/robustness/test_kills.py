"""Killed at random moments, every command goes on to what an uninterrupted one leaves: nothing lost, nothing twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.robustness.conftest import Whole
from tests.robustness.worlds import WRITERS, World, call_silently

pytestmark = pytest.mark.slow

KILLS = {
    "run": 25,
    "cues": 15,
    "features": 20,
    "train-fusion": 25,
    "train-light": 15,
    "adapt": 20,
    "predict": 20,
    "transcribe": 20,
}
AT_MOST_S = 120.0


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.robustness.imported_before"])
    return context


class Killed:
    """A command that is started and killed, over and over, in folders of its own.

    Args:
        name: Of the command.
        world: Its inputs.
        folder: Where it writes.
        processes: What it is started with.
    """

    def __init__(self, name: str, world: World, folder: Path, processes: ForkServerContext) -> None:
        self.writer, self.world, self.folder, self._processes = WRITERS[name], world, folder, processes
        self.counts: Counter[str] = Counter()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Go on in an empty folder."""
        self.counts["folders"] += 1
        self.place = self.folder / str(self.counts["folders"])
        self.place.mkdir()
        self._kept: set[object] = set()

    @property
    def out(self) -> Path:
        return self.place / "out"

    def start(self) -> BaseProcess:
        arguments = self.writer.arguments(self.world, self.out)
        log = self.folder / f"{self.place.name}.log"
        process = self._processes.Process(target=call_silently, args=(arguments, self.place / "cache", log))
        process.start()
        return process

    def check_kept(self) -> None:
        """Nothing that was there before is gone."""
        now = set(self.writer.kept(self.out))
        assert now >= self._kept, "work was lost"
        self._kept = now

    def check_whole(self, expected: Whole) -> None:
        """All is there, and as without a kill."""
        self.check_kept()
        assert self.writer.results(self.out) == expected.results
        left = [path.name for path in self.place.rglob("*.tmp")]
        assert not left, "beginnings of files were left behind"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "n_kills"), KILLS.items(), ids=list(KILLS))
def test_a_killed_command_goes_on_to_what_an_uninterrupted_one_leaves(
    name: str,
    n_kills: int,
    world: World,
    whole: Callable[[str], Whole],
    tmp_path: Path,
    processes: ForkServerContext,
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected, killed, draw = whole(name), Killed(name, world, tmp_path, processes), random.Random(name)
    for _ in range(2):  # the first one also waits for the process that all are forked from
        started = time.monotonic()
        finish(killed)
        duration_s = time.monotonic() - started
        killed.check_whole(expected)
        killed.begin_anew()
    while killed.counts["kills"] < n_kills:
        process = killed.start()
        process.join(draw.uniform(0, duration_s))
        process.kill()
        process.join(AT_MOST_S)
        if process.exitcode == -signal.SIGKILL:
            killed.counts["kills"] += 1
            killed.check_kept()
            killed.counts["kills after which work was there"] += bool(WRITERS[name].kept(killed.out))
        else:
            assert process.exitcode == 0, (killed.folder / f"{killed.place.name}.log").read_text()
            killed.check_whole(expected)
            killed.begin_anew()
    finish(killed)
    killed.check_whole(expected)
    with capfd.disabled():
        found = ", ".join(f"{n} {what}" for what, n in killed.counts.items())
        print(f"\n{name}: {found}; {duration_s:.1f} s uninterrupted; nothing lost, nothing twice")  # noqa: T201


def finish(killed: Killed) -> None:
    """Let the command come to its end."""
    process = killed.start()
    process.join(AT_MOST_S)
    assert process.exitcode == 0, (killed.folder / f"{killed.place.name}.log").read_text()


def test_there_are_at_least_150_kills() -> None:
    assert sum(KILLS.values()) >= 150
