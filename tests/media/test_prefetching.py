"""Working ahead in a thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from bah_mllm.media import prefetch


def n_prefetch_threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def test_items_arrive_in_order_and_the_thread_ends_with_them() -> None:
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([], 1)) == []
    assert n_prefetch_threads() == 0


def test_an_exception_arrives_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("third")

    ahead = prefetch(items(), 5)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(LookupError, match="third"):
        next(ahead)
    assert n_prefetch_threads() == 0


@pytest.mark.malformed
def test_an_iterable_that_cannot_be_started_raises_in_the_consumer() -> None:
    with pytest.raises(TypeError, match="iterable"):
        next(prefetch(5, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [1, 4])
def test_at_most_depth_items_are_made_ahead(depth: int) -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for k in itertools.count():
            made.append(k)
            yield k

    ahead = prefetch(items(), depth)
    assert next(ahead) == 0
    deadline = time.monotonic() + 60
    while len(made) < depth and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert len(made) == depth  # item 0 is with the consumer, which has not come back for more
    assert next(ahead) == 1
    ahead.close()


def test_stopping_early_ends_the_thread_and_closes_the_producer_in_it() -> None:
    closed_in: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed_in.append(threading.current_thread().name)

    for _ in range(20):
        for item in (ahead := prefetch(items(), 2)):
            if item == 3:
                break
        ahead.close()
    assert closed_in == ["prefetch"] * 20
    assert n_prefetch_threads() == 0


def test_nothing_runs_before_the_first_item_is_asked_for() -> None:
    started: list[bool] = []

    def items() -> Iterator[int]:
        started.append(True)
        yield 1

    ahead = prefetch(items(), 1)
    assert not started
    assert n_prefetch_threads() == 0
    assert next(ahead) == 1


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        prefetch([1], 0)
