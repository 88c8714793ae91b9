"""From predictions on disk to judged results: the flow behind ``bah-mllm evaluate`` and ``bah_mllm.evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bah_mllm.core.errors import BahError, ConfigError, DataError
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Level, Variant, Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation import Evaluation, Labels, TrainPrior, VideoLabels, evaluate_rows, read_foreign
from bah_mllm.evaluation.calibration import Transformed, reliability_rows, transform_rows
from bah_mllm.evaluation.compare import compare_all
from bah_mllm.evaluation.events import EventRule
from bah_mllm.evaluation.seeds import PooledSeeds, pool_seeds
from bah_mllm.evaluation.subgroups import Groupings, Subgroups, subgroup_rows
from bah_mllm.evaluation.thresholds import NestedThreshold, nested_thresholds
from bah_mllm.media import probe
from bah_mllm.pipeline.config import project_settings
from bah_mllm.pipeline.planning import plan_videos
from bah_mllm.predictions import Manifest, read_manifest, read_run, rows_to_frame
from bah_mllm.predictions.manifest import MANIFEST_NAME
from bah_mllm.report import print_evaluation, print_events, print_matrix, print_subgroups, print_thresholds
from bah_mllm.report.console import plain_console
from bah_mllm.report.tables import PublishedOf

if TYPE_CHECKING:
    import pandas as pd
__all__ = [
    "JudgeOptions",
    "Material",
    "collect_labels",
    "compare_and_print",
    "evaluate",
    "gather",
    "judge",
    "judge_and_print",
    "judge_subgroups",
    "print_judged",
    "resolve_ids",
]


def evaluate(
    *paths: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    level: str | None = None,
    threshold: float = 0.5,
    n_draws: int = 1000,
    seed: int = 0,
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

    Raises:
        BahError: A file cannot be read, or nothing in it can be judged.
    """
    return judge(gather(paths, data=data, split=split, level=level), threshold=threshold, n_draws=n_draws, seed=seed)


@dataclass(frozen=True, slots=True)
class Material:
    """What is to be judged, and against what.

    Args:
        rows: Prediction rows of all runs and files, corrected ones included.
        labels: Of the whole data set.
        dataset: Where the labels are from.
        split: Whose videos are judged.
        level: Frame or video.
        notes: What the reader of the results must know.
        calibrations: What became of the rows under each correction asked for.
    """

    rows: pd.DataFrame
    labels: Labels
    dataset: Dataset
    split: str | None
    level: Level
    notes: tuple[str, ...]
    calibrations: tuple[Transformed, ...] = ()


def gather(
    paths: Sequence[str | Path],
    *,
    data: str | Path | None = None,
    split: str | None = None,
    level: str | None = None,
    calibrate: Sequence[str] = (),
    variants: bool = False,
    with_fps: bool = False,
) -> Material:
    """Read the rows of runs and files, and the labels that they are judged against.

    Args:
        paths: Run folders, or files of predictions.
        data: Data set with the labels; None takes the runs' own, or the demo set.
        split: Whose videos are judged; None takes the runs' own, else ``test``.
        level: ``frame`` or ``video``; None takes the runs' own.
        calibrate: Corrections of ``transform_rows``; each adds its own line for every system.
        variants: Judge answers to swapped and content-free prompts too, each as a system of its own.
        with_fps: Look up the frame rates of the videos, for errors in seconds.
    """
    if not paths:
        raise ConfigError(
            "No predictions are given.", remedy="Name a run folder or a CSV file: bah-mllm evaluate runs/<id>"
        )
    if level is not None and level not in list(Level):
        raise ConfigError(f"There is no level {level!r}.", remedy="Choose --level frame or --level video.")
    runs = [Path(path) for path in paths if (Path(path) / MANIFEST_NAME).exists()]
    manifests = [read_manifest(run) for run in runs]
    data = _agreed("data", data, manifests) or project_settings().get("data")
    split = _agreed("split", split, manifests)
    level = Level(_agreed("level", level, manifests) or Level.FRAME)
    dataset, split = dataset_and_split(None if data is None else str(data), split)
    _check_fingerprints(dataset, runs, manifests)
    labels = collect_labels(dataset, level=level, fps=_frame_rates(dataset.videos(split)) if with_fps else {})
    rows = _collect_rows([Path(path) for path in paths], dataset)
    if variants:
        rows = _with_variants(rows)
    calibrations = _calibrations(rows, calibrate, labels, level)
    rows = _joined([rows, *(corrected.rows for corrected in calibrations)])
    notes = [note for manifest in manifests for note in manifest.notes]
    if dataset.is_synthetic and not notes:
        notes = [SYNTHETIC]
    notes += [note for corrected in calibrations for note in corrected.notes]
    return Material(rows, labels, dataset, split, level, tuple(dict.fromkeys(notes)), calibrations)


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def _with_variants(rows: pd.DataFrame) -> pd.DataFrame:
    others = rows[rows["variant"] != Variant.MAIN.value]
    names = others["system"] + " (" + others["variant"] + ")"
    return _joined([rows, others.assign(system=names, variant=Variant.MAIN.value)])


def judge(
    material: Material,
    *,
    threshold: float = 0.5,
    n_draws: int = 1000,
    seed: int = 0,
    events: EventRule | None = None,
) -> Evaluation:
    """Judge what was gathered."""
    return evaluate_rows(
        material.rows,
        material.labels,
        level=material.level,
        split=material.split,
        threshold=threshold,
        n_draws=n_draws,
        seed=seed,
        events=events,
    )


def _calibrations(rows: pd.DataFrame, names: Sequence[str], labels: Labels, level: Level) -> tuple[Transformed, ...]:
    prior = TrainPrior.count(labels, level=level)
    prevalence = prior.overall.value if prior is not None else None
    return tuple(transform_rows(rows, name, prevalence=prevalence) for name in names)


def judge_subgroups(material: Material, *, threshold: float, n_draws: int, seed: int) -> Subgroups:
    """Judge the same rows for each sex, age range, ethnicity, province, student status, question and language."""
    dataset = material.dataset
    videos = {}
    for video in dataset.videos(material.split):
        transcript = dataset.transcript(video)
        if transcript is not None and transcript.language is not None:
            videos[video.video_id] = {"language": transcript.language}
    groupings = Groupings({person.participant_id: person.metadata for person in dataset.participants()}, videos)
    return subgroup_rows(
        material.rows,
        material.labels,
        groupings,
        level=material.level,
        split=material.split,
        threshold=threshold,
        n_draws=n_draws,
        seed=seed,
    )


def _agreed(name: str, given: str | Path | None, manifests: Sequence[Manifest]) -> Any:  # noqa: ANN401 - of a setting
    """Return what was given, else what the runs agree on."""
    if given is not None:
        return given
    key = {"data": "config", "split": "identity", "level": "config"}[name]
    values = {getattr(manifest, key).get(name) for manifest in manifests}
    if len(values) > 1:
        raise ConfigError(
            f"The runs differ in {name}: {', '.join(sorted(map(str, values)))}.", remedy=f"Say which with --{name}."
        )
    return values.pop() if values else None


def _check_fingerprints(dataset: Dataset, runs: Sequence[Path], manifests: Sequence[Manifest]) -> None:
    now = dataset.fingerprint()
    for run, manifest in zip(runs, manifests, strict=True):
        then = manifest.data.get("fingerprint")
        if then is not None and then != now:
            say(f"note: {run} was made on another state of the data set ({then[:12]}, now {now[:12]}).")


def _collect_rows(paths: Sequence[Path], dataset: Dataset) -> pd.DataFrame:
    import pandas as pd

    tables = []
    taken: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no run folder or file {path}.", remedy="Check the path; runs lie in runs/<id>.")
        if path.is_dir():
            rows = read_run(path)
            if not rows:
                raise DataError(f"The run {path} has no rows yet.", remedy="Wait, or start the run again to go on.")
            table = rows_to_frame(rows)
        else:
            table = resolve_ids(read_foreign(path), dataset)
        # Two runs of one system (other frames, another seed) are two systems here: neither replaces the other.
        twice = sorted(set(table["system"]) & set(taken))
        table["system"] = table["system"].replace({name: f"{name} [{path.name}]" for name in twice})
        taken |= dict.fromkeys(table["system"], path)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def resolve_ids(table: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return a table of rows in which videos named by file or stem have their ids."""
    ids = {name: _video_id(dataset, name) for name in table["video_id"].unique()}
    return table.assign(video_id=table["video_id"].map(ids))


def _video_id(dataset: Dataset, name: str) -> str:
    """Return the id of a video that another tool names by file or stem; an unknown name stays, and is counted."""
    try:
        return dataset.video(name).video_id
    except DataError:
        return name


def _frame_rates(videos: Sequence[Video]) -> dict[str, float]:
    infos = {plan.video.video_id: plan.info for plan in plan_videos(videos, needs_media=True)}
    return {video_id: info.fps for video_id, info in infos.items() if info is not None and info.fps is not None}


def collect_labels(dataset: Dataset, *, level: Level, fps: Mapping[str, float]) -> Labels:
    """Return the labels of all splits, as the evaluator takes them.

    At frame level, videos whose labels are known only as segments are measured by their files; a video whose frame
    labels cannot be read is unlabelled and said so.

    Args:
        dataset: Where they come from.
        level: Frame labels are read at frame level only.
        fps: Video id to frames a second, where known.
    """
    found = []
    for video in dataset.videos():
        frames = _frames_of(dataset, video) if level is Level.FRAME else None
        found.append(
            VideoLabels(
                video_id=video.video_id,
                participant_id=video.participant_id,
                question=video.question,
                split=video.split,
                label=video.label,
                frames=frames,
                fps=fps.get(video.video_id),
            )
        )
    return Labels(tuple(found))


def _frames_of(dataset: Dataset, video: Video) -> Any:  # noqa: ANN401 - an int8 array; numpy is not imported here
    try:
        try:
            return dataset.frame_labels(video)
        except DataError:
            if video.path is None:
                raise
            info = probe(video.path)
            return dataset.frame_labels(video, n_frames=info.n_frames, fps=info.fps)
    except BahError as error:
        say(f"note: {video.video_id} counts as unlabelled: {error.problem}")
        return None


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
    """

    threshold: float = 0.5
    n_draws: int = 1000
    seed: int = 0
    subgroups: bool = False
    tune: str | None = None
    events: EventRule | None = None
    pool_seeds: bool = False


def judge_and_print(
    material: Material, options: JudgeOptions, *, json_path: str | None, published: PublishedOf | None = None
) -> None:
    """Judge and print a table, published values beside ours, or write JSON (``-`` for stdout)."""
    check_json_path(json_path)
    draws: dict[str, Any] = {"n_draws": options.n_draws, "seed": options.seed}
    evaluation = judge(material, threshold=options.threshold, events=options.events, **draws)
    groups = judge_subgroups(material, threshold=options.threshold, **draws) if options.subgroups else None
    tuned: tuple[NestedThreshold, ...] = ()
    if options.tune is not None:
        tuned = nested_thresholds(material.rows, material.labels, metric=options.tune, **_where(material), **draws)
    pooled: tuple[PooledSeeds, ...] = ()
    if options.pool_seeds:
        methods = _methods(material.rows["system"].unique())
        settings = {"threshold": options.threshold, **_where(material), **draws}
        pooled = pool_seeds(material.rows, material.labels, methods, **settings)
    if json_path is not None:
        record = {**evaluation.to_json(), "data": material.dataset.name, "data_notes": list(material.notes)}
        record["calibrations"] = [corrected.to_json() for corrected in material.calibrations]
        reliability = reliability_rows(material.rows, material.labels, **_where(material))
        record["reliability"] = [system.to_json() for system in reliability]
        record["pooled"] = [method.to_json() for method in pooled]
        record["tuned"] = [system.to_json() for system in tuned]
        write_json(record | ({"subgroups": groups.to_json()} if groups is not None else {}), json_path)
        return
    print_judged(evaluation, material, published=published)
    if options.events is not None:
        print_events(evaluation, console=plain_console())
    for method in pooled:
        print(_pooled_line(method))  # noqa: T201 - part of the result
    if tuned:
        print_thresholds(tuned, console=plain_console())
    if groups is not None:
        print_subgroups(groups, console=plain_console())


def _where(material: Material) -> dict[str, Any]:
    return {"level": material.level, "split": material.split}


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


def compare_and_print(material: Material, options: JudgeOptions, *, metric: str, json_path: str | None) -> None:
    """Print how every system differs from every other, or write it as JSON (``-`` for stdout)."""
    check_json_path(json_path)
    matrix = compare_all(
        material.rows,
        material.labels,
        threshold=options.threshold,
        n_draws=options.n_draws,
        seed=options.seed,
        **_where(material),
    )
    if json_path is not None:
        write_json({**matrix.to_json(), "data": material.dataset.name, "data_notes": list(material.notes)}, json_path)
        return
    console = plain_console()
    for note in material.notes:
        console.print(note, style="bold", markup=False)
    print_matrix(matrix, console=console, metric=metric)


def print_judged(evaluation: Evaluation, material: Material, *, published: PublishedOf | None) -> None:
    """Print a table to stdout, published values beside ours."""
    header = "; ".join(material.notes) or None
    print_evaluation(evaluation, console=plain_console(), published=published, header=header)
