"""Two columns of the adaptation tables that stand under each other's name."""

from __future__ import annotations

from bah_mllm.paper.published import read_table, statement
from bah_mllm.paper.published_page.rows import rows_of
from bah_mllm.paper.published_page.writing import prose, section, table
from bah_mllm.report.numbers import figure

__all__ = ["swapped_columns"]


def swapped_columns() -> str:
    """Return the section on the swapped columns of the adaptation tables."""
    published = {row.system: row.metrics for row in rows_of(22)}
    lines, sums = [], {"as printed": 0.0, "swapped": 0.0}
    other = {"shot": "nrc", "nrc": "shot"}
    for metric, name in (("f1", "table24_f1"), ("wf1", "table25_wf1"), ("ap_bah", "table26_ap")):
        cells = read_table(name)
        for column in ("source_only", "mmd", "sub_based", "shot", "nrc", "oracle"):
            values = [float(row[column]) for row in cells if row[column]]
            mean = sum(values) / len(values)
            same, swapped = published[column][metric], published[other.get(column, column)][metric]
            if column in other:
                sums["as printed"] += abs(mean - same)
                sums["swapped"] += abs(mean - swapped)
            cell = [f"Table {name[5:7]} {metric}", column, str(len(values)), figure(mean), figure(same)]
            lines.append([*cell, figure(swapped) if column in other else "-"])
    ages = {row["participant"]: row["age_group"] for row in read_table("age_groups")}
    f1 = read_table("table24_f1")
    checks = []
    for method, group in (("nrc", "55-64"), ("nrc", "45-54"), ("shot", "45-54")):
        members = [row for row in f1 if ages[row["participant"]] == group and row[method]]
        means = [sum(float(row[column]) for row in members) / len(members) for column in (method, other[method])]
        says = statement(f"mean_f1_{method}_{group}")
        checks.append([f"{method}, {group}", str(len(members)), f"{says:.3f}", *(f"{mean:.3f}" for mean in means)])
    return section(
        "Tables 24 to 26: SHOT stands under NRC, and NRC under SHOT (v1)",
        prose(
            f"""Table 22 gives the means of the columns of Tables 24 to 26. The means of the columns headed SHOT and NRC
            fit Table 22 only when the two are exchanged: the six differences add up to {figure(sums["as printed"])} as
            printed and to {figure(sums["swapped"])} exchanged. Cells that are not legible in the PDF's text are left
            out, which moves some means in the third digit."""
        ),
        table(["where", "column as printed", "cells", "mean", "Table 22, same name", "Table 22, other name"], lines),
        prose(
            """The age groups in the text of appendix E.3.3 follow the names of Table 22, too, so that the headings of
            Tables 24 to 26 are the ones to exchange:"""
        ),
        table(["method, age", "participants", "text", "column of that name", "other column"], checks),
        prose(
            """**For users:** exchange the columns SHOT and NRC of Tables 24 to 26 before comparing participants. The
            files in `paper_tables/` keep them as printed."""
        ),
    )
