"""Tables as text of files, read back by other readers."""

from __future__ import annotations

import csv
import io

import pytest

from bah_mllm.report.markup import Table

TABLE = Table(
    ["system", "segment F1\nIoU 0.3", "paper, F1"],
    [["a|b@hf:x_y", "0.5000 ± 0.1000", 'the "best", so far'], ["50 % {#1}", "-", "~\\^"]],
)


def test_markdown_has_a_line_a_row_and_bars_in_cells_are_no_borders():
    assert TABLE.to_markdown().split("\n") == [
        "| system | segment F1 IoU 0.3 | paper, F1 |",
        "|---|---|---|",
        '| a\\|b@hf:x_y | 0.5000 ± 0.1000 | the "best", so far |',
        "| 50 % {#1} | - | ~\\^ |",
    ]


def test_csv_is_read_back_by_pythons_reader():
    head, *rows = csv.reader(io.StringIO(TABLE.to_csv()))
    assert head == ["system", "segment F1 IoU 0.3", "paper, F1"]
    assert rows == [list(row) for row in TABLE.rows]


def test_latex_escapes_every_sign_that_means_something_to_it():
    assert TABLE.to_latex().split("\n") == [
        r"\begin{tabular}{lrr}",
        r"\hline",
        r"system & segment F1 IoU 0.3 & paper, F1 \\",
        r"\hline",
        r'a|b@hf:x\_y & 0.5000 $\pm$ 0.1000 & the "best", so far \\',
        r"50 \% \{\#1\} & - & \textasciitilde{}\textbackslash{}\textasciicircum{} \\",
        r"\hline",
        r"\end{tabular}",
        "",
    ]


def test_a_table_without_rows_is_its_head():
    empty = Table(["a", "b"], [])
    assert empty.to_markdown() == "| a | b |\n|---|---|"
    assert empty.to_csv() == "a,b\n"


def test_a_row_that_fits_no_heading_is_a_mistake():
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        Table(["a", "b"], [["1", "2"], ["1"]])
