"""The page on the published numbers: up to date, and its figures by a second way."""

from __future__ import annotations

import importlib.util
import re
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bah_mllm.evaluation.metrics import Confusion
from bah_mllm.paper.published_page.confusions import constants, recovered_counts
from bah_mllm.paper.published_page.constant_cells import constant_matches
from bah_mllm.paper.published_page.padded_frames import padding
from bah_mllm.paper.published_page.possible_rows import is_possible, negatives_needed, possible_wf1
from bah_mllm.paper.published_page.question_prior import question_rule
from bah_mllm.paper.published_page.rows import rows_of
from bah_mllm.paper.published_page.separation import Separation, separate, standard_error

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "write_published_numbers.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_published_numbers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(script) -> str:
    return script.published_page()


def test_the_page_on_disk_is_up_to_date(script, page):
    assert script.TARGET.read_text(encoding="utf-8") == page


def test_check_fails_on_a_stale_page_and_leaves_it_alone(script, tmp_path, monkeypatch, capsys):
    stale = tmp_path / "PUBLISHED.md"
    stale.write_text("old", encoding="utf-8")
    monkeypatch.setattr(script, "TARGET", stale)
    monkeypatch.setattr(sys, "argv", ["write_published_numbers.py", "--check"])
    assert script.main() == 1
    assert "run python scripts/write_published_numbers.py" in capsys.readouterr().out
    assert stale.read_text(encoding="utf-8") == "old"
    monkeypatch.setattr(sys, "argv", ["write_published_numbers.py"])
    assert script.main() == 0
    monkeypatch.setattr(sys, "argv", ["write_published_numbers.py", "--check"])
    assert script.main() == 0


def test_every_section_names_its_edition_and_ends_with_what_it_means(page):
    sections = page.split("\n## ")[1:]
    assert len(sections) == 8
    for text in sections:
        assert re.search(r"v1|both editions", text.splitlines()[0])
        assert text.strip().split("\n\n")[-1].startswith("**For users:**")


def test_prose_stays_within_120_characters(page):
    assert not [line for line in page.splitlines() if len(line) > 120 and not line.startswith("|")]


# --- figures ----------------------------------------------------------------------------------------------------------


def _line(page: str, *starts: str) -> list[str]:
    """Return the cells of the only table line whose first cells are these."""
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in page.splitlines() if line[:1] == "|"]
    found = [cells for cells in lines if cells[: len(starts)] == list(starts)]
    assert len(found) == 1, found
    return found[0][len(starts) :]


def test_constant_scores_have_half_the_prevalence_by_the_definition_of_the_paper(page):
    shares = [Fraction(50664, 256744), Fraction(239, 392), Fraction(65756, 335110), Fraction(318, 525)]
    expected = [f"{float(share):.4f} / {float(share / 2):.4f}" for share in shares]
    assert _line(page, "every score .5") == expected
    assert _line(page, "every score 1") == [f"{float(share):.4f} / 0.0000" for share in shares]
    assert _line(page, "perfect answers, 0 and 1") == ["1.0000 / 0.0000"] * 4
    assert _line(page, "perfect answers, .1 and .9") == ["1.0000 / 0.5000"] * 4


def test_the_constants_come_from_the_counts_of_the_split():
    # 206,080 negatives of 256,744 frames; 153 of 392 videos.
    n, p = 206080, 50664
    frames = constants("v1", "frame")
    assert frames["all-negative"]["wf1"] == pytest.approx(n / (n + p) * 2 * n / (2 * n + p), abs=1e-12)
    assert frames["all-negative"]["macro_f1"] == pytest.approx(n / (2 * n + p), abs=1e-12)
    assert frames["all-positive"]["f1"] == pytest.approx(2 * p / (2 * p + n), abs=1e-12)
    assert constants("v1", "video")["all-positive"]["f1"] == pytest.approx(478 / 631, abs=1e-12)


def test_exactly_these_rows_are_constant_classifiers():
    found = {(m.row.edition, m.row.source, m.row.name, m.constant, m.exact) for m in constant_matches()}
    figure = "repository figure"
    assert found == {
        ("v1", "Table 19", "simple window 8", "all-negative", True),
        ("v1", "Table 19", "def2 window 8", "all-positive", False),
        ("v1", "Table 21", "simple", "all-negative", True),
        ("v1", "Table 21", "def2", "all-positive", True),
        ("iclr2026", figure, "def1", "all-negative", True),
        ("iclr2026", figure, "simple", "all-negative", True),
        ("iclr2026", figure, "def2", "all-positive", True),
    }


def test_the_question_rule_is_added_up_by_hand(page):
    # Questions 2, 3, 4 and 7 have a majority in training; question 5 has exactly half, hence none.
    expected = Confusion(tn=43 + 31 + 30, fp=17 + 21 + 4 + 7, fn=13 + 25 + 26, tp=39 + 35 + 52 + 49)
    assert question_rule() == expected
    f1, f1_negative = 350 / 463, 208 / 321
    assert _line(page, "f1")[0] == f"{f1:.4f}"
    assert _line(page, "wf1")[0] == f"{(239 * f1 + 153 * f1_negative) / 392:.4f}"
    assert _line(page, "macro_f1")[0] == f"{(f1 + f1_negative) / 2:.4f}"


@pytest.fixture(scope="module")
def every_outcome() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All 240 x 154 outcomes on 239 positive and 153 negative videos: (tp, fp), F1 and weighted F1."""
    counts = np.array(list(product(range(240), range(154))))
    tp, fp = counts.T
    fn, tn = 239 - tp, 153 - fp
    f1, f1_negative = 2 * tp / (2 * tp + fp + fn), 2 * tn / (2 * tn + fp + fn)
    return counts, f1, (239 * f1 + 153 * f1_negative) / 392


def test_rows_called_impossible_are_near_no_outcome_on_the_videos(every_outcome):
    _, f1, wf1 = every_outcome
    impossible = [
        row for row in rows_of(15, 16, 17) if not is_possible(row.metrics["f1"], row.metrics["wf1"], 239 / 392)
    ]
    assert len(impossible) == 20
    for row in impossible:
        nearest = np.maximum(abs(f1 - row.metrics["f1"]), abs(wf1 - row.metrics["wf1"])).min()
        assert nearest > 0.004, row  # forty times the last digit printed


def test_the_bounds_of_weighted_f1_hold_every_outcome_and_are_reached(every_outcome):
    counts, f1, wf1 = every_outcome
    bounds = np.array([possible_wf1(value, 239 / 392) for value in f1])
    assert (bounds[:, 0] <= wf1 + 1e-12).all()
    assert (wf1 <= bounds[:, 1] + 1e-12).all()
    tp, fp = counts.T
    lowest, highest = (tp > 0) & ((tp == 239) | (fp == 153)), fp == 0
    assert bounds[lowest, 0] == pytest.approx(wf1[lowest], abs=1e-12)
    assert bounds[highest, 1] == pytest.approx(wf1[highest], abs=1e-12)


def test_table_21_has_one_outcome_per_row_and_it_is_the_recovered_one(every_outcome):
    counts, f1, wf1 = every_outcome
    rows = rows_of(21)
    assert len(rows) == 5
    for row in rows:
        near = (abs(f1 - row.metrics["f1"]) <= 1e-4) & (abs(wf1 - row.metrics["wf1"]) <= 1e-4)
        recovered = recovered_counts(row)
        assert counts[near].tolist() == [[recovered.tp, recovered.fp]]


@pytest.mark.parametrize("wf1", [0.5620, 0.5628, 0.5949])
def test_the_share_of_negatives_solves_the_equation(page, wf1):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * middle**2 / (1 + middle) < wf1 else (low, middle)
    assert negatives_needed(wf1) == pytest.approx(low, abs=1e-12)
    assert f"{wf1:.4f} needs {100 * low:.1f} %" in page


def test_padding_agrees_with_a_sum_over_bin_centres():
    count = [244, 528, 584, 416, 306, 270, 148, 112, 74, 56, 54, 34, 14, 8, 6]
    frames = [24 * (3 + 6.2 * (k + 0.5)) for k in range(15)]
    for window in (300, 696, 2880):
        padded = sum(n * max(0, window - length) for n, length in zip(count, frames, strict=True))
        everything = sum(n * max(window, length) for n, length in zip(count, frames, strict=True))
        assert padding(window, fps=24).padded_midpoints == pytest.approx(padded / everything, abs=1e-9)
    # Every video is shorter than 2,880 frames, so that spreading the durations inside the bins changes nothing.
    assert padding(2880, fps=24).padded == pytest.approx(1 - np.average(frames, weights=count) / 2880, abs=1e-9)


def test_the_columns_of_tables_24_to_26_fit_table_22_only_when_exchanged(page):
    # Sums of the 54 printed F1 under "SHOT", 12.960, and of the 53 under "NRC", 13.178, added up outside the code.
    mean_shot, same, other = (float(cell) for cell in _line(page, "Table 24 f1", "shot", "54"))
    assert (mean_shot, same, other) == (0.2400, 0.2487, 0.2400)
    mean_nrc, same, other = (float(cell) for cell in _line(page, "Table 24 f1", "nrc", "53"))
    assert (mean_nrc, same, other) == (0.2486, 0.2400, 0.2487)
    # 55 to 64 years: P6, P24, P30 and P36; the text says .291 for NRC.
    assert _line(page, "nrc, 55-64") == [
        "4",
        "0.291",
        f"{(0.2392 + 0.3678 + 0.1352 + 0.1927) / 4:.3f}",
        f"{(0.1787 + 0.2704 + 0.2208 + 0.4956) / 4:.3f}",
    ]


# --- noise ------------------------------------------------------------------------------------------------------------


def _metric(cells: np.ndarray, metric: str) -> np.ndarray:
    """Return a metric of counts, shape (draws, 2 labels, 2 answers)."""
    tn, fp, fn, tp = cells.reshape(-1, 4).T
    f1, f1_negative = 2 * tp / (2 * tp + fp + fn), 2 * tn / np.maximum(2 * tn + fp + fn, 1)
    return f1 if metric == "f1" else ((fn + tp) * f1 + (tn + fp) * f1_negative) / cells[0].sum()


@pytest.mark.parametrize("metric", ["f1", "wf1"])
def test_standard_errors_agree_with_drawing_videos(metric):
    counts = Confusion(tn=99, fp=54, fn=73, tp=166)
    draws = np.random.default_rng(0).multinomial(392, np.array(counts) / 392, size=20_000)
    assert standard_error(counts, metric) == pytest.approx(_metric(draws, metric).std(), rel=0.03)


@pytest.mark.parametrize("metric", ["f1", "wf1"])
def test_the_least_standard_error_of_a_difference_agrees_with_drawing_nested_answers(metric):
    a, b = Confusion(tn=99, fp=54, fn=73, tp=166), Confusion(tn=104, fp=49, fn=64, tp=175)
    # label, answer of a, answer of b; a has 9 right positives fewer, and 5 false alarms more.
    joint = np.array([[[99, 0], [5, 49]], [[64, 9], [0, 166]]], float)
    draws = np.random.default_rng(1).multinomial(392, joint.ravel() / 392, size=20_000).reshape(-1, 2, 2, 2)
    differences = _metric(draws.sum(axis=3), metric) - _metric(draws.sum(axis=2), metric)
    separation = separate(a, b, metric)
    assert separation.alike == pytest.approx(differences.std(), rel=0.03)
    independent = standard_error(a, metric) ** 2 + standard_error(b, metric) ** 2
    assert separation.alike < separation.unrelated < independent**0.5 * 1.02


def test_verdicts_follow_the_two_standard_errors():
    assert Separation(0.10, alike=0.01, unrelated=0.02).verdict == "yes"
    assert Separation(-0.03, alike=0.01, unrelated=0.02).verdict == "depends on the overlap"
    assert Separation(0.01, alike=0.01, unrelated=0.02).verdict == "no, whatever the overlap"
