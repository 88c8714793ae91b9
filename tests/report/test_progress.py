"""Progress is a bar on a terminal, plain lines or nothing elsewhere, and never two bars at once."""

from __future__ import annotations

import io
import sys

import pytest

from bah_mllm.core.saying import say
from bah_mllm.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of stderr; called in a test, since pytest takes stderr back after fixtures."""
    monkeypatch.setenv("TERM", "xterm")
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def work(**settings: object) -> None:
    with Progress("looked at", total=4, unit="videos", **settings) as progress:  # type: ignore[arg-type]
        progress.advance(note="12 frames/s")
        progress.advance(2, n_failed=1)


def test_without_a_terminal_there_is_a_line_a_step_where_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    work(says_lines=True)
    assert capsys.readouterr().err == "looked at 1 of 4 videos, 12 frames/s\nlooked at 3 of 4 videos\n"
    work()
    work(says_lines=True, is_quiet=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_terminal_shows_a_bar_with_counts_notes_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    work(says_lines=True)
    shown = terminal.getvalue()
    assert "looked at videos" in shown
    assert "3/4" in shown
    assert "1 failed" in shown
    assert "of 4 videos" not in shown, "no lines beside the bar"


def test_what_was_done_before_counts_for_the_bar_but_not_for_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    with Progress("written", total=9, done=7, unit="rows") as progress:
        progress.advance()
    assert "8/9" in terminal.getvalue()


def test_a_quiet_piece_of_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    work(is_quiet=True)
    assert terminal.getvalue() == ""


def test_what_is_said_meanwhile_appears_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    with Progress("looked at", total=2, unit="videos") as progress:
        say("note: a.mp4 has no words")
        progress.advance()
    assert "note: a.mp4 has no words" in terminal.getvalue()


def test_work_inside_of_other_work_shows_the_outer_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    with Progress("adapted to", total=1, unit="targets") as outer:
        with Progress("trained", total=1, unit="epochs") as inner:
            inner.advance()
        outer.advance()
    assert "trained" not in terminal.getvalue()
    assert "1/1" in terminal.getvalue()
    work()
    assert "looked at" in terminal.getvalue(), "the next one is shown again"


def test_items_are_counted_as_they_are_gone_through(capsys: pytest.CaptureFixture[str]) -> None:
    seen = list(Progress("faces of", total=2, unit="videos", says_lines=True).over("ab"))
    assert seen == ["a", "b"]
    assert capsys.readouterr().err == "faces of 1 of 2 videos\nfaces of 2 of 2 videos\n"
