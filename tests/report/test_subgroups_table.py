"""Groups in the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from bah_mllm.core.records import Level
from bah_mllm.evaluation import Groupings, Labels, VideoLabels, subgroup_rows
from bah_mllm.predictions import PredictionRow
from bah_mllm.report import print_subgroups


def test_groups_gaps_and_silences_fit_100_columns():
    labels = Labels(
        tuple(VideoLabels(f"v{n}{q}", f"p{n}", q, "test", (n * q) % 2) for n in range(14) for q in (1, 2, 3))
    )
    rows = [
        PredictionRow(
            system="[red]x@text:some-model",
            video_id=entry.video_id,
            participant_id="",
            level=Level.VIDEO,
            p_positive=(index * 7 % 10) / 10,
        )
        for index, entry in enumerate(labels.videos)
    ]
    people = {f"p{n}": {"sex": "[b]Female" if n < 6 else "Male" if n < 11 else "Other"} for n in range(13)}
    found = subgroup_rows(rows, labels, Groupings(people), level="video", split="test", n_draws=50)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    print_subgroups(found, console=console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for said in (
        "[red]x",
        "[b]Female",
        "gap",
        "unknown for 3 judged items",
        "sex Other is left out: fewer than 5",
        "province is left out: it is known of no",
    ):
        assert said in text
    female = next(group for group in found.rows[0].groups if group.value == "[b]Female")
    assert f"{female.metrics['f1']:.3f}".removeprefix("0") in text
