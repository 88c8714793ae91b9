"""Tables in the terminal: what a reader needs, within 100 columns, in plain ASCII cells."""

from __future__ import annotations

import io

from rich.console import Console

from bah_mllm.core.records import Level, Status, Unanswered
from bah_mllm.evaluation import Labels, VideoLabels, compare_rows, evaluate_rows
from bah_mllm.paper.published import published_beside
from bah_mllm.predictions import PredictionRow
from bah_mllm.report import print_comparisons, print_evaluation

SYSTEM = "transcript_def1@video-llava:LanguageBind/Video-LLaVA-7B-hf"


def make_labels() -> Labels:
    return Labels(
        tuple(
            VideoLabels(f"{split}{n}", f"{split}{n // 2}", question=n % 2 + 1, split=split, label=n % 2)
            for split in ("train", "test")
            for n in range(10)
        )
    )


def make_rows(system: str = SYSTEM, *, p: float | None = None) -> list[PredictionRow]:
    scored = [
        PredictionRow(
            system=system, video_id=f"test{n}", participant_id="", level=Level.VIDEO, p_positive=p or n / 10 + 0.05
        )
        for n in range(8)
    ]
    unparsed = PredictionRow(
        system=system, video_id="test8", participant_id="", level=Level.VIDEO, status=Status.UNPARSED
    )
    return [*scored, unparsed]


def printed(rows: list[PredictionRow], **options: object) -> str:
    evaluation = evaluate_rows(rows, make_labels(), level="video", split="test", n_draws=50)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_evaluation(evaluation, console=console, **options)
    return console.file.getvalue()


def test_a_table_fits_100_columns_and_shows_values_intervals_and_counts():
    text = printed(make_rows(), published=published_beside("v1"), header="demo set (synthetic); models are stand-ins")
    lines = text.splitlines()
    assert lines[0] == "demo set (synthetic); models are stand-ins"
    assert max(map(len, lines)) <= 100
    assert "…" not in text
    assert "1/1/0" in text  # missing, unparsed, failed
    assert "(.723)" in text  # the paper's F1 for this prompt
    assert "paper's value" in text
    for anchor in ("all-positive", "all-negative", "prevalence", "question-prior"):
        assert anchor in text


def test_values_are_those_of_the_evaluation():
    evaluation = evaluate_rows(make_rows(), make_labels(), level="video", split="test", n_draws=50)
    text = printed(make_rows())
    first = evaluation.rows[0]
    for name in ("f1", "macro_f1", "wf1", "ap", "ap_bah", "auroc"):
        assert f"{first.metric(name):.3f}".removeprefix("0") in text
    assert "(.723)" not in text


def test_a_collapsed_system_is_marked_and_the_mark_explained():
    text = printed(make_rows(p=0.9))
    assert "(!)" in text
    assert "95 % of the answers agree" in text
    assert "(!)" not in printed(make_rows())


def test_system_names_cannot_style_the_table():
    text = printed(make_rows("[red]x[/red]"))
    assert "[red]x[/red]" in text


def test_notes_and_left_out_anchors_stand_below():
    evaluation = evaluate_rows(
        make_rows(), Labels(make_labels().of_split("test")), level="video", split="test", n_draws=0
    )
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_evaluation(evaluation, console=console)
    text = console.file.getvalue()
    assert "anchor question-prior is left out: there is no labelled training split" in text


def test_a_comparison_shows_difference_interval_and_p_value():
    rows = make_rows("first") + make_rows("second", p=0.9)
    found = compare_rows(rows, make_labels(), level="video", split="test", baseline="second", n_draws=50)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_comparisons(found, console=console)
    text = console.file.getvalue()
    assert "first minus second (8 items of 4 participants)" in text
    assert f"{found[0].differences['f1'].value:+.3f}" in text
    assert "p " in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_table_says_what_became_of_items_without_an_answer():
    evaluation = evaluate_rows(
        make_rows(), make_labels(), level="video", split="test", n_draws=0, unanswered=Unanswered.WRONG
    )
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_evaluation(evaluation, console=console)
    said = " ".join(console.file.getvalue().split())
    assert "items without an answer (missing, unparsed, failed) are counted as wrong (p = 1 - label): 2 of #1" in said
    assert "are left out: 2 of #1" in " ".join(printed(make_rows()).split())
