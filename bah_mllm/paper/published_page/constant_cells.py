"""Cells that are constant classifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from bah_mllm.paper.published_page.confusions import constants, is_printed_as
from bah_mllm.paper.published_page.rows import Row, published_rows
from bah_mllm.paper.published_page.writing import prose, section, table
from bah_mllm.report.numbers import figure

__all__ = ["Match", "constant_cells", "constant_matches"]


class Match(NamedTuple):
    """A row whose hard metrics are those of a constant classifier, to the digit or nearly."""

    row: Row
    constant: str
    expected: Mapping[str, float]
    exact: bool


def constant_matches() -> list[Match]:
    """Return the rows whose every hard metric is that of a constant classifier, exactly or within .0005."""
    matches = []
    for row in published_rows():
        hard = {name: value for name, value in row.metrics.items() if name != "ap_bah"}
        for name, values in constants(row.edition, row.level).items():
            expected = {metric: values[metric] for metric in hard}
            if row.family == "adaptation":
                continue  # a mean over participants: no constant of the pooled frames to compare with
            exact = all(is_printed_as(expected[metric], value) for metric, value in hard.items())
            if exact or all(abs(expected[metric] - value) < 0.0005 for metric, value in hard.items()):
                matches.append(Match(row, name, expected, exact))
    return matches


def _place(row: Row) -> str:
    return f"{row.edition} {row.source}" if row.source.startswith("Table") else f"{row.edition} {row.level}, figure"


def constant_cells() -> str:
    """Return the section on rows that equal constant classifiers."""
    matches = constant_matches()
    rows = []
    for match in matches:
        hard = {metric: match.row.metrics[metric] for metric in match.expected}
        rows.append(
            [
                _place(match.row),
                match.row.name,
                ", ".join(f"{metric} {figure(value)}" for metric, value in hard.items()),
                match.constant,
                ", ".join(f"{metric} {value:.5f}" for metric, value in match.expected.items()),
                "to the digits printed" if match.exact else "within .0005",
            ]
        )
    places: dict[str, list[Row]] = defaultdict(list)
    for row in published_rows():
        if row.family != "adaptation":
            places[f"{_place(row)}, {row.family}"].append(row)
    counts = [
        [
            place,
            str(len(members)),
            *(str(sum(m.row in members and m.exact is exact for m in matches)) for exact in (True, False)),
        ]
        for place, members in places.items()
    ]
    return section(
        "Cells that are constant classifiers (both editions)",
        prose(
            """The counts of a split fix the F1, weighted F1 and macro F1 of "all negative" and "all positive": with P
            positives and N negatives, F1 is 0 or 2P / (2P + N), that of the negatives 2N / (2N + P) or 0. A row is
            listed when every hard metric that it prints is that of a constant, rounded or cut off at four digits. The
            figures of `iclr2026` print one number only, which can agree by chance. Table 22 and its figure are means
            over participants, and are left out."""
        ),
        table(["where", "system", "published", "equals", "computed from the counts", "how close"], rows),
        "Table by table:",
        table(["where", "rows", "equal to a constant", "within .0005 of one"], counts),
        prose(
            """**For users:** a row that equals a constant shows that the prompt gives one answer, and nothing about
            what the model sees. Compare with the constants first; `bah-mllm evaluate` prints them under every table."""
        ),
    )
