"""Work ahead in a thread, so that decoding and the model's computing overlap."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

__all__ = ["prefetch"]

_Item = TypeVar("_Item")


def prefetch(items: Iterable[_Item], depth: int) -> Generator[_Item]:
    """Yield the items, produced up to ``depth`` ahead in a thread of its own.

    The thread starts with the first item asked for and ends with the items, or when the consumer stops: closing the
    iterator (leaving a ``for`` loop early does) waits for the item in work, then closes a generator given as ``items``
    in the thread that ran it. An exception in ``items`` is raised in the consumer after the items before it.

    Args:
        items: Runs in the other thread from its first item on.
        depth: How many finished items may wait, at least 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, but got {depth}")
    return _prefetched(items, depth)


def _prefetched(items: Iterable[_Item], depth: int) -> Generator[_Item]:
    free_places = threading.Semaphore(depth)
    is_stopped = threading.Event()
    finished: SimpleQueue[tuple[_Item] | BaseException | None] = SimpleQueue()  # None ends it

    def produce() -> None:
        iterator: Iterator[_Item] = iter(())
        try:
            iterator = iter(items)
            while free_places.acquire() and not is_stopped.is_set():
                try:
                    finished.put((next(iterator),))
                except StopIteration:
                    break
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer
            finished.put(error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            finished.put(None)

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := finished.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
            free_places.release()
    finally:
        is_stopped.set()
        free_places.release()
        thread.join()
