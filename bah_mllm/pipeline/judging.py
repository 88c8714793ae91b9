"""From predictions on disk to judged results: the flow behind ``bah-mllm evaluate`` and ``bah_mllm.evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.records import Unanswered
from bah_mllm.core.saying import tell
from bah_mllm.evaluation import (
    Evaluation,
    EventRule,
    Groupings,
    NestedThreshold,
    PooledSeeds,
    Subgroups,
    compare_all,
    evaluate_rows,
    nested_thresholds,
    pool_seeds,
    reliability_rows,
    subgroup_rows,
)
from bah_mllm.pipeline.gathering import Gathered, gather
from bah_mllm.report import print_evaluation, print_events, print_matrix, print_subgroups, print_thresholds
from bah_mllm.report.console import plain_console
from bah_mllm.report.tables import PublishedOf

__all__ = [
    "JudgeOptions",
    "compare_and_print",
    "evaluate",
    "judge",
    "judge_and_print",
    "judge_subgroups",
    "print_judged",
]


def evaluate(
    *paths: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    level: str | None = None,
    threshold: float = 0.5,
    n_draws: int = 1000,
    seed: int = 0,
    unanswered: Unanswered | str = Unanswered.LEAVE_OUT,
) -> Evaluation:
    """Judge runs and files of predictions against the labels of a data set.

    Args:
        paths: Run folders, or CSV or Parquet files with ``video_id, p`` and, at frame level, ``frame`` or
            ``start_frame, stop_frame``; several systems are judged on the same draws.
        data: Data set with the labels; None takes the runs' own, or the demo set.
        split: Whose videos are judged; None takes the runs' own, else ``test``.
        level: ``frame`` or ``video``; None takes the runs' own.
        threshold: Positive where p > threshold.
        n_draws: Bootstrap draws for the 95 % intervals; 0 for none.
        seed: Of these draws.
        unanswered: How items without an answer are judged: ``leave-out``, ``negative`` or ``wrong``.

    Raises:
        BahError: A file cannot be read, or nothing in it can be judged.
    """
    gathered = gather(paths, data=data, split=split, level=level)
    return judge(gathered, threshold=threshold, n_draws=n_draws, seed=seed, unanswered=Unanswered(unanswered))


def judge(
    gathered: Gathered,
    *,
    threshold: float = 0.5,
    n_draws: int = 1000,
    seed: int = 0,
    events: EventRule | None = None,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> Evaluation:
    """Judge what was gathered."""
    return evaluate_rows(
        gathered.rows,
        gathered.labels,
        level=gathered.level,
        split=gathered.split,
        threshold=threshold,
        n_draws=n_draws,
        seed=seed,
        events=events,
        unanswered=unanswered,
    )


def judge_subgroups(
    gathered: Gathered,
    *,
    threshold: float,
    n_draws: int,
    seed: int,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> Subgroups:
    """Judge the same rows for each sex, age range, ethnicity, province, student status, question and language."""
    dataset = gathered.dataset
    videos = {}
    for video in dataset.videos(gathered.split):
        transcript = dataset.transcript(video)
        if transcript is not None and transcript.language is not None:
            videos[video.video_id] = {"language": transcript.language}
    groupings = Groupings({person.participant_id: person.metadata for person in dataset.participants()}, videos)
    return subgroup_rows(
        gathered.rows,
        gathered.labels,
        groupings,
        level=gathered.level,
        split=gathered.split,
        threshold=threshold,
        n_draws=n_draws,
        seed=seed,
        unanswered=unanswered,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """What ``bah-mllm evaluate`` judges beside the plain rows.

    Args:
        threshold: Positive where p > threshold.
        n_draws: Bootstrap draws.
        seed: Of these draws.
        subgroups: Also by group of participants.
        tune: Metric for thresholds chosen on other participants, or None.
        events: How frame scores become segments, where segments are to be shown too.
        pool_seeds: Also pool runs of one system, which differ in their seed.
        unanswered: How items without an answer are judged.
    """

    threshold: float = 0.5
    n_draws: int = 1000
    seed: int = 0
    subgroups: bool = False
    tune: str | None = None
    events: EventRule | None = None
    pool_seeds: bool = False
    unanswered: Unanswered = Unanswered.LEAVE_OUT


def judge_and_print(
    gathered: Gathered, options: JudgeOptions, *, json_path: str | None, published: PublishedOf | None = None
) -> None:
    """Judge and print a table, or write JSON (``-`` for stdout).

    Args:
        gathered: What is judged, and against what.
        options: How.
        json_path: Where JSON goes; None prints a table.
        published: Published values to print beside ours, or None.

    Raises:
        BahError: The rows cannot be judged, an option is impossible, or the JSON cannot be written.
    """
    check_json_path(json_path)
    draws, seed, threshold, unanswered = options.n_draws, options.seed, options.threshold, options.unanswered
    evaluation = judge(
        gathered, threshold=threshold, n_draws=draws, seed=seed, events=options.events, unanswered=unanswered
    )
    groups = None
    if options.subgroups:
        groups = judge_subgroups(gathered, threshold=threshold, n_draws=draws, seed=seed, unanswered=unanswered)
    tuned = _tuned(gathered, options)
    pooled = _pooled(gathered, options)
    if json_path is not None:
        reliability = reliability_rows(
            gathered.rows,
            gathered.labels,
            level=gathered.level,
            split=gathered.split,
            unanswered=options.unanswered,
        )
        record = {
            **evaluation.to_json(),
            "data": gathered.dataset.name,
            "data_notes": list(gathered.notes),
            "calibrations": [corrected.to_json() for corrected in gathered.calibrations],
            "reliability": [system.to_json() for system in reliability],
            "pooled": [method.to_json() for method in pooled],
            "tuned": [system.to_json() for system in tuned],
        }
        write_json(record | ({"subgroups": groups.to_json()} if groups is not None else {}), json_path)
        return
    print_judged(evaluation, gathered, published=published)
    if options.events is not None:
        print_events(evaluation, console=plain_console())
    for method in pooled:
        tell(_pooled_line(method))
    if tuned:
        print_thresholds(tuned, console=plain_console())
    if groups is not None:
        print_subgroups(groups, console=plain_console())


def _tuned(gathered: Gathered, options: JudgeOptions) -> tuple[NestedThreshold, ...]:
    """Return results at thresholds chosen on other participants, where they are asked for."""
    if options.tune is None:
        return ()
    return nested_thresholds(
        gathered.rows,
        gathered.labels,
        metric=options.tune,
        level=gathered.level,
        split=gathered.split,
        n_draws=options.n_draws,
        seed=options.seed,
        unanswered=options.unanswered,
    )


def _pooled(gathered: Gathered, options: JudgeOptions) -> tuple[PooledSeeds, ...]:
    """Return the pooled seeds of each method, where they are asked for."""
    if not options.pool_seeds:
        return ()
    return pool_seeds(
        gathered.rows,
        gathered.labels,
        _methods(gathered.rows["system"].unique().tolist()),
        level=gathered.level,
        split=gathered.split,
        threshold=options.threshold,
        n_draws=options.n_draws,
        seed=options.seed,
        unanswered=options.unanswered,
    )


def _pooled_line(method: PooledSeeds) -> str:
    """Return means and standard deviations over seeds; an undefined metric is left out, one of 0 is not."""
    figures = [(name, method.metrics[name], method.seed_sd[name]) for name in ("f1", "macro_f1", "wf1")]
    shown = [
        f"{name} {mean:.3f} (sd {'-' if sd is None else format(sd, '.3f')})"
        for name, mean, sd in figures
        if mean is not None
    ]
    return f"pooled over {len(method.seeds)} seeds: {method.system}, {method.aggregation}: {', '.join(shown)}"


def _methods(systems: Sequence[str]) -> dict[str, list[str]]:
    """Return the systems that are runs of one method: ``_collect_rows`` put the later runs' folders in brackets."""
    methods: dict[str, list[str]] = {}
    for system in systems:
        methods.setdefault(system.partition(" [")[0], []).append(system)
    several = {name: seeds for name, seeds in methods.items() if len(seeds) > 1}
    if not several:
        raise ConfigError(
            "No system has more than one run to pool.",
            remedy="Name several runs of one system, made with other --seed.",
        )
    return several


def compare_and_print(gathered: Gathered, options: JudgeOptions, *, metric: str, json_path: str | None) -> None:
    """Print how every system differs from every other, or write it as JSON (``-`` for stdout)."""
    check_json_path(json_path)
    matrix = compare_all(
        gathered.rows,
        gathered.labels,
        threshold=options.threshold,
        n_draws=options.n_draws,
        seed=options.seed,
        level=gathered.level,
        split=gathered.split,
        unanswered=options.unanswered,
    )
    if json_path is not None:
        write_json({**matrix.to_json(), "data": gathered.dataset.name, "data_notes": list(gathered.notes)}, json_path)
        return
    console = plain_console()
    for note in gathered.notes:
        console.print(note, style="bold", markup=False)
    print_matrix(matrix, console=console, metric=metric)


def print_judged(evaluation: Evaluation, gathered: Gathered, *, published: PublishedOf | None) -> None:
    """Print a table to stdout, published values beside ours."""
    header = "; ".join(gathered.notes) or None
    print_evaluation(evaluation, console=plain_console(), published=published, header=header)
