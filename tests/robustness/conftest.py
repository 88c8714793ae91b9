"""Inputs for every command that writes, and what each leaves where nothing interrupts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.robustness.worlds import WRITERS, World, call, make_world

pytest.importorskip("torch")
pytest.importorskip("mediapipe")
pytest.importorskip("skops")


class Whole(NamedTuple):
    """What an uninterrupted command left, how many bytes of files that was, and how long it took."""

    results: Any
    n_bytes: int
    seconds: float


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Whole]:
    found: dict[str, Whole] = {}

    def of(name: str) -> Whole:
        if name not in found:
            for _ in range(2):  # the first one also imports what it needs
                folder = Path(tmp_path_factory.mktemp(name))
                arguments = WRITERS[name].arguments(world, folder / "out")
                started = time.perf_counter()
                assert call(arguments, folder / "cache") == 0
                seconds = time.perf_counter() - started
            n_bytes = sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())
            found[name] = Whole(WRITERS[name].results(folder / "out"), n_bytes, seconds)
        return found[name]

    return of
