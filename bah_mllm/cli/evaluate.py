"""``bah-mllm evaluate`` and ``compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from bah_mllm.cli.options import Draws, FramesFrom, Json, Seed, finite
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.core.saying import one_of
from bah_mllm.core.timeline import MAX_FRAMES

__all__ = ["compare", "evaluate"]

_Data = Annotated[
    str | None, typer.Option(help="Data set with the labels.", show_default="the runs' own, or the demo set")
]
_Split = Annotated[str | None, typer.Option(help="Split to judge.", show_default="the runs' own, or test")]
_Level = Annotated[str | None, typer.Option(help=f"{one_of(Level)}.", show_default="the runs' own, or frame")]

_Unanswered = Annotated[
    Unanswered,
    typer.Option(
        metavar="<str>",
        help=f"{one_of(Unanswered)}: what becomes of items without an answer (missing, unparsed, failed), where "
        "negative is p = 0, and wrong is p = 1 - label.",
    ),
]


def evaluate(
    paths: Annotated[list[str] | None, typer.Argument(help="Run folders, or tables with video_id, p ...")] = None,
    *,
    data: _Data = None,
    split: _Split = None,
    level: _Level = None,
    frames_from: FramesFrom = None,
    threshold: Annotated[
        float, typer.Option(help="Positive above this p; a tie is negative.", min=0, max=1, callback=finite)
    ] = 0.5,
    draws: Draws = 1000,
    seed: Seed = 0,
    unanswered: _Unanswered = Unanswered.LEAVE_OUT,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            help="Also judge corrected scores: content_free, both_orders, prevalence_match, or several joined by +; "
            "repeat for several."
        ),
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants", help="Also judge the answers to swapped and content-free prompts.")
    ] = False,
    subgroups: Annotated[
        bool, typer.Option("--subgroups", help="Also judge by sex, age range, ethnicity, province, question ...")
    ] = False,
    events: Annotated[
        bool,
        typer.Option("--events", help="Also judge segments: F1 at IoU 0.3 and 0.5, onsets, false alarms a minute."),
    ] = False,
    min_segment: Annotated[
        int, typer.Option(help="Drop predicted segments of fewer frames.", min=1, max=MAX_FRAMES)
    ] = 1,
    close_gap: Annotated[
        int, typer.Option(help="Join predicted segments at most so many frames apart.", min=0, max=MAX_FRAMES)
    ] = 0,
    pool_seeds: Annotated[
        bool, typer.Option("--pool-seeds", help="Also pool the runs of one system: means, spread, intervals over both.")
    ] = False,
    tune: Annotated[
        str | None,
        typer.Option(
            help="Also judge with thresholds that maximise f1, macro_f1, wf1 ... on other participants (nested "
            "cross-validation), and show what tuning on the judged ones would pretend."
        ),
    ] = None,
    json_path: Json = None,
) -> None:
    """Judge predictions against labels: F1s, two APs, AUROC, Brier, ECE, with intervals and anchors.

    Example: bah-mllm evaluate runs/demo --level video
    """
    from bah_mllm.evaluation.events import EventRule
    from bah_mllm.paper.published import published_beside
    from bah_mllm.pipeline.gathering import gather
    from bah_mllm.pipeline.judging import JudgeOptions, judge_and_print

    gathered = gather(
        paths or [],
        data=data,
        split=split,
        level=level,
        calibrate=calibrate or (),
        variants=variants,
        with_fps=events,
        frames_from=frames_from,
    )
    options = JudgeOptions(
        threshold=threshold,
        n_draws=draws,
        seed=seed,
        subgroups=subgroups,
        tune=tune,
        pool_seeds=pool_seeds,
        unanswered=unanswered,
        events=EventRule(max_gap_frames=close_gap, min_frames=min_segment) if events else None,
    )
    judge_and_print(gathered, options, json_path=json_path, published=published_beside(gathered.dataset.edition))


def compare(
    paths: Annotated[list[str], typer.Argument(help="Run folders, or tables with video_id, p ...")],
    *,
    data: _Data = None,
    split: _Split = None,
    level: _Level = None,
    frames_from: FramesFrom = None,
    metric: Annotated[str, typer.Option(help="Whose differences the table shows; JSON has all.")] = "macro_f1",
    draws: Annotated[
        int, typer.Option(help="Bootstrap draws, the same for both of a pair.", min=1, max=100_000)
    ] = 1000,
    seed: Seed = 0,
    unanswered: _Unanswered = Unanswered.LEAVE_OUT,
    json_path: Json = None,
) -> None:
    """Compare every system with every other: paired differences, agreement, shared errors, videos that changed most.

    Example: bah-mllm compare runs/a runs/b
    """
    from bah_mllm.pipeline.gathering import gather
    from bah_mllm.pipeline.judging import JudgeOptions, compare_and_print

    gathered = gather(paths, data=data, split=split, level=level, frames_from=frames_from)
    options = JudgeOptions(n_draws=draws, seed=seed, unanswered=unanswered)
    compare_and_print(gathered, options, metric=metric, json_path=json_path)
