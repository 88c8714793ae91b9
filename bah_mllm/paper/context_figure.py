"""Figure 12: how the length of the context changes results, without and with padding counted as frames.

The published code repeats the last frame of a video that is shorter than the window, and counts the repeated frames in
its metrics; most of these are easy negatives, and the longer the window the more of them there are. Both ways are
judged by the evaluator on run folders: that of ``bah-mllm predict``, and one beside it with rows of repeated frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.core.loading import import_optional
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Level, Video
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation import Result
from bah_mllm.paper.experiments import Experiment, ExperimentRequest, Outcome
from bah_mllm.paper.fusion_arms import Trained, recipe_of, train_and_predict
from bah_mllm.paper.fusion_tables import OUT, notes_on, under_notes
from bah_mllm.pipeline.gathering import gather
from bah_mllm.pipeline.judging import judge
from bah_mllm.predictions import read_manifest
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.markup import Table
from bah_mllm.report.numbers import figure
from bah_mllm.report.pictures import save_png
from supervised.features.store import FeatureStore
from supervised.fusion.recipe import FusionRecipe
from supervised.models import load_feature_model
from supervised.records import VideoFeatures
from supervised.training.data import load_standard, load_videos
from supervised.training.predicting import Predicted, RunAbout, frame_probabilities, write_predictions
from supervised.training.record import seed_folder

__all__ = ["context_figure", "judge_frames", "padded_like_the_published_code"]

# The paper has 24 to 2,880 in steps of 24; these show the same curve.
_WINDOWS_FRAMES = (24, 48, 96, 192, 384, 696, 1440, 2880)
_SHOWN = ("f1", "wf1", "ap_bah", "ap")

Metrics = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class _Row:
    """Results of one window, means over seeds.

    Args:
        window_frames: The window.
        share_padding: Share of the frames that the published code judges and that are repetitions.
        plain: Metrics on the real frames.
        padding_counted: Metrics with the repetitions.
    """

    window_frames: int
    share_padding: float
    plain: Metrics
    padding_counted: Metrics


def context_figure(name: str, experiment: Experiment, request: ExperimentRequest) -> Outcome:
    """Train at every window, judge twice, draw ``figure12.png``, and return the figures and a table of them.

    Args:
        name: Of the experiment, and of the picture.
        experiment: Its heading, and how rows are judged.
        request: Data, features, seeds, windows and overrides of the recipe.

    Raises:
        BahError: Data, features and recipe do not go together.
    """
    arms = [(frames, _recipe_at(request, frames)) for frames in request.windows_frames(name) or _WINDOWS_FRAMES]
    dataset, split = dataset_and_split(request.data, request.split)
    store, out = FeatureStore(request.features), request.out(OUT)
    rows = []
    for window_frames, recipe in arms:
        trained = train_and_predict(recipe, request, out)
        padded = _padded(recipe, store, dataset, split, window_frames)
        plain = [judge_frames(run, request) for run in trained.runs]
        repeated = [
            _judge_padded(trained, seed, recipe, dataset, padded, request, window_frames) for seed in request.seeds
        ]
        rows.append(
            _Row(
                window_frames,
                1 - plain[0].counts.n / repeated[0].counts.n,
                _mean_metrics(plain),
                _mean_metrics(repeated),
            )
        )
    _draw(rows, out / f"{name}.png", is_synthetic=dataset.is_synthetic)
    notes = notes_on(dataset, store, [recipe for _, recipe in arms])
    record = {
        "experiment": name,
        "rows": [asdict(row) for row in rows],
        "n_seeds": len(request.seeds),
        "notes": notes,
    }
    return Outcome(folder=out, record=record, markdown=under_notes(notes, _markdown(experiment, rows)))


def padded_like_the_published_code(video: VideoFeatures, window_frames: int) -> VideoFeatures:
    """Return a video whose last frame, features and label, is repeated until it fills a window."""
    n_more = max(0, window_frames - video.n_frames)
    if not n_more or video.frame_labels is None:
        return video
    return replace(
        video,
        n_frames=video.n_frames + n_more,
        features={
            modality: np.concatenate([values, np.repeat(values[-1:], n_more, axis=0)])
            for modality, values in video.features.items()
        },
        is_valid={
            modality: np.concatenate([known, np.repeat(known[-1:], n_more)])
            for modality, known in video.is_valid.items()
        },
        frame_labels=np.concatenate([video.frame_labels, np.repeat(video.frame_labels[-1:], n_more)]),
    )


def judge_frames(run: Path, request: ExperimentRequest, padded: Mapping[str, VideoFeatures] | None = None) -> Result:
    """Return what the evaluator says of the frames of a run of one system.

    Args:
        run: Run folder.
        request: Data set and split.
        padded: Video id to the video whose labels take the place of the data set's; None for none.
    """
    gathered = gather([run], data=request.data, split=request.split, level=Level.FRAME)
    if padded is not None:
        videos = (
            replace(video, frames=padded[video.video_id].frame_labels) if video.video_id in padded else video
            for video in gathered.labels.videos
        )
        gathered = replace(gathered, labels=replace(gathered.labels, videos=tuple(videos)))
    return next(row for row in judge(gathered, n_draws=0).rows if row.identity.aggregation == "coverage")


def _recipe_at(request: ExperimentRequest, frames: int) -> FusionRecipe:
    return recipe_of(
        request,
        "tcn_visual",
        f"data.window_frames={frames}",
        f"data.hop_frames={max(24, frames // 2) if frames > 24 else frames}",
        f"prediction.window_frames={frames}",
    )


def _padded(
    recipe: FusionRecipe, store: FeatureStore, dataset: Dataset, split: str | None, window_frames: int
) -> dict[str, VideoFeatures]:
    """Return the videos that can be judged, padded, by their ids."""
    loaded = load_videos(store, recipe.features, dataset, dataset.videos(split))
    labelled = [video for video in loaded.videos if video.frame_labels is not None]
    if not labelled:
        raise DataError(
            f"No video of {split or dataset.name} has both features and labels of frames to judge by.",
            remedy="Run `bah-mllm features` on it, or choose another --split.",
        )
    return {video.video_id: padded_like_the_published_code(video, window_frames) for video in labelled}


def _judge_padded(
    trained: Trained,
    seed: int,
    recipe: FusionRecipe,
    dataset: Dataset,
    padded: Mapping[str, VideoFeatures],
    request: ExperimentRequest,
    window_frames: int,
) -> Result:
    """Write the rows of a seed's padded videos into a run folder of their own, and judge them."""
    plain = trained.runs[list(request.seeds).index(seed)]
    about = read_manifest(plain)
    folder = seed_folder(trained.folder, seed)
    model, standard = load_feature_model(folder), load_standard(folder)

    def predict(video: Video) -> Predicted:
        one = padded[video.video_id]
        return Predicted(frame_probabilities(model, one, standard=standard, **recipe.over_videos))

    out = plain.parent.with_name(f"{plain.parent.name}-padded") / plain.name
    notes = [note for note in about.notes if note != SYNTHETIC]  # it is put there by who writes the rows
    notes.append(f"the last frame of a video is repeated up to frame {window_frames}, and judged")
    settings = {**about.identity["model"], "repeated_to_frames": window_frames}
    described = RunAbout(about.identity["system"], Level.FRAME, request.data, about.identity["split"], settings, notes)
    write_predictions(out, dataset, [dataset.video(one) for one in padded], predict, described)
    return judge_frames(out, request, padded)


def _mean_metrics(found: Sequence[Result]) -> Metrics:
    """Return means over seeds, None where a seed has no value."""
    values = {metric: [one.metric(metric) for one in found] for metric in _SHOWN}
    return {
        metric: None if None in of_seeds else mean(value for value in of_seeds if value is not None)
        for metric, of_seeds in values.items()
    }


def _markdown(experiment: Experiment, rows: Sequence[_Row]) -> str:
    shown = [HEADINGS[metric] for metric in _SHOWN]
    headings = ["window (frames)", "padding", *shown, f"{shown[0]}, padding counted", *shown[1:]]
    cells = [
        [
            str(row.window_frames),
            f"{100 * row.share_padding:.1f} %",
            *(figure(how[metric]) for how in (row.plain, row.padding_counted) for metric in _SHOWN),
        ]
        for row in rows
    ]
    text = [f"# {experiment.heading}", "", Table(headings, cells).to_markdown(), ""]
    text.append("Padding: share of the frames that the published code judges and that are repetitions.")
    return "\n".join(text) + "\n"


def _draw(rows: Sequence[_Row], path: Path, *, is_synthetic: bool) -> None:
    import_optional("matplotlib", extra="report", purpose="drawing figures")
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7, 9), layout="constrained")
    axes: Any = picture.subplots(len(_SHOWN), 1, sharex=True)
    windows = [row.window_frames for row in rows]
    ways = (
        ([row.plain for row in rows], "real frames only", "o-"),
        ([row.padding_counted for row in rows], "repeated frames counted, as in the published code", "s--"),
    )
    for axis, metric in zip(axes, _SHOWN, strict=True):
        for found, label, style in ways:
            axis.plot(windows, [np.nan if one[metric] is None else one[metric] for one in found], style, label=label)
        axis.set_ylabel(HEADINGS[metric])
        axis.grid(alpha=0.3)
    axes[0].legend()
    axes[-1].set_xscale("log")
    axes[-1].set_xticks(windows, [str(window) for window in windows])
    axes[-1].minorticks_off()
    axes[-1].set_xlabel("window in frames")
    picture.suptitle(f"Length of the context (figure 12){' (demo set, synthetic)' if is_synthetic else ''}")
    save_png(path, picture, dpi=120)
