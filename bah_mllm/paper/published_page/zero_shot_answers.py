"""What the zero-shot rows answered: the confusion matrices behind them."""

from __future__ import annotations

from bah_mllm.paper.published_page.confusions import hard_metrics, recover, recovered_counts
from bah_mllm.paper.published_page.rows import prevalence, rows_of
from bah_mllm.paper.published_page.writing import percent, prose, section, table
from bah_mllm.report.numbers import figure

__all__ = ["zero_shot_answers"]


def zero_shot_answers() -> str:
    """Return the section on the confusion matrices behind the zero-shot rows."""
    rows = []
    for row in rows_of(19, 20, 21):
        f1, wf1 = row.metrics["f1"], row.metrics["wf1"]
        shares = recover(f1, wf1, prevalence(row.edition, row.level))
        c = recovered_counts(row)
        printed = [figure(f1), figure(wf1), percent(max(shares.tp + shares.fp, 0))]
        recall, false_alarms = c.tp / (c.fn + c.tp), c.fp / (c.tn + c.fp)
        rows.append(
            [
                row.source,
                row.name,
                *printed,
                percent(recall),
                percent(false_alarms),
                figure(hard_metrics(c)["macro_f1"]),
            ]
        )
    return section(
        "What the zero-shot rows answered (v1)",
        prose(
            """F1, weighted F1 and the share of positives leave exactly one confusion matrix: weighted F1 gives the F1
            of the negatives, and three equations give three unknown shares. So these rows can be read in full."""
        ),
        table(
            ["where", "system", "F1", "weighted F1", "answered positive", "recall", "false alarms", "macro F1"], rows
        ),
        prose(
            """**For users:** answers by chance, positive with probability q where a share p is positive, have an F1 of
            2pq / (p + q): more positive answers raise it whatever the videos show. Read F1 together with the share of
            positive answers; recall near the share of false alarms means that the answers hardly depend on A/H."""
        ),
    )
