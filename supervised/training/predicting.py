"""From a trained model to prediction rows on disk, the interface to the evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from bah_mllm.core.errors import BahError
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Level, Status, Video
from bah_mllm.core.timeline import Window, plan_windows
from bah_mllm.dataset import Dataset
from bah_mllm.predictions import DataSeen, PredictionRow, RunStore, read_journal
from bah_mllm.predictions.store import JOURNAL_NAME
from bah_mllm.report.progress import Progress
from supervised.records import VideoFeatures
from supervised.training.cross_entropy import video_logits
from supervised.training.data import Standard, TrainingWindow, make_batch, training_windows

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "VALIDATION_METRICS",
    "OverVideos",
    "Predicted",
    "PredictionSettings",
    "RunAbout",
    "frame_probabilities",
    "video_probability",
    "write_predictions",
]


VALIDATION_METRICS = ("f1", "wf1", "macro_f1", "ap", "ap_bah", "auroc")
"""What is told of a model after every epoch, as ``bah_mllm.evaluation.metrics.point_metrics`` has it."""


class Predicted(NamedTuple):
    """What a model says about a video.

    Attributes:
        p: Probability of A/H: an array of shape (frames,), a number for the whole video, or None.
        status: ``ok`` exactly where there is a probability.
        detail: Why there is none. Never words of a participant.
    """

    p: Float[np.ndarray, " frames"] | float | None
    status: Status = Status.OK
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RunAbout:
    """What a run folder tells besides its rows.

    Args:
        system: Name of the trained model, as tables show it.
        level: Of the rows.
        data: Where the data set lies, as the user wrote it; None is the demo set.
        split: Whose videos.
        model: Recipe, seed, feature sets and weights: what a stranger needs to make the same rows again.
        notes: What the reader must know.
    """

    system: str
    level: Level
    data: str | None
    split: str | None
    model: Mapping[str, Any]
    notes: Sequence[str] = field(default_factory=tuple)


class PredictionSettings(BaseModel):
    """How a trained model goes over a video.

    Args:
        window_frames: Length of a window; None takes the whole video at once.
        hop_frames: Start to start; overlapping windows are averaged. The window's length where None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_frames: int | None = Field(default=None, ge=1)
    hop_frames: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _no_gaps(self) -> PredictionSettings:
        if self.hop_frames is not None and self.hop_frames > (self.window_frames or 0):
            raise ValueError("hop_frames must be at most window_frames, so that every frame is predicted")
        return self


class OverVideos(TypedDict):
    """How ``frame_probabilities``, which says what each means, goes over a video."""

    window_frames: int | None
    hop_frames: int | None
    least_frames: int | None


def frame_probabilities(
    model: nn.Module,
    video: VideoFeatures,
    *,
    standard: Standard,
    window_frames: int | None,
    hop_frames: int | None = None,
    batch_windows: int = 8,
    least_frames: int | None = None,
) -> Float[np.ndarray, " frames"]:
    """Return the probability of A/H in every frame, overlapping windows averaged; padding is never counted.

    Models of the published code go over a video as that code does: the last window ends with the video, overlapping
    windows average logits, and what a video lacks of a window is its last frame repeated. A model whose windows change
    each other's scores gets them one by one.

    Args:
        model: In evaluation mode.
        video: Its features.
        standard: As in training.
        window_frames: Length of a window; None takes the whole video at once. A model that takes one length only has
            its own; what a window lacks of it is zeros that are not judged.
        hop_frames: Start to start; the window's length where None, or where it is above that.
        batch_windows: Windows at once.
        least_frames: What shorter videos are padded to, for models of the published code that take any length.

    Returns:
        Shape (n_frames,), float64, 0 to 1.

    References:
        The published code, ``trainer.py``: LFAN goes over windows, the other fusions take whole videos, one at a time.
        Differs from it for every model in that repetitions of the last frame are not judged.
    """
    only_length = getattr(model, "window_frames", None)
    length = only_length or window_frames or video.n_frames
    is_published = bool(getattr(model, "is_published", False))
    plan = training_windows if is_published else plan_windows  # the published code has one plan for both
    windows = list(plan(video.n_frames, window_frames=length, hop_frames=min(hop_frames or length, length)))
    padded = only_length or (max(length, least_frames or 0) if is_published else None)
    at_once = 1 if getattr(model, "mixes_windows", False) else batch_windows
    total = torch.zeros(video.n_frames, 2, dtype=torch.float64)
    n_covering = torch.zeros(video.n_frames, 1, dtype=torch.float64)
    for start in range(0, len(windows), at_once):
        chunk = windows[start : start + at_once]
        logits = _logits(model, video, chunk, standard=standard, n_frames=padded, repeats_last=is_published)
        scores = logits if is_published else torch.softmax(logits, dim=-1)
        for row, window in enumerate(chunk):
            total[window.start : window.stop] += scores[row, : len(window)]
            n_covering[window.start : window.stop] += 1
    mean = total / n_covering
    p = torch.softmax(mean, dim=-1) if is_published else mean
    return np.asarray(p[:, 1].numpy())


def _logits(
    model: nn.Module,
    video: VideoFeatures,
    windows: Sequence[Window],
    *,
    standard: Standard,
    n_frames: int | None,
    repeats_last: bool,
) -> Float[Tensor, "windows frames 2"]:
    device = next(model.parameters()).device
    numbered = [TrainingWindow(0, window) for window in windows]
    batch = make_batch(
        [video], numbered, index=range(len(windows)), standard=standard, n_frames=n_frames, repeats_last=repeats_last
    )
    features = {modality: values.to(device) for modality, values in batch.features.items()}
    with torch.no_grad():
        logits: Tensor = model(features, batch.is_real.to(device))
    return logits.double().cpu()


def video_probability(model: nn.Module, video: VideoFeatures, *, standard: Standard) -> float:
    """Return the probability of A/H anywhere in a video, from the mean of its frames' logits."""
    device = next(model.parameters()).device
    window = next(plan_windows(video.n_frames, window_frames=video.n_frames))
    batch = make_batch([video], [TrainingWindow(0, window)], index=[0], standard=standard)
    is_real = batch.is_real.to(device)
    with torch.no_grad():
        logits = model({modality: values.to(device) for modality, values in batch.features.items()}, is_real)
    return float(torch.softmax(video_logits(logits, is_real).double(), dim=-1)[0, 1])


def write_predictions(
    out: Path,
    dataset: Dataset,
    videos: Sequence[Video],
    predict: Callable[[Video], Predicted],
    about: RunAbout,
) -> dict[str, int]:
    """Write a run folder with the rows of every video, and return how many rows have each status.

    A video whose rows are all there is not predicted again; one that failed is.

    Args:
        out: The run folder.
        dataset: Whose videos; its fingerprint goes into the manifest.
        videos: In any order.
        predict: Asked once per video; a ``BahError`` of it becomes a row with the status ``no_features``.
        about: For rows and manifest.

    Raises:
        RunError: The folder holds another run, or another process writes it.
    """
    config = {"data": about.data, "split": about.split, "level": about.level.value, "model": dict(about.model)}
    identity = {"split": about.split, "level": about.level.value, "system": about.system, "model": dict(about.model)}
    notes = list(about.notes)
    if dataset.is_synthetic:
        notes.insert(0, SYNTHETIC)
    with RunStore(out, config=config, identity=identity, notes=notes) as store:
        store.manifest.data = DataSeen.of(dataset)
        done = _finished(store)
        store.manifest.n_rows = {}  # of the earlier start; without them the journal's last video counts as torn
        store.save_manifest()
        waiting = [video for video in videos if video.video_id not in done]
        n_done = len(videos) - len(waiting)
        with Progress("predicted", total=len(videos), done=n_done, unit="videos") as progress:
            for video in waiting:
                try:
                    predicted = predict(video)
                except BahError as error:
                    predicted = Predicted(None, Status.NO_FEATURES, error.problem)
                store.append(_rows(video, predicted, about))
                progress.advance()
        store.complete()
        return store.manifest.n_rows


def _finished(store: RunStore) -> set[str]:
    """Return the videos whose rows are all there: a kill can only have torn those of the last one in the journal.

    ``n_rows`` of the manifest says that the earlier start came to its end.
    """
    rows = read_journal(store.folder / JOURNAL_NAME)
    done = {row.video_id for row in rows if not row.status.is_failure}
    return done if store.manifest.n_rows else done - {row.video_id for row in rows[-1:]}


def _rows(video: Video, predicted: Predicted, about: RunAbout) -> list[PredictionRow]:
    common: dict[str, Any] = {
        "system": about.system,
        "video_id": video.video_id,
        "participant_id": video.participant_id,
        "level": about.level,
    }
    if predicted.p is None:
        return [PredictionRow(**common, status=predicted.status, detail=predicted.detail)]
    if about.level is Level.VIDEO:
        return [PredictionRow(**common, p_positive=float(predicted.p))]
    p = np.asarray(predicted.p)
    return [PredictionRow(**common, start_frame=k, stop_frame=k + 1, p_positive=float(one)) for k, one in enumerate(p)]
