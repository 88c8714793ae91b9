"""A table as text of a file: Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table"]

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and rows of cells, as they are to be read.

    Args:
        headings: One a column; line breaks are for the terminal, and become spaces.
        rows: One cell a column in each.

    Raises:
        ValueError: A row has another number of cells than there are headings.

    >>> print(Table(["system", "F1"], [["all-positive", "0.5714"]]).to_markdown())
    | system | F1 |
    |---|---|
    | all-positive | 0.5714 |
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"{len(row)} cells under {len(self.headings)} headings: {row}")

    def to_markdown(self) -> str:
        """Return lines without a last line break; a bar inside a cell is no border."""
        lines = [_in_bars(_flat(line)) for line in (self.headings, *self.rows)]
        return "\n".join([lines[0], "|" + "---|" * len(self.headings), *lines[1:]])

    def to_csv(self) -> str:
        """Return lines that end in a line feed, quoted where needed."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_flat(line) for line in (self.headings, *self.rows))
        return text.getvalue()

    def to_latex(self) -> str:
        """Return a ``tabular`` environment, the first column to the left, the others to the right."""
        columns = "l" + "r" * (len(self.headings) - 1)
        head, *body = (" & ".join(map(_escaped, _flat(line))) + r" \\" for line in (self.headings, *self.rows))
        inner = [r"\hline", head, r"\hline", *body, r"\hline"]
        return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *inner, r"\end{tabular}"]) + "\n"


def _flat(cells: Sequence[str]) -> list[str]:
    return [" ".join(cell.split("\n")) for cell in cells]


def _in_bars(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _escaped(cell: str) -> str:
    return re.sub(r"[\\~^±&%$#_{}]", lambda found: _LATEX[found.group()], cell)
