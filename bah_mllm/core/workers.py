"""Processes that work for this one, and end with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process, resource_tracker
from threading import Thread

from bah_mllm.core.errors import RunError

__all__ = ["worker_processes"]


@contextmanager
def worker_processes(
    n: int, start: Callable[..., None] | None = None, *arguments: object
) -> Iterator[ProcessPoolExecutor]:
    """Open fresh processes for the block: mediapipe, torch and their threads do not survive a fork.

    Signals (Ctrl-C, a batch system's SIGTERM) are for the process that started them. Where the block is left by one,
    workers are killed at once: they write files whole or not at all. After an error they end what they have in hand.

    Args:
        n: Processes, at least 1.
        start: Called once in each, with the arguments.
        arguments: Must go through pickle.

    Raises:
        RunError: A worker died.
    """
    _start_tracker()
    others = set(active_children())
    context = get_context("spawn")
    pool = ProcessPoolExecutor(n, mp_context=context, initializer=_start, initargs=(start, arguments))
    try:
        yield pool
    except BrokenProcessPool:
        raise RunError(
            "A worker process was killed, most likely for lack of memory.",
            remedy="Use fewer --workers; the same command goes on.",
        ) from None
    except BaseException as error:
        if not isinstance(error, Exception):
            for worker in set(active_children()) - others:
                worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_tracker() -> None:
    """Start the process in which Python keeps account of what processes share: a hangup is not for it either."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(start: Callable[..., None] | None, arguments: tuple[object, ...]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    if start is not None:
        start(*arguments)


def _end_with_parent() -> None:
    """End a worker whose parent was killed, or two processes would do the same work once the command goes on."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
