"""Figure 12: how the length of the context changes results, without and with padding counted as frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import DataError
from bah_mllm.dataset import Dataset
from bah_mllm.evaluation.metrics import point_metrics
from supervised.features.store import FeatureStore
from supervised.flows.train import seed_folder
from supervised.models import load_feature_model
from supervised.reading import FusionRecipe
from supervised.records import VideoFeatures
from supervised.training.data import load_standard, load_videos
from supervised.training.predicting import VALIDATION_METRICS, frame_probabilities

if TYPE_CHECKING:
    from bah_mllm.paper.fusion import ExperimentRequest

__all__ = ["context_figure", "padded_like_the_published_code"]

_SHOWN = {"f1": "F1", "wf1": "WF1", "ap_bah": "AP_bah", "ap": "AP"}  # metric -> as figures name it


def context_figure(
    arms: Sequence[tuple[int, FusionRecipe]],
    request: ExperimentRequest,
    dataset: Dataset,
    train_and_predict: Callable[[FusionRecipe, ExperimentRequest], tuple[Path, list[Path]]],
) -> tuple[dict[str, Any], str]:
    """Train at every window, judge twice, draw ``figure12.png``, and return the figures and a table of them.

    The published code repeats the last frame of a video that is shorter than the window, and counts the repeated frames
    in its metrics; most of these are easy negatives, and the longer the window the more of them there are.
    """
    rows = []
    for window_frames, recipe in arms:
        trained, _ = train_and_predict(recipe, request)
        labelled = _labelled(recipe, request, dataset)
        found = [_judge(trained, recipe, labelled, window_frames, seed) for seed in request.seeds]
        rows.append(
            {
                "window_frames": window_frames,
                "share_padding": found[0]["share_padding"],
                "plain": _mean([one["plain"] for one in found]),
                "padding_counted": _mean([one["padding_counted"] for one in found]),
            }
        )
    _draw(rows, request.out / "figure12.png", is_synthetic=dataset.is_synthetic)
    lines = [
        "# Figure 12: length of the context, visual modality with a TCN",
        "",
        "| window (frames) | padding | F1 | WF1 | AP_bah | AP | F1, padding counted | WF1 | AP_bah | AP |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [_figure(row[how][metric]) for how in ("plain", "padding_counted") for metric in _SHOWN]
        lines.append(f"| {row['window_frames']} | {100 * row['share_padding']:.1f} % | " + " | ".join(cells) + " |")
    lines += ["", "Padding: share of the frames that the published code judges and that are repetitions."]
    return {"experiment": "figure12", "rows": rows, "n_seeds": len(request.seeds)}, "\n".join(lines) + "\n"


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


def _labelled(recipe: FusionRecipe, request: ExperimentRequest, dataset: Dataset) -> list[VideoFeatures]:
    split = request.split or ("test" if "test" in dataset.splits else None)
    loaded = load_videos(FeatureStore(request.features), recipe.features, dataset, dataset.videos(split))
    labelled = [video for video in loaded.videos if video.frame_labels is not None]
    if not labelled:
        raise DataError(
            f"No video of {split or dataset.name} has both features and labels of frames to judge by.",
            remedy="Run `bah-mllm features` on it, or choose another --split.",
        )
    return labelled


def _judge(
    trained: Path, recipe: FusionRecipe, videos: Sequence[VideoFeatures], window_frames: int, seed: int
) -> dict[str, Any]:
    folder = seed_folder(trained, seed)
    model, standard = load_feature_model(folder), load_standard(folder)
    padded = [padded_like_the_published_code(video, window_frames) for video in videos]
    n_real, n_judged = sum(video.n_frames for video in videos), sum(video.n_frames for video in padded)
    found: dict[str, Any] = {"share_padding": 1 - n_real / n_judged}
    for how, judged in (("plain", videos), ("padding_counted", padded)):
        p = [frame_probabilities(model, one, standard=standard, **recipe.prediction.model_dump()) for one in judged]
        labels = np.concatenate([video.frame_labels for video in judged if video.frame_labels is not None])
        is_known = labels >= 0
        found[how] = point_metrics(labels[is_known], np.concatenate(p)[is_known], names=VALIDATION_METRICS)
    return found


def _mean(found: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    values = {metric: [one[metric] for one in found] for metric in _SHOWN}
    return {
        metric: None if None in of_seeds else mean(value for value in of_seeds if value is not None)
        for metric, of_seeds in values.items()
    }


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _draw(rows: Sequence[dict[str, Any]], path: Path, *, is_synthetic: bool) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(_SHOWN), 1, sharex=True, figsize=(7, 9), layout="constrained")
    windows = [row["window_frames"] for row in rows]
    for axis, metric in zip(axes, _SHOWN, strict=True):
        for how, label, style in (
            ("plain", "real frames only", "o-"),
            ("padding_counted", "repeated frames counted, as in the published code", "s--"),
        ):
            values = [np.nan if row[how][metric] is None else row[how][metric] for row in rows]
            axis.plot(windows, values, style, label=label)
        axis.set_ylabel(_SHOWN[metric])
        axis.grid(alpha=0.3)
    axes[0].legend()
    axes[-1].set_xscale("log")
    axes[-1].set_xticks(windows, [str(window) for window in windows])
    axes[-1].minorticks_off()
    axes[-1].set_xlabel("window in frames")
    figure.suptitle(f"Length of the context (figure 12){' (demo set, synthetic)' if is_synthetic else ''}")
    figure.savefig(path, dpi=120)
    plt.close(figure)
