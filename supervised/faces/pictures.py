"""Pictures of faces with labels, from whichever data set, read as batches of pixels."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from bah_mllm.core.errors import BahError, DataError
from bah_mllm.core.records import Video
from bah_mllm.core.storage import naming
from bah_mllm.dataset import Dataset
from bah_mllm.media import probe
from bah_mllm.report.progress import Progress
from supervised.faces.emotion_sets import EMOTION_SETS, Box
from supervised.features.crops import CROPS, choose_detector, faces_in_video, find_shipped, open_detector

if TYPE_CHECKING:
    from jaxtyping import Int8, Int64, UInt8
    from torch import Tensor

__all__ = ["FaceBatch", "LabelledFaces", "bah_faces", "check_classes", "emotion_faces", "read_batches", "write_crops"]


@dataclass(slots=True, eq=False)
class LabelledFaces:
    """Pictures and what they show.

    Args:
        classes: Names of the classes.
        paths: File of every picture.
        labels: Index of its class, shape (pictures,).
        boxes: Picture to the part of it that is the face, where it is not all of it.
        are_square: A picture that is not square is no face: the published crops are whole frames where none was found.
        notes: What was left out, counted.
    """

    classes: tuple[str, ...]
    paths: list[str] = field(default_factory=list)
    labels: Int64[np.ndarray, " pictures"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    boxes: dict[int, Box] = field(default_factory=dict)
    are_square: bool = False
    notes: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return how many pictures each class has."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))


class FaceBatch(NamedTuple):
    """Faces of a batch that could be read.

    Attributes:
        faces: uint8 RGB, shape (batch, px, px, 3).
        number: Of each among the faces asked of, shape (batch,).
        n_unreadable: How many could not be read.
    """

    faces: UInt8[Tensor, "batch px px 3"]
    number: Int64[np.ndarray, " batch"]
    n_unreadable: int


def emotion_faces(roots: Mapping[str, Path], classes: Sequence[str], *, is_train: bool) -> LabelledFaces:
    """Return the faces of several data sets of emotions as one.

    Args:
        roots: Key of ``EMOTION_SETS`` -> folder.
        classes: Emotions to keep; pictures of others are left out and counted.
        is_train: The training part; else the test part of RAF-DB and the validation part of the others.

    Raises:
        DataError: A folder is not such a data set.
    """
    number = {name: index for index, name in enumerate(classes)}
    faces = LabelledFaces(tuple(classes))
    labels: list[int] = []
    for name, root in roots.items():
        n_before, n_other = len(labels), 0
        for path, emotion, box in EMOTION_SETS[name](root.expanduser(), is_train=is_train):
            if emotion not in number:
                n_other += 1
                continue
            if box is not None:
                faces.boxes[len(labels)] = box
            faces.paths.append(str(path))
            labels.append(number[emotion])
        faces.notes.append(f"{name}: {len(labels) - n_before:,} faces, {n_other:,} of other or no emotions left out")
    faces.labels = np.array(labels, dtype=np.int64)
    return faces


def bah_faces(
    dataset: Dataset, videos: Sequence[Video], roots: Sequence[Path], *, frame_step: int = 1
) -> LabelledFaces:
    """Return the labelled frames of videos that have a crop; classes 0 no A/H, 1 A/H.

    Args:
        dataset: Where labels come from.
        videos: Of that data set.
        roots: Folders with ``cropped-aligned-faces/<video>/frame-<k>.jpg``; the first one that has a video's counts.
        frame_step: Take every so many frames.
    """
    faces = LabelledFaces(("no_ah", "ah"), are_square=True)
    labels: list[int] = []
    reasons: Counter[str] = Counter()
    for video in videos:
        crops = next((found for root in roots if (found := find_shipped(root, video.video_id))), {})
        if not crops:
            reasons["without a crop of a face"] += 1
            continue
        of_frames = _frame_labels(dataset, video, n_frames=max(crops) + 1)
        if of_frames is None:
            reasons["without usable frame labels"] += 1
            continue
        for frame, path in crops.items():
            if frame % frame_step == 0 and frame < len(of_frames) and of_frames[frame] >= 0:
                faces.paths.append(str(path))
                labels.append(int(of_frames[frame]))
    faces.notes = [f"{n:,} of {len(videos):,} videos are {reason}, and left out" for reason, n in reasons.items()]
    faces.labels = np.array(labels, dtype=np.int64)
    return faces


def _frame_labels(dataset: Dataset, video: Video, *, n_frames: int) -> Int8[np.ndarray, " frames"] | None:
    """Return the labels; the frame rate is looked up only where it is needed, since that reads the whole file."""
    try:
        return dataset.frame_labels(video, n_frames=n_frames)
    except DataError:
        if video.path is None:
            return None
    try:
        return dataset.frame_labels(video, n_frames=n_frames, fps=probe(video.path).fps)
    except BahError:
        return None


def write_crops(videos: Sequence[Video], root: Path, *, frame_step: int = 1, detector: str = "auto") -> list[str]:
    """Write aligned faces in the layout of the shipped ones, for videos that have none there; return notes.

    A video's folder appears when it is complete, so that an interrupted start is gone on with. One that cannot be read
    gets none, and a note.

    Args:
        videos: With files.
        root: The crops are written to ``cropped-aligned-faces`` in it.
        frame_step: Look at every so many frames.
        detector: Of ``supervised.features.crops``.

    Raises:
        PrerequisiteError: The detector is not installed.
    """
    notes = []
    name = choose_detector(detector)
    progress = Progress("faces of", total=len(videos), unit="videos")
    for video in progress.over(videos):
        folder = root / CROPS / video.video_id
        if folder.is_dir() or video.path is None:
            continue
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        rmtree(unfinished, ignore_errors=True)  # of an earlier start, which may have looked at other frames
        unfinished.mkdir(parents=True)
        found = open_detector(name)
        try:
            for frame, (face, _) in enumerate(faces_in_video(video.path, found, detect_every=frame_step)):
                if face is not None and frame % frame_step == 0:
                    _write_picture(unfinished / f"frame-{frame}.jpg", face)
        except BahError as error:
            notes.append(f"{video.video_id}: {error.problem.replace(str(video.path), video.path.name)}")
            continue
        finally:
            found.close()
        unfinished.rename(folder)
    return notes


def _write_picture(path: Path, face: UInt8[np.ndarray, "px px 3"]) -> None:
    from PIL import Image

    jpeg = io.BytesIO()  # into a file, Pillow loses the reason why it cannot write
    Image.fromarray(face).save(jpeg, "jpeg", quality=95)
    with naming(path):
        path.write_bytes(jpeg.getvalue())


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """What the loader's workers index: a picture scaled to the side, or None where it cannot be read."""

    faces: LabelledFaces
    side_px: int

    def __len__(self) -> int:
        return len(self.faces.paths)

    def __getitem__(self, index: int) -> tuple[int, UInt8[np.ndarray, "px px 3"] | None]:
        from PIL import Image

        size = (self.side_px, self.side_px)
        try:
            with Image.open(self.faces.paths[index]) as picture:
                if self.faces.are_square and picture.width != picture.height:
                    return index, None
                rgb = picture.convert("RGB")
            part = rgb.crop(self.faces.boxes[index]) if index in self.faces.boxes else rgb
            return index, np.asarray(part.resize(size, Image.Resampling.BILINEAR))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return index, None


def _collate(pictures: list[tuple[int, UInt8[np.ndarray, "px px 3"] | None]]) -> FaceBatch:
    readable = [(index, face) for index, face in pictures if face is not None]
    number = np.array([one for one, _ in readable], dtype=np.int64)
    stacked = np.stack([face for _, face in readable]) if readable else np.zeros((0, 1, 1, 3), dtype=np.uint8)
    return FaceBatch(torch.from_numpy(stacked), number, len(pictures) - len(readable))


def read_batches(
    faces: LabelledFaces, batches: Sequence[Iterable[int]], *, side_px: int, workers: int = 0
) -> Iterator[FaceBatch]:
    """Yield batches of faces scaled to a square by Pillow's bilinear filter, as the published code does.

    Args:
        faces: Where they lie.
        batches: Numbers of the faces of each batch.
        side_px: Side of the square.
        workers: Processes that read ahead; 0 reads here.
    """
    loader = DataLoader(
        _Pictures(faces, side_px),
        batch_sampler=[list(batch) for batch in batches],
        collate_fn=_collate,
        num_workers=workers,
    )
    yield from loader


def check_classes(faces: LabelledFaces, what: str) -> None:
    """Refuse faces of which a class is empty.

    Raises:
        DataError: Says which class, and how many the others have.
    """
    counts = faces.counts()
    empty = [name for name, n in counts.items() if not n]
    if empty:
        there = ", ".join(f"{name} {n:,}" for name, n in counts.items() if n) or "no face at all"
        raise DataError(
            f"The {what} faces have none of the class {empty[0]} ({there}).",
            remedy="Give data with every class, or leave the class out of data.classes.",
        )
