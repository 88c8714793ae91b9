"""Differences that the tables cannot tell from noise."""

from __future__ import annotations

from itertools import combinations

from bah_mllm.dataset.editions import published_sizes
from bah_mllm.paper.published_page.confusions import hard_metrics, recovered_counts
from bah_mllm.paper.published_page.question_prior import question_rule
from bah_mllm.paper.published_page.rows import items_of, rows_of
from bah_mllm.paper.published_page.separation import SEPARATED, separate, standard_error
from bah_mllm.paper.published_page.writing import prose, section, signed, table
from bah_mllm.report.numbers import figure

__all__ = ["noise"]


def _noise_of_videos() -> list[list[str]]:
    systems = {row.name: recovered_counts(row) for row in rows_of(21)} | {"question rule": question_rule()}
    lines = []
    for a, b in combinations(systems, 2):
        for metric in ("f1", "wf1"):
            s = separate(systems[a], systems[b], metric)
            if s.verdict != "yes":
                errors = f"{figure(s.alike)} to {figure(s.unrelated)}"
                lines.append([f"{a} - {b}", metric, signed(s.difference), errors, s.verdict])
    return lines


def _noise_of_frames() -> tuple[list[list[str]], int]:
    """Return the pairs of Tables 19 and 20 that are not clearly separated, and how many pairs there are."""
    rows = rows_of(19, 20)
    pairs = list(combinations(rows, 2))
    lines = []
    for a, b in pairs:
        window = max(int(row.name.rpartition(" ")[2]) for row in (a, b))
        s = separate(recovered_counts(a), recovered_counts(b), "f1", items_per_decision=window)
        if s.verdict != "yes":
            names = " - ".join(row.name.replace(" window ", ", ") for row in (a, b))
            n_windows = items_of("v1", "frame")[0] // window
            errors = f"{figure(s.alike)} to {figure(s.unrelated)}"
            lines.append([names, f"{n_windows:,}", signed(s.difference), errors, s.verdict])
    return lines, len(pairs)


def noise() -> str:
    """Return the section on differences and their noise."""
    n_participants = published_sizes()["v1"]["test"].participants
    n_videos = items_of("v1", "video")[0]
    single = [
        [
            name,
            *(f"{figure(hard_metrics(c)[metric])} +- {figure(standard_error(c, metric))}" for metric in ("f1", "wf1")),
        ]
        for name, c in [(row.name, recovered_counts(row)) for row in rows_of(21)] + [("question rule", question_rule())]
    ]
    frames, n_pairs = _noise_of_frames()
    return section(
        "Differences that the tables cannot tell from noise (v1)",
        prose(
            f"""The published numbers have no intervals, and the right ones cannot be made from them: the test split has
            {n_participants} participants, and how alike the videos of a person are is not in the tables. The counts
            give one thing only: the standard error (delta method) as if the {n_videos} videos of Table 21 were
            independent. Read it as a lower bound: the videos of one person tend to be right or wrong together, which
            makes the true one larger."""
        ),
        table(["Table 21", "F1 +- standard error, at least", "weighted F1 +- standard error, at least"], single),
        prose(
            f"""For a difference the overlap of two systems' answers matters, which is not published. The range is from
            answers as alike as the counts allow to unrelated ones. Listed are the pairs of Table 21 and the question
            rule whose difference is below {SEPARATED} standard errors in one or both of these cases; all others are
            larger, were the videos independent. Nothing is corrected for the number of pairs."""
        ),
        table(["pair", "metric", "difference", "standard error, at least", "separated"], _noise_of_videos()),
        prose(
            f"""In Tables 19 and 20 one answer stands for all frames of a window. With windows counted as independent
            (the longer ones of a pair), though a video has many and a person more, {len(frames)} of {n_pairs} pairs
            are still not clearly separated in F1. Prompt and window in frames:"""
        ),
        table(["pair", "windows", "difference in F1", "standard error, at least", "separated"], frames),
        prose(
            """**For users:** the order of rows within these pairs is no finding. For runs of your own draw
            whole participants: `bah-mllm evaluate` gives intervals, `bah_mllm.evaluation.compare_rows` paired
            differences."""
        ),
    )
