"""What is to be judged, and against what: rows of runs and files, labels of a data set, and what both agree on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import BahError, ConfigError, DataError
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Level, Variant, Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation import Labels, TrainPrior, Transformed, VideoLabels, transform_rows
from bah_mllm.media import probe
from bah_mllm.pipeline.config import project_settings
from bah_mllm.pipeline.foreign import read_foreign_rows
from bah_mllm.pipeline.planning import plan_videos
from bah_mllm.predictions import Manifest, read_manifest, read_run, rows_to_frame
from bah_mllm.predictions.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Int8

__all__ = ["Gathered", "collect_labels", "gather"]


@dataclass(frozen=True, slots=True)
class Gathered:
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
    frames_from: int | None = None,
) -> Gathered:
    """Read the rows of runs and files, and the labels that they are judged against.

    Args:
        paths: Run folders, or files of predictions.
        data: Data set with the labels; None takes the runs' own, or the demo set.
        split: Whose videos are judged; None takes the runs' own, else ``test``.
        level: ``frame`` or ``video``; None takes the runs' own.
        calibrate: Corrections of ``transform_rows``; each adds its own line for every system.
        variants: Judge answers to swapped and content-free prompts too, each as a system of its own.
        with_fps: Look up when the frames of the videos are shown, for errors in seconds.
        frames_from: Number of a video's first frame in files of predictions, 0 or 1; None is 0, unless a file looks
            like 1.

    Raises:
        BahError: A file cannot be read, a name is unknown, or the runs differ in what is not given.
    """
    if not paths:
        raise ConfigError(
            "No predictions are given.", remedy="Name a run folder or a CSV file: bah-mllm evaluate runs/<id>"
        )
    if level is not None and level not in list(Level):
        raise ConfigError(f"There is no level {level!r}.", remedy="Choose --level frame or --level video.")
    runs = [Path(path) for path in paths if (Path(path) / MANIFEST_NAME).exists()]
    manifests = [read_manifest(run) for run in runs]
    root = _agreed("data", data, manifests)
    if root is None and not manifests:  # a run without data set was one on the demo set
        root = project_settings().get("data")
    split = _agreed("split", split, manifests)
    level = Level(_agreed("level", level, manifests) or Level.FRAME)
    # What a run was allowed, judging it is: the same files were looked at.
    follow_links = any(manifest.data.follows_links for manifest in manifests) or None
    dataset, split = dataset_and_split(root, split, follow_links=follow_links)
    fingerprint = dataset.fingerprint()
    _check_fingerprints(fingerprint, runs, manifests)
    labels = collect_labels(dataset, level=level, clocks=_clocks(dataset.videos(split)) if with_fps else {})
    rows = _collect_rows([Path(path) for path in paths], dataset, fingerprint, frames_from=frames_from)
    if variants:
        rows = _with_variants(rows)
    calibrations = _calibrations(rows, calibrate, labels, level)
    rows = _stacked([rows, *(corrected.rows for corrected in calibrations)])
    notes = [note for manifest in manifests for note in manifest.notes]
    if dataset.is_synthetic and not notes:
        notes = [SYNTHETIC]
    notes += _unknown_frames(dataset, labels, split)
    notes += [note for corrected in calibrations for note in corrected.notes]
    return Gathered(rows, labels, dataset, split, level, tuple(dict.fromkeys(notes)), calibrations)


def _unknown_frames(dataset: Dataset, labels: Labels, split: str | None) -> list[str]:
    """Return a note on positive videos of which nobody says which frames are A/H: only the negative ones are judged."""
    n_positive = sum(
        found.label == 1 and found.frames is None and dataset.segments(video) is None
        for video, found in zip(dataset.videos(), labels.videos, strict=True)
        if split is None or video.split == split
    )
    if not n_positive or all(found.frames is None for found in labels.videos):
        return []
    return [f"{n_positive:,} videos with label 1 have no segments: which of their frames are A/H is unknown"]


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(tables, ignore_index=True)


def _with_variants(rows: pd.DataFrame) -> pd.DataFrame:
    others = rows[rows["variant"] != Variant.MAIN.value]
    names = others["system"] + " (" + others["variant"] + ")"
    return _stacked([rows, others.assign(system=names, variant=Variant.MAIN.value)])


def _calibrations(rows: pd.DataFrame, names: Sequence[str], labels: Labels, level: Level) -> tuple[Transformed, ...]:
    prior = TrainPrior.count(labels, level=level)
    prevalence = prior.overall.value if prior is not None else None
    return tuple(transform_rows(rows, name, prevalence=prevalence) for name in names)


def _agreed(name: str, given: str | Path | None, manifests: Sequence[Manifest]) -> str | None:
    """Return what was given, else what the runs agree on."""
    if given is not None:
        return str(given)
    key = {"data": "config", "split": "identity", "level": "config"}[name]
    values = {getattr(manifest, key).get(name) for manifest in manifests}
    if len(values) > 1:
        raise ConfigError(
            f"The runs differ in {name}: {', '.join(sorted(map(str, values)))}.", remedy=f"Say which with --{name}."
        )
    return values.pop() if values else None


def _check_fingerprints(now: str, runs: Sequence[Path], manifests: Sequence[Manifest]) -> None:
    for run, manifest in zip(runs, manifests, strict=True):
        then = manifest.data.fingerprint
        if then is not None and then != now:
            say(f"note: {run} was made on another state of the data set ({then[:12]}, now {now[:12]}).")


def _collect_rows(
    paths: Sequence[Path], dataset: Dataset, fingerprint: str, *, frames_from: int | None
) -> pd.DataFrame:
    import pandas as pd

    tables = []
    taken: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no run folder or file {path}.", remedy="Check the path; runs lie in runs/<id>.")
        if path.is_dir():
            rows = read_run(path, videos=_videos_of(path, dataset, fingerprint))
            if not rows:
                raise DataError(f"The run {path} has no rows yet.", remedy="Wait, or start the run again to go on.")
            table = rows_to_frame(rows)
        else:
            table = read_foreign_rows(path, dataset, frames_from=frames_from)
        # Two runs of one system (other frames, another seed) are two systems here: neither replaces the other.
        twice = sorted(set(table["system"]) & set(taken))
        table["system"] = table["system"].replace({name: f"{name} [{path.name}]" for name in twice})
        taken |= dict.fromkeys(table["system"], path)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _videos_of(run: Path, dataset: Dataset, fingerprint: str) -> Collection[str] | None:
    """Return the ids that a run may name: those of its data set; any where that has changed or the rows are foreign."""
    manifest = read_manifest(run)
    if "imported" in manifest.identity or manifest.data.fingerprint != fingerprint:
        return None
    return {video.video_id for video in dataset.videos()}


def _clocks(videos: Sequence[Video]) -> dict[str, FrameClock]:
    infos = {plan.video.video_id: plan.info for plan in plan_videos(videos, needs_media=True)}
    return {video_id: info.clock for video_id, info in infos.items() if info is not None and info.clock is not None}


def collect_labels(dataset: Dataset, *, level: Level, clocks: Mapping[str, FrameClock]) -> Labels:
    """Return the labels of all splits, as the evaluator takes them.

    At frame level, videos whose labels are known only as segments are measured by their files; a video whose frame
    labels cannot be read is unlabelled and said so.

    Args:
        dataset: Where they come from.
        level: Frame labels are read at frame level only.
        clocks: Video id to when its frames are shown, where known.
    """
    found = []
    for video in dataset.videos():
        frames = _frames_of(dataset, video) if level is Level.FRAME else None
        clock = clocks.get(video.video_id)
        found.append(
            VideoLabels(
                video_id=video.video_id,
                participant_id=video.participant_id,
                question=video.question,
                split=video.split,
                label=video.label,
                frames=frames,
                fps=None if clock is None else clock.fps,
                clock=None if clock is None or clock.times_s is None else clock,
            )
        )
    return Labels(tuple(found))


def _frames_of(dataset: Dataset, video: Video) -> Int8[np.ndarray, " frames"] | None:
    try:
        try:
            return dataset.frame_labels(video)
        except DataError:
            if video.path is None:
                raise
            info = probe(video.path)
            return dataset.frame_labels(video, n_frames=info.n_frames, clock=info.clock)
    except BahError as error:
        say(f"note: {video.video_id} counts as unlabelled: {error.problem}")
        return None
