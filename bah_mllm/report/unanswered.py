"""How items without an answer were judged, and how many there were: said beneath every table of results."""

from __future__ import annotations

from collections.abc import Mapping

from bah_mllm.core.records import Unanswered

__all__ = ["unanswered_line"]

_HOW = {
    Unanswered.LEAVE_OUT: "left out",
    Unanswered.NEGATIVE: "counted as negative (p = 0)",
    Unanswered.WRONG: "counted as wrong (p = 1 - label)",
}


def unanswered_line(unanswered: Unanswered, n_of_line: Mapping[str, int]) -> str:
    """Return a sentence on the items without an answer.

    Args:
        unanswered: How they were judged.
        n_of_line: Name of a line of the table to how many there are in it.

    >>> unanswered_line(Unanswered.WRONG, {"#1": 0, "#2": 3})
    'items without an answer (missing, unparsed, failed) are counted as wrong (p = 1 - label): 3 of #2'
    >>> unanswered_line(Unanswered.LEAVE_OUT, {"#1": 0})
    'items without an answer (missing, unparsed, failed) are left out: none'
    """
    some = [f"{n:,} of {line}" for line, n in n_of_line.items() if n]
    return f"items without an answer (missing, unparsed, failed) are {_HOW[unanswered]}: {', '.join(some) or 'none'}"
