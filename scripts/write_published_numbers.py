"""Write the page on the published numbers: python scripts/write_published_numbers.py [--check].

bah_mllm/paper/PUBLISHED.md is computed from the tables beside it and the sizes of the splits; no result is typed
here. With --check nothing is written, and the exit code is 1 where the file on disk differs.
"""

from __future__ import annotations

import csv
import math
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bah_mllm.dataset.editions import published_sizes
from bah_mllm.evaluation.metrics import Confusion, ap, ap_bah
from bah_mllm.paper.published import published_results

PAPER = Path(__file__).resolve().parent.parent / "bah_mllm" / "paper"
TARGET = PAPER / "PUBLISHED.md"
TABLES = PAPER / "paper_tables"

PRINTED = 1e-4  # cells have four digits, some rounded and some cut off
WINDOWS_FRAMES = (24, 96, 300, 696, 2880)  # the shortest and longest of the ablation, and defaults of the public code
SEPARATED = 1.96  # standard errors: two-sided 5 % under a normal approximation


class Row(NamedTuple):
    """One row of a published table: where it stands, and its metrics by name."""

    edition: str
    level: str
    family: str
    source: str
    system: str
    metrics: Mapping[str, float]

    @property
    def name(self) -> str:
        """Return the system without what every zero-shot row shares."""
        return self.system.removeprefix("Video-LLaVA-7B ")


class Shares(NamedTuple):
    """A confusion matrix as shares of all items, which add up to 1."""

    tn: float
    fp: float
    fn: float
    tp: float


# --- input ------------------------------------------------------------------------------------------------------------


@cache
def published_rows() -> tuple[Row, ...]:
    """Return the published rows, zero-shot first, otherwise in the order of the file."""
    metrics: dict[tuple[str, str, str, str, str], dict[str, float]] = defaultdict(dict)
    for cell in published_results():
        metrics[cell.edition, cell.level, cell.family, cell.source, cell.system][cell.metric] = cell.value
    rows = [Row(*key, metrics=values) for key, values in metrics.items()]
    return tuple(sorted(rows, key=lambda row: row.family != "zero-shot"))


def rows_of(*tables: int) -> list[Row]:
    """Return the rows of these tables of the paper."""
    return [row for row in published_rows() if row.source in {f"Table {number}" for number in tables}]


def items_of(edition: str, level: str) -> tuple[int, int]:
    """Return how many items the test split has, and how many of them are positive."""
    size = published_sizes()[edition]["test"]
    if level == "video":
        return size.videos, size.videos_ah
    assert size.frames is not None
    assert size.frames_ah is not None
    return size.frames, size.frames_ah


def prevalence(edition: str, level: str) -> float:
    """Return the share of positives in the test split."""
    n, n_positive = items_of(edition, level)
    return n_positive / n


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a file in paper_tables, without its comments."""
    lines = (TABLES / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def statement(name: str) -> float:
    """Return a number that the paper gives in its text."""
    return next(float(row["value"]) for row in read_table("statements") if row["name"] == name)


# --- arithmetic -------------------------------------------------------------------------------------------------------


def hard_metrics(c: Confusion | Shares) -> dict[str, float]:
    """Return F1, weighted F1 and macro F1 of counts or of shares."""
    f1 = 2 * c.tp / (2 * c.tp + c.fp + c.fn)
    f1_negative = 2 * c.tn / (2 * c.tn + c.fp + c.fn) if c.tn else 0.0
    negative = (c.tn + c.fp) / sum(c)
    return {"f1": f1, "wf1": negative * f1_negative + (1 - negative) * f1, "macro_f1": (f1 + f1_negative) / 2}


def constants(edition: str, level: str) -> dict[str, dict[str, float]]:
    """Return the hard metrics of the two constant classifiers on the test split."""
    n, n_positive = items_of(edition, level)
    return {
        "all-negative": hard_metrics(Confusion(tn=n - n_positive, fp=0, fn=n_positive, tp=0)),
        "all-positive": hard_metrics(Confusion(tn=0, fp=n - n_positive, fn=0, tp=n_positive)),
    }


def is_printed_as(value: float, cell: float) -> bool:
    """Return whether a value, rounded or cut off at the fourth digit, is what the cell says."""
    return cell in {round(value, 4), math.floor(value * 1e4) / 1e4}


def recover(f1: float, wf1: float, positive: float) -> Shares:
    """Return the only confusion matrix that F1, weighted F1 and the prevalence leave.

    Weighted F1 gives the F1 of the negatives, g. With e the share of errors, e = 2 tp (1/f1 - 1) and
    tn = e g / (2 (1 - g)); tp + tn + e = 1 gives tp. A share below 0 means that no predictions have these numbers.
    """
    g = (wf1 - positive * f1) / (1 - positive)
    correct_negative = g / (2 * (1 - g))  # tn per error
    if f1 == 0:
        tp, errors = 0.0, 1 / (1 + correct_negative)
    else:
        tp = 1 / (1 + (1 / f1 - 1) * 2 * (1 + correct_negative))
        errors = 2 * tp * (1 / f1 - 1)
    fn = positive - tp
    return Shares(tn=1 - tp - errors, fp=errors - fn, fn=fn, tp=tp)


def possible_wf1(f1: float, positive: float) -> tuple[float, float]:
    """Return the lowest and highest weighted F1 that predictions with this F1 can have.

    At a given F1 the F1 of the negatives falls with tp. The least tp has no false positives, the most has no false
    negatives or no true negatives.
    """
    negative = 1 - positive

    def weighted(tp: float, errors: float) -> float:
        tn = 1 - tp - errors
        return negative * 2 * tn / (2 * tn + errors) + positive * f1 if tn > 0 else positive * f1

    if f1 == 0:
        return weighted(0.0, 1.0), weighted(0.0, positive)
    least, most = positive * f1 / (2 - f1), min(positive, f1 / (2 - f1))
    errors_per_tp = 2 * (1 / f1 - 1)
    return weighted(most, most * errors_per_tp), weighted(least, least * errors_per_tp)


def is_possible(f1: float, wf1: float, positive: float) -> bool:
    """Return whether any predictions have these two cells at this prevalence, allowing for the digits printed."""
    near = [value for value in (f1 - PRINTED, f1, f1 + PRINTED) if value >= 0]
    bounds = [possible_wf1(value, positive) for value in near]
    return min(low for low, _ in bounds) - PRINTED <= wf1 <= max(high for _, high in bounds) + PRINTED


def negatives_needed(wf1: float) -> float:
    """Return the least share of negatives that allows this weighted F1 at an F1 of 0.

    At best every negative is right: wf1 = s 2s / (1 + s), hence 2 s^2 - wf1 s - wf1 = 0.
    """
    return (wf1 + math.sqrt(wf1 * wf1 + 8 * wf1)) / 4


def possible_negatives(row: Row) -> tuple[float, float]:
    """Return the least and greatest share of negatives, in steps of 0.001, under which a row is possible."""
    f1, wf1 = row.metrics["f1"], row.metrics["wf1"]
    found = [k / 1000 for k in range(1, 1000) if is_possible(f1, wf1, 1 - k / 1000)]
    return found[0], found[-1]


def most_rows_possible(rows: Sequence[Mapping[str, float]]) -> tuple[float, int]:
    """Return the share of negatives, in steps of 0.001, under which most rows are possible, and how many are."""
    fits = [sum(is_possible(row["f1"], row["wf1"], 1 - k / 1000) for row in rows) for k in range(1, 1000)]
    return (1 + int(np.argmax(fits))) / 1000, max(fits)


def question_rule() -> Confusion:
    """Return the counts, on the test split, of "positive where most training videos of the question are"."""
    counts = {(row["split"], row["question"]): row for row in read_table("question_counts")}
    cells = [0, 0, 0, 0]  # tn, fp, fn, tp
    for (split, question), test in counts.items():
        if split != "test":
            continue
        train = counts["train", question]
        guess = int(int(train["videos_ah"]) / int(train["videos"]) > 0.5)
        n_positive = int(test["videos_ah"])
        cells[guess] += int(test["videos"]) - n_positive
        cells[2 + guess] += n_positive
    return Confusion(*cells)


class Padding(NamedTuple):
    """What a window length does to short videos: share of videos concerned, share of padded frames, two ways."""

    shorter: float
    padded: float
    padded_midpoints: float


def padding(window_frames: float, *, fps: float) -> Padding:
    """Return the padding of the histogram's videos, their durations spread evenly inside each bin."""
    bins = read_table("duration_histogram")
    start, stop, count = (np.array([float(row[name]) for row in bins]) for name in ("start_s", "stop_s", "count"))

    def shares(within: NDArray[np.float64]) -> tuple[float, float]:
        n_frames = (start[:, None] + (stop - start)[:, None] * within) * fps
        weight = count[:, None] / len(within)
        padded = np.maximum(window_frames - n_frames, 0)
        evaluated = (weight * (n_frames + padded)).sum()
        return float((weight * (padded > 0)).sum() / count.sum()), float((weight * padded).sum() / evaluated)

    shorter, padded = shares((np.arange(1000) + 0.5) / 1000)
    return Padding(shorter, padded, shares(np.array([0.5]))[1])


def influence(c: Confusion, metric: str) -> NDArray[np.float64]:
    """Return what one more item adds to a metric, shape (2 labels, 2 predictions)."""
    n, n_positive = sum(c), c.fn + c.tp
    values = hard_metrics(c)
    y, hard = np.array([[0, 0], [1, 1]]), np.array([[0, 1], [0, 1]])
    positive = (2 * y * hard - values["f1"] * (y + hard)) / (2 * c.tp + c.fp + c.fn)
    if metric == "f1":
        return np.asarray(positive, np.float64)
    f1_negative = 2 * values["macro_f1"] - values["f1"]
    negative = (2 * (1 - y) * (1 - hard) - f1_negative * (2 - y - hard)) / max(2 * c.tn + c.fp + c.fn, 1)
    class_f1 = np.where(y == 1, values["f1"], f1_negative)
    return np.asarray((n_positive * positive + (n - n_positive) * negative + class_f1 - values["wf1"]) / n, np.float64)


def standard_error(c: Confusion, metric: str) -> float:
    """Return the standard error of a metric if all items were independent (delta method)."""
    return float(np.sqrt((np.array(c).reshape(2, 2) * influence(c, metric) ** 2).sum()))


class Separation(NamedTuple):
    """A difference of two systems, and its standard error for errors as alike as can be and for unrelated ones."""

    difference: float
    alike: float
    unrelated: float

    @property
    def verdict(self) -> str:
        """Return what the two tables cells can tell about the difference."""
        size = abs(self.difference)
        if size < SEPARATED * self.alike:
            return "no, whatever the overlap"
        return "depends on the overlap" if size < SEPARATED * self.unrelated else "yes"


def separate(a: Confusion, b: Confusion, metric: str, *, items_per_decision: int = 1) -> Separation:
    """Return the difference of two systems on the same items, and how small its standard error can be.

    ``items_per_decision``: how many items one answer stands for; only answers are counted as independent.

    Which items both got right is not published. Most alike: the system with fewer positive answers in a class has them
    among those of the other, which makes the variance of the difference as small as the counts allow.
    """
    gap = influence(a, metric)[:, :, None] - influence(b, metric)[:, None, :]  # label, answer of a, answer of b
    joint, product = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    for label in (0, 1):
        of_a, of_b = np.array(a).reshape(2, 2)[label], np.array(b).reshape(2, 2)[label]
        both = min(of_a[1], of_b[1])
        joint[label] = [[of_a.sum() - of_a[1] - of_b[1] + both, of_b[1] - both], [of_a[1] - both, both]]
        product[label] = np.outer(of_a, of_b) / of_a.sum()
    variances = ((weight * gap**2).sum() * items_per_decision for weight in (joint, product))
    alike, unrelated = (float(np.sqrt(variance)) for variance in variances)
    return Separation(hard_metrics(a)[metric] - hard_metrics(b)[metric], alike, unrelated)


def recovered_counts(row: Row) -> Confusion:
    """Return a row's counts on the test split.

    Kept inside each class, so that the classes keep their sizes: a cell that is cut off may ask for -0.3 items.
    """
    n, n_positive = items_of(row.edition, row.level)
    shares = recover(row.metrics["f1"], row.metrics["wf1"], n_positive / n)
    tp = min(max(round(shares.tp * n), 0), n_positive)
    fp = min(max(round(shares.fp * n), 0), n - n_positive)
    return Confusion(tn=n - n_positive - fp, fp=fp, fn=n_positive - tp, tp=tp)


# --- Markdown ---------------------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """Return a paragraph in lines of at most 120 characters."""
    return textwrap.fill(" ".join(text.split()), width=120, break_long_words=False, break_on_hyphens=False)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def section(heading: str, *blocks: str) -> str:
    """Return a section: its heading, then its paragraphs and tables."""
    return "\n\n".join([f"## {heading}", *blocks])


def number(value: float) -> str:
    """Return a metric with four digits, as the paper prints it."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """Return a difference with its sign and four digits; never -0."""
    return f"{round(value, 4) + 0.0:+.4f}"


def percent(value: float) -> str:
    """Return a share with one digit."""
    return f"{100 * value:.1f} %"


def listed(names: Iterable[str]) -> str:
    """Return names with commas, or "none"."""
    return ", ".join(names) or "none"


# --- the page ---------------------------------------------------------------------------------------------------------


def introduction() -> str:
    """Return the title, what the page is about, and the two editions."""
    rows = []
    for edition, sizes in published_sizes().items():
        cells = []
        for level in ("video", "frame"):
            n, n_positive = items_of(edition, level)
            cells.append(f"{n_positive:,} of {n:,} ({percent(n_positive / n)})")
        sources = dict.fromkeys(row.source for row in published_rows() if row.edition == edition)
        numbers = sorted(int(source.split()[1]) for source in sources if source.startswith("Table "))
        where = f"Tables {', '.join(map(str, numbers))}" if numbers else listed(sources)
        rows.append([f"`{edition}`", str(sizes["test"].participants), *cells, where])
    return "\n\n".join(
        [
            "# What the published numbers say\nWritten by `python scripts/write_published_numbers.py` from "
            "`paper_results.csv`, `paper_tables/` and\n`bah_mllm/dataset/split_counts.csv`; do not edit by hand.",
            prose(
                """BAH has two editions with different test splits. The numbers of `v1` are from the paper
                (arXiv 2505.19328), those of `iclr2026` from the figures in its public repository. Every section says
                which edition it is about; numbers of different editions are not comparable. What is not published is
                named as unknown."""
            ),
            table(
                ["edition", "test participants", "test videos with A/H", "test frames with A/H", "numbers from"], rows
            ),
        ]
    )


def _ap_cases(n: int, n_positive: int) -> dict[str, tuple[NDArray[np.int8], NDArray[np.float64]]]:
    labels = np.r_[np.ones(n_positive, np.int8), np.zeros(n - n_positive, np.int8)]
    scores = {
        "every score 0": np.zeros(n),
        "every score .5": np.full(n, 0.5),
        "every score 1": np.ones(n),
        "perfect answers, 0 and 1": labels.astype(float),
        "perfect answers, .1 and .9": 0.1 + 0.8 * labels,
        "perfect ranking, .5001 and .5004": 0.5001 + 0.0003 * labels,
    }
    return {name: (labels, values) for name, values in scores.items()}


def average_precision() -> str:
    """Return the section on the paper's definition of average precision."""
    sets = [(edition, level) for edition in published_sizes() for level in ("frame", "video")]
    cases = [_ap_cases(*items_of(edition, level)) for edition, level in sets]
    rows = [
        [name, *(f"{number(ap(*case[name]))} / {number(ap_bah(*case[name]))}" for case in cases)] for name in cases[0]
    ]
    rows.insert(0, ["share of positives", *(number(prevalence(*which)) for which in sets)])
    frame = [row for row in published_rows() if row.level == "frame" and row.family == "supervised"]
    below = {
        edition: [
            sum(row.metrics["ap_bah"] < prevalence(edition, "frame") for row in frame if row.edition == edition),
            sum(row.edition == edition for row in frame),
        ]
        for edition in published_sizes()
    }
    count = " and ".join(f"{some} of {every} of `{edition}`" for edition, (some, every) in below.items())
    return section(
        "AP is zero for perfect answers (both editions)",
        prose(
            """The paper reads precision and recall at the thresholds 0, 0.001 ... 0.999, sets precision to 0 where
            nothing is predicted, and applies the trapezoid rule. Constant scores then give half the share of positives
            or 0, perfect answers .5 or 0, and a perfect ranking inside one step of the grid no more than a constant.
            Each cell: `ap` (the usual one) / `ap_bah` (the paper's), computed by `bah_mllm.evaluation.metrics` on as
            many items as the test split has."""
        ),
        table(["scores", *(f"{edition} {level}s" for edition, level in sets)], rows),
        prose(
            f"""Among the published frame-level rows of trained models {count} have an AP below the share of positives,
            which is what a ranking by chance has by the usual definition. By the paper's definition this tells nothing
            about the ranking. The video-level rows of trained models are left out: their labels differ (below)."""
        ),
        prose(
            """**For users:** never put `ap` of one work beside the paper's AP. Report `ap` and `auroc`; report
            `ap_bah` only for comparison, and not where `ap_bah_unreliable` is noted."""
        ),
    )


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
                ", ".join(f"{metric} {number(value)}" for metric, value in hard.items()),
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


def recovered_rows() -> str:
    """Return the section on the confusion matrices behind the zero-shot rows."""
    rows = []
    for row in rows_of(19, 20, 21):
        f1, wf1 = row.metrics["f1"], row.metrics["wf1"]
        shares = recover(f1, wf1, prevalence(row.edition, row.level))
        c = recovered_counts(row)
        printed = [number(f1), number(wf1), percent(max(shares.tp + shares.fp, 0))]
        recall, false_alarms = c.tp / (c.fn + c.tp), c.fp / (c.tn + c.fp)
        rows.append(
            [
                row.source,
                row.name,
                *printed,
                percent(recall),
                percent(false_alarms),
                number(hard_metrics(c)["macro_f1"]),
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


def _macro(row: Row) -> dict[str, float]:
    return {"macro_f1": hard_metrics(recovered_counts(row))["macro_f1"]}


def _beside(value: float, systems: Mapping[str, Mapping[str, float]], metric: str) -> list[str]:
    """Return the best system by a metric, and how many are above a value."""
    scores = {name: row[metric] for name, row in systems.items() if metric in row}
    if not scores:
        return ["not printed", "-"]
    best = max(scores, key=scores.__getitem__)
    return [f"{number(scores[best])} ({best})", f"{sum(score > value for score in scores.values())} of {len(scores)}"]


def question_prior() -> str:
    """Return the section on the question that was asked."""
    counts = {(row["split"], row["question"]): row for row in read_table("question_counts")}
    questions = sorted({question for _, question in counts})
    rows = [
        [
            split,
            *(f"{counts[split, question]['videos_ah']}/{counts[split, question]['videos']}" for question in questions),
        ]
        for split in ("train", "test")
    ]
    c = question_rule()
    rule = hard_metrics(c)
    zero_shot = {row.name: {**row.metrics, **_macro(row)} for row in rows_of(21)}
    trained = {f"{row.source}, {row.name}": row.metrics for row in rows_of(15, 16, 17)}
    better = [
        [
            metric,
            number(rule[metric]),
            *_beside(rule[metric], zero_shot, metric),
            *_beside(rule[metric], trained, metric),
        ]
        for metric in ("f1", "wf1", "macro_f1")
    ]
    constant = {
        match.row.name: f" (equals {match.constant})" for match in constant_matches() if match.row in rows_of(21)
    }
    above_in_f1 = [name + constant.get(name, "") for name, row in zero_shot.items() if row["f1"] > rule["f1"]]
    return section(
        "The question asked beats the published video-level rows (v1)",
        prose(
            f"""Each video answers one of seven questions, and some bring out A/H far more often. The rule "positive
            where more than half of the training videos of the question are" looks at no video: on the test split
            tp = {c.tp}, fp = {c.fp}, fn = {c.fn}, tn = {c.tn}."""
        ),
        table(["videos with A/H", *(f"Q{question}" for question in questions)], rows),
        table(
            ["metric", "the rule", "best of Table 21", "rows above the rule", "best of Tables 15 to 17", "rows above"],
            better,
        ),
        prose(
            f"""Above the rule in F1: {listed(above_in_f1)}. Macro F1 of Table 21 is recovered as in the section before.
            Tables 15 to 17 are judged on other labels (below) and stand here for completeness."""
        ),
        prose(
            """**For users:** a system that hears or reads the answer can tell which question it answers. Compare with
            the `question-prior` anchor, and within questions, before saying that A/H is recognised."""
        ),
    )


def _padding_rows(positive: float, *, fps: float) -> list[list[str]]:
    rows = []
    for window in WINDOWS_FRAMES:
        p = padding(window, fps=fps)
        left = positive * (1 - p.padded)
        wf1 = hard_metrics(Shares(tn=1 - left, fp=0, fn=left, tp=0))["wf1"]
        shares = [percent(share) for share in (p.shorter, p.padded, p.padded_midpoints, left)]
        rows.append([str(window), *shares, number(wf1)])
    return rows


def padded_frames() -> str:
    """Return the section on padding."""
    total = published_sizes()["iclr2026"]
    n_videos = sum(size.videos for size in total.values())
    n_counted = round(sum(float(row["count"]) for row in read_table("duration_histogram")))
    frames = sum(size.frames or 0 for size in total.values())
    hours = sum(size.hours or 0 for size in total.values())
    fps = round(frames / hours / 3600)
    positive = prevalence("v1", "frame")
    reached = statement("highest_wf1_of_window_ablation")
    needed = 1 - (1 - negatives_needed(reached)) / positive
    window = next(w for w in range(24, 2881, 24) if padding(w, fps=fps).padded >= needed)
    return section(
        "Padded frames are counted (v1; durations of iclr2026)",
        prose(
            f"""The public data loader pads videos that are shorter than the window by repeating the last frame and its
            label, and no public code masks the padding in the metrics (the loop that ran BAH is not public; that of the
            project it stems from judges padding like real frames). How much that is follows from the durations of the
            videos: the chart adds up to {n_counted:,}, {n_counted / n_videos:g} times the {n_videos:,} videos, so that
            it counts each video twice and its shares hold; {frames:,} frames in {hours:.2f} h are {fps} per second."""
        ),
        prose(
            f"""The last columns take the test split's {percent(positive)} of positive frames and padding without A/H,
            which is an assumption: the labels of the last frames are not in the tables."""
        ),
        table(
            [
                "window (frames)",
                "videos shorter",
                "padded among evaluated",
                "same, bin centres",
                "positives left",
                "weighted F1 of all-negative",
            ],
            _padding_rows(positive, fps=fps),
        ),
        prose(
            f"""Without padding all-negative has {number(constants("v1", "frame")["all-negative"]["wf1"])}. The paper
            finds that weighted F1 grows with the window, to more than {reached:g} (appendix E.1). All-negative alone
            gets there with {percent(needed)} of negative padding, which is reached at a window of {window} frames."""
        ),
        prose(
            """**For users:** do not read a weighted F1 that grows with the window as a gain from context. bah-mllm
            never judges frames beyond the last labelled one, and counts them."""
        ),
    )


def label_sets() -> str:
    """Return the section on the labels of the video-level tables."""
    lines, ranges = [], []
    for row in rows_of(15, 16, 17):
        f1, wf1 = row.metrics["f1"], row.metrics["wf1"]
        low, high = possible_wf1(f1, prevalence("v1", "video"))
        least, most = possible_negatives(row)
        ranges.append((least, most))
        fits = is_possible(f1, wf1, prevalence("v1", "video"))
        cells = [row.source, row.name, number(f1), number(wf1), f"{number(low)} to {number(high)}"]
        lines.append([*cells, "yes" if fits else "**no**", f"{percent(least)} to {percent(most)}"])
    n_impossible = sum(line[5] != "yes" for line in lines)
    control = []
    for tables in ((5, 6, 7), (15, 16, 17), (19, 20), (21,)):
        rows = rows_of(*tables)
        wrong = sum(not is_possible(r.metrics["f1"], r.metrics["wf1"], prevalence(r.edition, r.level)) for r in rows)
        control.append([f"Table {', '.join(map(str, tables))}", f"{rows[0].level}s", str(len(rows)), str(wrong)])
    zero = sorted({row.metrics["wf1"] for row in rows_of(15, 16, 17) if row.metrics["f1"] == 0})
    solved = "; ".join(f"{number(wf1)} needs {percent(negatives_needed(wf1))}" for wf1 in zero)
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
        F1, {number(value)}. All-negative has s / (1 + s), so it has this value at {percent(s)} of negatives; the test
        split has {percent(1 - prevalence("iclr2026", "video"))}, where all-negative has
        {number(constants("iclr2026", "video")["all-negative"]["macro_f1"])}. The AP of {lowest.name} is
        {number(lowest.metrics["ap_bah"])}; constant scores on such labels give half of the positives,
        {number((1 - s) / 2)}. This suggests constants on other labels, and proves nothing."""
    )


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
            cell = [f"Table {name[5:7]} {metric}", column, str(len(values)), number(mean), number(same)]
            lines.append([*cell, number(swapped) if column in other else "-"])
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
            fit Table 22 only when the two are exchanged: the six differences add up to {number(sums["as printed"])} as
            printed and to {number(sums["swapped"])} exchanged. Cells that are not legible in the PDF's text are left
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


def _noise_of_videos() -> list[list[str]]:
    systems = {row.name: recovered_counts(row) for row in rows_of(21)} | {"question rule": question_rule()}
    lines = []
    for a, b in combinations(systems, 2):
        for metric in ("f1", "wf1"):
            s = separate(systems[a], systems[b], metric)
            if s.verdict != "yes":
                errors = f"{number(s.alike)} to {number(s.unrelated)}"
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
            errors = f"{number(s.alike)} to {number(s.unrelated)}"
            lines.append([names, f"{n_windows:,}", signed(s.difference), errors, s.verdict])
    return lines, len(pairs)


def noise() -> str:
    """Return the section on differences and their noise."""
    n_participants = published_sizes()["v1"]["test"].participants
    n_videos = items_of("v1", "video")[0]
    single = [
        [
            name,
            *(f"{number(hard_metrics(c)[metric])} +- {number(standard_error(c, metric))}" for metric in ("f1", "wf1")),
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


def page() -> str:
    """Return the whole page."""
    parts = (
        introduction(),
        average_precision(),
        constant_cells(),
        recovered_rows(),
        question_prior(),
        padded_frames(),
        label_sets(),
        swapped_columns(),
        noise(),
    )
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write the page, or compare it with the file on disk."""
    text = page()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("The page on the published numbers is out of date: run python scripts/write_published_numbers.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
