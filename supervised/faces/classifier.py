"""A backbone with a classifier over single faces: the paper's "without context"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bah_mllm.core.errors import DataError
from supervised.faces.pictures import LabelledFaces, read_batches
from supervised.models.backbones import Backbone, build_backbone, load_head, saved_name

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = ["FaceClassifier", "load_classifier", "predict_backbone", "predict_faces"]


class FaceClassifier(nn.Module):
    """Backbone, dropout of 0.1 (published code), linear classifier.

    Args:
        backbone: Of faces.
        head: From its width to the classes.
    """

    def __init__(self, backbone: Backbone, head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(0.1)
        self.head = head

    def classify(self, feature: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch classes"]:
        """Return logits of features."""
        out: Tensor = self.head(self.dropout(feature))
        return out

    def forward(self, faces: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch classes"]:
        """Return logits of RGB faces of any size, the middle of each cut out as in evaluation."""
        return self.classify(self.backbone(faces))


def load_classifier(folder: Path) -> FaceClassifier:
    """Return the classifier that ``train_backbone`` wrote, in evaluation mode.

    Raises:
        DataError: The folder holds none.
    """
    name = saved_name(folder)
    model = FaceClassifier(build_backbone(name, folder), load_head(name, folder).layer)
    model.eval()
    return model


def predict_faces(
    model: FaceClassifier, faces: LabelledFaces, *, batch_images: int = 64, workers: int = 0
) -> Float[np.ndarray, "pictures classes"]:
    """Return the probabilities of the classes of every picture; nan for those that cannot be read."""
    device = next(model.parameters()).device
    p = np.full((len(faces.paths), len(faces.classes)), np.nan)
    order = range(len(faces.paths))
    batches = [order[start : start + batch_images] for start in range(0, len(order), batch_images)]
    for batch in read_batches(faces, batches, side_px=model.backbone.resize_px, workers=workers):
        if len(batch.number):
            p[batch.number] = _probabilities(model, batch.faces.to(device))
    return p


def predict_backbone(
    model: FaceClassifier, faces: Iterable[UInt8[np.ndarray, "px px 3"] | None], *, batch_images: int = 64
) -> Float[np.ndarray, " frames"]:
    """Return the probability of A/H in every frame of a video, each judged alone.

    A frame without a face has the probability of the last face before it, as the published code takes that face again;
    before the first one, that of the first.

    Args:
        model: Of two classes, in evaluation mode.
        faces: One a frame, all of one size; None where there is no face.
        batch_images: Faces at once.

    Raises:
        DataError: No frame has a face.
    """
    device = next(model.parameters()).device
    frames_with_face: list[int] = []
    p: list[np.ndarray] = []
    n_frames = 0

    def present() -> Iterator[np.ndarray]:
        nonlocal n_frames
        for face in faces:
            if face is not None:
                frames_with_face.append(n_frames)
                yield face
            n_frames += 1

    stream = present()
    while batch := list(islice(stream, batch_images)):
        p.append(_probabilities(model, torch.from_numpy(np.stack(batch)).to(device))[:, 1])
    if not p:
        raise DataError("No frame has a face.", remedy="Look at the video, or try another --detector.")
    last = np.searchsorted(frames_with_face, np.arange(n_frames), side="right") - 1
    of_frames: np.ndarray = np.concatenate(p)[np.maximum(last, 0)]
    return of_frames


def _probabilities(model: FaceClassifier, faces: Tensor) -> Float[np.ndarray, "batch classes"]:
    with torch.no_grad():
        p: np.ndarray = torch.softmax(model(faces).double(), dim=-1).cpu().numpy()
    return p
