"""Result tables for the terminal, readable at 100 columns and without colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bah_mllm.evaluation import Comparison, Evaluation, Result
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.numbers import UNDEFINED, above_interval, decimal, difference
from bah_mllm.report.unanswered import unanswered_line

__all__ = ["PublishedOf", "print_comparisons", "print_evaluation"]

PublishedOf = Callable[[Result], Mapping[str, float]]  # a line to the published values of the same cells, by metric

# The others (accuracy, Brier, ECE, negative F1) are in the JSON.
_COLUMNS = ("f1", "macro_f1", "wf1", "ap", "ap_bah", "auroc")


def print_evaluation(
    evaluation: Evaluation, *, console: Console, published: PublishedOf | None = None, header: str | None = None
) -> None:
    """Print systems, the anchors beneath them, and what a reader must know.

    Each metric shows its value, below it the 95 % interval, and below that in brackets the published value of
    the same cell where there is one.

    Args:
        evaluation: What ``evaluate_rows`` returned.
        console: Where to print.
        published: Published values of the cells of a line, beside ours; None leaves them out.
        header: First line, such as "demo set (synthetic); models are stand-ins".
    """
    if header:
        console.print(escape(header), style="bold", soft_wrap=True)
    if not evaluation.rows:
        console.print("Nothing was judged.")
        return
    first = evaluation.rows[0]
    split = f"split {first.identity.split}" if first.identity.split else "all videos"
    console.print(escape(f"{first.identity.level} level, {split}; positive where score > {first.threshold:g}"))
    table = Table(show_lines=False, pad_edge=False, collapse_padding=True)
    table.add_column("#", justify="right")
    table.add_column("system", overflow="fold", ratio=1, min_width=16)
    table.add_column("n\nm/u/f\npos", justify="right")
    for metric in _COLUMNS:
        table.add_column(HEADINGS[metric], justify="right", min_width=7)
    has_published = False
    for number, row in enumerate(evaluation.rows, start=1):
        beside = {} if published is None else published(row)
        has_published |= bool(beside)
        table.add_row(str(number), _name(row), _counts(row), *_cells(row, beside))
    _add_anchors(table, evaluation)
    console.print(table)
    for line in _legend(evaluation, has_published=has_published):
        console.print(escape(line), soft_wrap=False)


def print_comparisons(comparisons: Iterable[Comparison], *, console: Console) -> None:
    """Print paired differences: the value, its 95 % interval and the two-sided p-value below each other."""
    for comparison in comparisons:
        n = f"{comparison.n:,} items of {comparison.n_participants} participants"
        table = Table(title=escape(f"{comparison.system} minus {comparison.baseline} ({n})"), title_justify="left")
        for metric in _COLUMNS:
            table.add_column(HEADINGS[metric], justify="right")
        shown = [comparison.differences[metric] for metric in _COLUMNS]
        table.add_row(*(difference(one.value, one.bounds, one.p_value) for one in shown))
        console.print(table)


def _name(row: Result) -> str:
    window = f"window {row.identity.window_frames}, " if row.identity.window_frames is not None else ""
    mark = " (!)" if row.counts.is_collapsed else ""
    return escape(f"{row.identity.system}\n{window}{row.identity.aggregation}{mark}")


def _counts(row: Result) -> str:
    positive = UNDEFINED if row.counts.positive_rate is None else decimal(row.counts.positive_rate, 2)
    return f"{row.counts.n:,}\n{row.counts.n_missing}/{row.counts.n_unparsed}/{row.counts.n_failed}\n{positive}"


def _cells(row: Result, published: Mapping[str, float]) -> list[str]:
    cells = []
    for metric in _COLUMNS:
        beside = f"\n({decimal(published[metric], 3)})" if metric in published else ""
        cells.append(above_interval(row.metric(metric), row.metrics[metric].bounds) + beside)
    return cells


def _add_anchors(table: Table, evaluation: Evaluation) -> None:
    several = len({anchor.identity.item_set for anchor in evaluation.anchors}) > 1
    for index, anchor in enumerate(evaluation.anchors):
        if index == 0 or anchor.identity.item_set != evaluation.anchors[index - 1].identity.item_set:
            table.add_section()
        judged = [
            str(n)
            for n, row in enumerate(evaluation.rows, start=1)
            if row.identity.item_set == anchor.identity.item_set
        ]
        where = f"\non the items of #{', '.join(judged)}" if several else ""
        table.add_row("", escape(f"{anchor.identity.system}{where}"), f"{anchor.counts.n:,}", *_cells(anchor, {}))


def _legend(evaluation: Evaluation, *, has_published: bool) -> Sequence[str]:
    n_of_line = {f"#{n}": row.counts.n_unanswered for n, row in enumerate(evaluation.rows, start=1)}
    lines = [
        "m/u/f: missing, unparsed, failed; intervals: 95 %, participants drawn with replacement",
        unanswered_line(evaluation.unanswered, n_of_line),
        "pos: share of positive answers, which is how far a system agrees with saying yes to everything",
    ]
    shares = {
        (row.identity.item_set, row.counts.prevalence) for row in evaluation.rows if row.counts.prevalence is not None
    }
    if shares:
        lines.append("positive share of the labels: " + ", ".join(sorted({f"{share:.3f}" for _, share in shares})))
    if has_published:
        lines.append("(in brackets): the paper's value of this edition for the same prompt, window and level")
    if any(row.counts.is_collapsed for row in evaluation.rows):
        lines.append("(!): over 95 % of the answers agree; the system has probably collapsed")
    lines += [f"anchor {name} is left out: {reason}" for name, reason in evaluation.anchors_left_out.items()]
    lines += [f"note: {note}" for note in evaluation.notes]
    lines += [f"note on #{n}: {note}" for n, row in enumerate(evaluation.rows, start=1) for note in row.notes]
    return lines
