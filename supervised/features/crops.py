"""Aligned faces, one a frame: those that the data set ships, or found in the video and warped to a template.

Faces are square RGB pictures of ``FACE_PX``, eyes, nose and mouth corners where the published crops have them. A frame
without a face has none: the published code repeats the last face there, or the whole picture before the first one,
and nothing downstream knows (its log of failures is never read).

References:
    Published code: RetinaFace at a confidence of 0.9, highest score only; five points to the template of face.evoLVe,
    112 px scaled by 256/112.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from bah_mllm.core.files import digest_file
from bah_mllm.core.loading import import_optional, is_installed
from bah_mllm.dataset.paths import contained, spellings
from bah_mllm.media import FramePass, read_frames
from bah_mllm.report.progress import Stopwatch

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = [
    "CROPS",
    "DETECTORS",
    "FACE_PX",
    "TEMPLATE_PX",
    "FaceDetector",
    "align_face",
    "choose_detector",
    "faces_in_video",
    "find_shipped",
    "open_detector",
    "shipped_faces",
    "similarity",
]

FACE_PX = 256
CROPS = "cropped-aligned-faces"
_CROPS = (CROPS, "cropped_aligned")  # the release, and what its published code expects
_UNLABELLED = "test_unlabeled"  # the challenge's test set lies one folder further down
DETECTORS = ("auto", "retinaface", "mediapipe")

# Eye on the picture's left, eye on its right, nose tip, mouth corner on the left, on the right; x and y in a square of
# 112 px (face.evoLVe, the square form of the usual 96 x 112 reference; the same numbers as ArcFace's).
TEMPLATE_PX = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_TEMPLATE_SIDE_PX = 112

_CONFIDENCE, _NMS_IOU = 0.9, 0.4  # published code
_RETINAFACE_FILE = "retinaface_r50.onnx"  # ResNet-50, as in the published code
# Of the face mesh: corners of the eyes (their middle does not follow the gaze, as the irises do), nose tip, mouth.
_EYES, _NOSE, _MOUTH = ((33, 133), (362, 263)), 4, (61, 291)
_CROP_NAME = re.compile(r"frame-(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)


class FaceDetector(Protocol):
    """Finds the five points of one face in the pictures of one video, given in order."""

    name: str

    def points(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "5 2"] | None:
        """Return x and y of the points in the order of ``TEMPLATE_PX``, or None where no face is found."""
        ...

    def close(self) -> None:
        """Free what the models hold."""
        ...


class MeshDetector:
    """Five points of mediapipe's face mesh, whose package carries the models; of several faces the most central."""

    def __init__(self) -> None:
        from bah_mllm.cues.mediapipe_backend import MediapipeBackend

        self._backend = MediapipeBackend()
        self.name = self._backend.name

    def points(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "5 2"] | None:
        """Return the five points, or None."""
        mesh = self._backend.face(rgb, t_s)
        if mesh is None:
            return None
        eyes = [mesh[list(corners), :2].mean(axis=0) for corners in _EYES]
        points: np.ndarray = np.stack([*eyes, mesh[_NOSE, :2], *mesh[list(_MOUTH), :2]])
        return points

    def close(self) -> None:
        """Free the models."""
        self._backend.close()


class RetinaFaceDetector:
    """RetinaFace with a ResNet-50 through uniface, as near to the published code as a maintained package comes.

    Args:
        weights: uniface's ``retinaface_r50.onnx``; where uniface keeps it if None.

    Raises:
        PrerequisiteError: uniface is not installed, or the file is not there: nothing is downloaded silently.
        DataError: The file is another one.
    """

    def __init__(self, weights: Path | None = None) -> None:
        uniface = import_optional("uniface", extra="train", purpose="finding faces with RetinaFace")
        from uniface.constants import MODEL_REGISTRY, RetinaFaceWeights

        weights = _retinaface_file() if weights is None else weights
        if not weights.is_file():
            raise PrerequisiteError(
                f"The weights of RetinaFace are not there ({weights.name}).",
                remedy="Run `python -c 'import uniface; uniface.RetinaFace(model_name="
                "uniface.constants.RetinaFaceWeights.RESNET50)'` once with a network, or use --detector mediapipe.",
            )
        # Checked here: uniface would delete a file that is not the one it knows, and fetch it.
        if (
            digest_file(weights) != MODEL_REGISTRY[RetinaFaceWeights.RESNET50].sha256
            or weights.name != _RETINAFACE_FILE
        ):
            raise DataError(
                f"{weights.name} is not uniface's {_RETINAFACE_FILE}.", remedy="Give the file that uniface downloads."
            )
        uniface.set_cache_dir(str(weights.parent))
        self._model = uniface.RetinaFace(
            model_name=RetinaFaceWeights.RESNET50, confidence_threshold=_CONFIDENCE, nms_threshold=_NMS_IOU
        )
        self.name = f"retinaface_r50 uniface {uniface.__version__}"

    def points(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "5 2"] | None:  # noqa: ARG002
        """Return the five points of the face with the highest score, or None."""
        found = self._model.detect(np.ascontiguousarray(rgb[..., ::-1]))  # it takes BGR
        if not found:
            return None
        best = max(found, key=lambda face: float(face.confidence))
        return np.asarray(best.landmarks, dtype=np.float64)

    def close(self) -> None:
        """Do nothing: the session goes with the object."""


def choose_detector(name: str) -> str:
    """Return ``retinaface`` or ``mediapipe`` for a name in ``DETECTORS``; ``auto`` is RetinaFace where it is ready.

    Raises:
        ConfigError: There is no such detector.
    """
    if name not in DETECTORS:
        raise ConfigError(f"There is no face detector {name!r}.", remedy=f"Choose one of: {', '.join(DETECTORS)}.")
    if name == "auto":
        return "retinaface" if is_installed("uniface") and _retinaface_file().is_file() else "mediapipe"
    return name


def open_detector(name: str, weights: Path | None = None) -> FaceDetector:
    """Return a new detector for one video.

    Args:
        name: ``retinaface`` or ``mediapipe``.
        weights: Of RetinaFace; see ``RetinaFaceDetector``.

    Raises:
        PrerequisiteError: Its package or weights are missing.
    """
    return RetinaFaceDetector(weights) if name == "retinaface" else MeshDetector()


def similarity(
    points: Float[np.ndarray, "points 2"], target: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "2 3"] | None:
    """Return the rotation, scale and shift that bring points nearest to a target, or None for points that coincide.

    Returns:
        M of shape (2, 3); ``M @ (x, y, 1)`` is where a point goes. No mirroring.

    References:
        Umeyama 1991, in two dimensions, where it is the least-squares line through complex numbers.
    """
    source, wanted = points @ (1, 1j), target @ (1, 1j)
    centred = source - source.mean()
    spread = float((np.abs(centred) ** 2).sum())
    if not spread > 0:
        return None
    turn = complex((np.conj(centred) * (wanted - wanted.mean())).sum() / spread)
    shift = complex(wanted.mean() - turn * source.mean())
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align_face(
    rgb: UInt8[np.ndarray, "height width 3"], points: Float[np.ndarray, "5 2"], *, face_px: int = FACE_PX
) -> UInt8[np.ndarray, "px px 3"] | None:
    """Return the face of a picture warped to the template, black beyond the picture; None for impossible points.

    Args:
        rgb: The whole picture.
        points: In it, in pixels, in the order of ``TEMPLATE_PX``.
        face_px: Side of the square to return; the template grows with it.
    """
    matrix = similarity(points, TEMPLATE_PX * (face_px / _TEMPLATE_SIDE_PX)) if np.isfinite(points).all() else None
    if matrix is None:
        return None
    cv2 = import_optional("cv2", extra="cues", purpose="aligning faces")
    face: np.ndarray = cv2.warpAffine(rgb, matrix, (face_px, face_px))
    return face


def faces_in_video(
    path: Path | FramePass, detector: FaceDetector, *, detect_every: int = 1, watch: Stopwatch | None = None
) -> Iterator[tuple[UInt8[np.ndarray, "px px 3"] | None, float]]:
    """Yield for every frame that decodes its aligned face, or None, and its time in seconds.

    Args:
        path: The video, or a fresh pass over it.
        detector: A new one, closed by the caller.
        detect_every: Look for the face in every frame, every second one ...; points in between are interpolated where
            both ends have a face. As many frames are held at a time.
        watch: Counts time as ``decode``, ``detect`` and ``align``.

    Raises:
        ConfigError: ``detect_every`` is below 1.
        MediaError: The file cannot be read. (Nothing is yielded where no frame decodes.)
    """
    if detect_every < 1:
        raise ConfigError(f"Faces cannot be looked for in every {detect_every} frames.", remedy="Give 1 or more.")
    watch = watch or Stopwatch()
    found = _Found(detector, watch)
    for number, (rgb, t_s) in enumerate(watch.waiting("decode", read_frames(path))):
        found.held.append((rgb, t_s))
        if number % detect_every == 0:
            yield from found.release()
    if found.held:  # the last frames are looked at too, so that none lies beyond the last detection
        yield from found.release()


@dataclass(slots=True)
class _Found:
    """Frames since the last detection, and the points of that one."""

    detector: FaceDetector
    watch: Stopwatch
    held: list[tuple[np.ndarray, float]] = field(default_factory=list)
    last: tuple[np.ndarray | None, float] = (None, 0.0)

    def release(self) -> Iterator[tuple[np.ndarray | None, float]]:
        """Look at the newest frame; yield the faces of all held ones."""
        newest, t_s = self.held[-1]
        with self.watch.spent_on("detect"):
            points = self.detector.points(newest, t_s)
        before, before_s = self.last
        for rgb, at_s in self.held[:-1]:
            between = None
            if points is not None and before is not None:
                share = (at_s - before_s) / (t_s - before_s)
                between = before + share * (points - before)
            yield self._face(rgb, between), at_s
        yield self._face(newest, points), t_s
        self.last = (points, t_s)
        self.held.clear()

    def _face(self, rgb: np.ndarray, points: np.ndarray | None) -> np.ndarray | None:
        with self.watch.spent_on("align"):
            return None if points is None else align_face(rgb, points)


def find_shipped(root: Path, video_id: str) -> dict[int, Path]:
    """Return the shipped crops of a video by frame number, in order; empty where the data set has none.

    Args:
        root: Of the data set, with ``cropped-aligned-faces/<video>.mp4/frame-<k>.jpg``.
        video_id: As in the data set.

    Raises:
        DataError: A link leads outside the root.
    """
    bases = [base / crops for base in (root, root / _UNLABELLED) for crops in _CROPS]
    for folder in (base / name for base in bases for name in spellings(video_id)):
        if folder.is_dir():
            contained(folder, root=root)
            found = {int(match[1]): path for path in folder.iterdir() if (match := _CROP_NAME.fullmatch(path.name))}
            return dict(sorted(found.items()))
    return {}


def shipped_faces(crops: Mapping[int, Path], n_frames: int) -> Iterator[UInt8[np.ndarray, "px px 3"] | None]:
    """Yield the shipped face of each of the frames, or None where there is none.

    A crop that is not square is the whole frame, which the published code stores before it has found a face; it counts
    as none, as does one that cannot be read. Where it lost the face it stored the last one again: that cannot be told
    from a face that does not move, and counts as one.

    Args:
        crops: As ``find_shipped`` returns them.
        n_frames: Of the video; crops beyond are left out.
    """
    from PIL import Image

    for number in range(n_frames):
        face = None
        if number in crops:
            with suppress(OSError, SyntaxError), Image.open(crops[number]) as picture:
                if picture.width == picture.height:
                    scaled = picture.convert("RGB").resize((FACE_PX, FACE_PX), Image.Resampling.BILINEAR)
                    face = np.asarray(scaled)
        yield face


def _retinaface_file() -> Path:
    from uniface import get_cache_dir

    return Path(get_cache_dir()) / _RETINAFACE_FILE
