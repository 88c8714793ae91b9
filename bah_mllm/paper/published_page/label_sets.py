"""Tables that are judged on other labels than their neighbours."""

from __future__ import annotations

from collections import defaultdict

from bah_mllm.paper.published_page.confusions import constants
from bah_mllm.paper.published_page.possible_rows import (
    is_possible,
    most_rows_possible,
    negatives_needed,
    possible_negatives,
    possible_wf1,
)
from bah_mllm.paper.published_page.rows import Row, prevalence, published_rows, rows_of
from bah_mllm.paper.published_page.writing import listed, percent, prose, section, table
from bah_mllm.report.numbers import figure

__all__ = ["label_sets"]


def label_sets() -> str:
    """Return the section on the labels of the video-level tables."""
    lines, ranges = [], []
    for row in rows_of(15, 16, 17):
        f1, wf1 = row.metrics["f1"], row.metrics["wf1"]
        low, high = possible_wf1(f1, prevalence("v1", "video"))
        least, most = possible_negatives(row)
        ranges.append((least, most))
        fits = is_possible(f1, wf1, prevalence("v1", "video"))
        cells = [row.source, row.name, figure(f1), figure(wf1), f"{figure(low)} to {figure(high)}"]
        lines.append([*cells, "yes" if fits else "**no**", f"{percent(least)} to {percent(most)}"])
    n_impossible = sum(line[5] != "yes" for line in lines)
    control = []
    for tables in ((5, 6, 7), (15, 16, 17), (19, 20), (21,)):
        rows = rows_of(*tables)
        wrong = sum(not is_possible(r.metrics["f1"], r.metrics["wf1"], prevalence(r.edition, r.level)) for r in rows)
        control.append([f"Table {', '.join(map(str, tables))}", f"{rows[0].level}s", str(len(rows)), str(wrong)])
    zero = sorted({row.metrics["wf1"] for row in rows_of(15, 16, 17) if row.metrics["f1"] == 0})
    solved = "; ".join(f"{figure(wf1)} needs {percent(negatives_needed(wf1))}" for wf1 in zero)
    floor, ceiling = max(least for least, _ in ranges), min(most for _, most in ranges)
    common = (
        f"A share from {percent(floor)} to {percent(ceiling)} would allow all rows"
        if floor <= ceiling
        else f"As printed, one row needs at least {percent(floor)} of negatives and another allows at most "
        f"{percent(ceiling)}: no single set of labels fits all rows"
    )
    best, n_best = most_rows_possible([row.metrics for row in rows_of(15, 16, 17)])
    return section(
        "Tables 15 to 17 are judged on other labels than Table 21 (v1)",
        prose(
            f"""With an F1 of 0 no positive is found, and weighted F1 is at most s x 2s / (1 + s), where s is the share
            of negatives. Solved for s: {solved}. The test split has {percent(1 - prevalence("v1", "video"))}. An F1
            above 0 bounds weighted F1 from both sides in the same way; {n_impossible} of {len(lines)} rows are outside
            what any predictions can have on the test split."""
        ),
        table(
            ["where", "system", "F1", "weighted F1", "possible at this F1", "possible", "negatives it allows"], lines
        ),
        prose(
            f"""{common}; {percent(best)} fits most, {n_best} of {len(lines)}. The same check on the other tables, as a
            control:"""
        ),
        table(["where", "items", "rows", "impossible rows"], control),
        _iclr_label_sets(),
        prose(
            """**For users:** do not compare Table 21, or any result on the released video labels, with Tables 15 to 17,
            nor the trained with the zero-shot rows of the second edition at video level. Which labels were used there
            is not published. Print the share of positives beside every row."""
        ),
    )


def _iclr_label_sets() -> str:
    repeated: dict[float, list[Row]] = defaultdict(list)
    for row in published_rows():
        if (row.edition, row.level, row.family) == ("iclr2026", "video", "supervised"):
            repeated[row.metrics["macro_f1"]].append(row)
    value, rows = max(repeated.items(), key=lambda item: len(item[1]))
    s = value / (1 - value)  # all-negative: macro F1 = s / (1 + s)
    lowest = min(rows, key=lambda row: row.metrics["ap_bah"])
    return prose(
        f"""In `iclr2026` {len(rows)} trained video-level systems ({listed(row.name for row in rows)}) share one macro
        F1, {figure(value)}. All-negative has s / (1 + s), so it has this value at {percent(s)} of negatives; the test
        split has {percent(1 - prevalence("iclr2026", "video"))}, where all-negative has
        {figure(constants("iclr2026", "video")["all-negative"]["macro_f1"])}. The AP of {lowest.name} is
        {figure(lowest.metrics["ap_bah"])}; constant scores on such labels give half of the positives,
        {figure((1 - s) / 2)}. This suggests constants on other labels, and proves nothing."""
    )
