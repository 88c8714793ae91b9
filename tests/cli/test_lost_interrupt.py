"""An interrupt that comes where Python has to pass over exceptions comes again."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.usefixtures("interruptible")

PROGRAM = textwrap.dedent(
    """
    import os, sys, threading
    from bah_mllm.cli.interruption import catch_signals, tell_interrupted

    class Closing:
        def __del__(self):
            os.kill(os.getpid(), int(sys.argv[1]))
            sum(range(1000))

    catch_signals()
    try:
        closing = Closing()
        del closing
        threading.Event().wait(30)
    except KeyboardInterrupt:
        sys.exit(tell_interrupted())
    """
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_interrupt_lost_while_an_object_is_thrown_away_comes_again(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM, str(int(number))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr
    assert "the same command goes on" in done.stderr
