"""Every system against every other, in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bah_mllm.core.records import Unanswered
from bah_mllm.evaluation import ComparisonMatrix
from bah_mllm.evaluation.matrix import Pair
from bah_mllm.report.numbers import difference
from bah_mllm.report.unanswered import unanswered_line

__all__ = ["print_matrix"]

_N_IDS = 5


def print_matrix(matrix: ComparisonMatrix, *, console: Console, metric: str = "macro_f1") -> None:
    """Print the differences in one metric, how far hard labels agree, and the videos that changed most.

    Args:
        matrix: What ``compare_all`` returned.
        console: Where to print.
        metric: Whose differences.
    """
    for number, line in enumerate(matrix.lines, start=1):
        window = f", window {line.window_frames}" if line.window_frames is not None else ""
        console.print(escape(f"#{number} {line.system}{window}, {line.aggregation}"), soft_wrap=True)
    pairs = {(pair.first, pair.second): pair for pair in matrix.pairs}
    table = Table(title=escape(f"{metric}: row minus column"), title_justify="left")
    table.add_column("")
    for number in range(2, len(matrix.lines) + 1):
        table.add_column(f"#{number}", justify="right")
    for first in range(len(matrix.lines) - 1):
        cells = [
            _difference(pairs[first, second], metric) if second > first else ""
            for second in range(1, len(matrix.lines))
        ]
        table.add_row(f"#{first + 1}", *cells)
    console.print(table)
    both = "scored" if matrix.unanswered is Unanswered.LEAVE_OUT else "are judged on"
    console.print(f"with 95 % interval and two-sided p (Holm: allowing for all pairs), on the items that both {both}")
    n_of_line = {f"#{number}": line.n_unanswered for number, line in enumerate(matrix.lines, start=1)}
    console.print(unanswered_line(matrix.unanswered, n_of_line), soft_wrap=True, markup=False)
    for pair in matrix.pairs:
        _print_agreement(pair, console)


def _difference(pair: Pair, metric: str) -> str:
    found = pair.differences[metric]
    return difference(found.value, found.bounds, pair.p_holm[metric])


def _print_agreement(pair: Pair, console: Console) -> None:
    names = f"#{pair.first + 1} and #{pair.second + 1}"
    found = pair.agreement
    if found is None:
        console.print(f"{names}: no common items")
        return
    kappa = "undefined" if found.kappa is None else f"{found.kappa:.2f}"
    overlap = "no errors" if found.error_overlap is None else f"{100 * found.error_overlap:.0f} % of errors shared"
    console.print(
        f"{names}: {pair.n:,} items, {100 * found.share_equal:.0f} % equal labels, kappa {kappa}, {overlap}",
        soft_wrap=True,
    )
    if pair.changed:
        ids = ", ".join(f"{video.video_id} ({video.change:+.2f})" for video in pair.changed[:_N_IDS])
        console.print(escape(f"  changed most: {ids}"), soft_wrap=True)
