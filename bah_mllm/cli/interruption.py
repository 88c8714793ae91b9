"""Ctrl-C, and the signals by which batch systems and closed terminals end a command: all save what is done."""

from __future__ import annotations

import signal
import sys
from threading import current_thread, main_thread
from types import FrameType

from bah_mllm.core.saying import say

__all__ = ["catch_signals", "tell_interrupted"]

_AS_CTRL_C = (signal.SIGTERM, signal.SIGHUP)  # Slurm's preemption and time limit, `kill`; a terminal that is gone
_AGAIN_AFTER_S = 0.05

_ended_by = signal.SIGINT


def catch_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does; one that is ignored (nohup) stays ignored."""
    sys.unraisablehook = _interrupt_again
    for number in _AS_CTRL_C:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as handlers are called
    global _ended_by  # noqa: PLW0603 - a signal is one of the process
    _ended_by = signal.Signals(number)
    for again in _AS_CTRL_C:  # a second one would cut short what the first lets be saved
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Interrupt once more what went on: in a ``__del__``, while packages are loaded, the first one got lost."""
    if not issubclass(lost.exc_type, KeyboardInterrupt) or current_thread() is not main_thread():
        sys.__unraisablehook__(lost)
        return
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_AFTER_S)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as handlers are called
    raise KeyboardInterrupt


def tell_interrupted() -> int:
    """Say that the command was interrupted, and return its exit code: 128 and the number of the signal."""
    by = "" if _ended_by is signal.SIGINT else f" by {_ended_by.name}"
    say(f"interrupted{by}: what is done is saved; the same command goes on from there.")
    return 128 + _ended_by
