"""mediapipe's Tasks models as a backend of perception: model files (``.task``) that the user gives by path.

They run on any mediapipe that has Tasks, also on releases that carry no models of their own and live beside NumPy 2.
Nothing is downloaded. Points are those of the models in mediapipe's package, so that all signals stay the same.
"""

from __future__ import annotations

import hashlib
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.loading import import_optional
from bah_mllm.cues.backends import FollowedFace, points_of, quietly

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = ["TaskModels", "TasksBackend"]

_MAX_FACES, _MAX_HANDS = 4, 2
_WHERE = "https://ai.google.dev/edge/mediapipe/solutions/vision"


@dataclass(frozen=True, slots=True)
class TaskModels:
    """Model files of mediapipe Tasks.

    Args:
        face: A face landmarker with irises (478 points).
        pose: A pose landmarker; without one nothing is said about the body.
        hand: A hand landmarker; without one nothing is said about hands.
    """

    face: Path
    pose: Path | None = None
    hand: Path | None = None

    def digest(self) -> str:
        """Return a digest of what is in the files.

        Raises:
            ConfigError: A file is not there.
        """
        digest = hashlib.sha256()
        for kind, path in (("face", self.face), ("pose", self.pose), ("hand", self.hand)):
            digest.update(b"-" if path is None else hashlib.sha256(_content(kind, path)).digest())
        return digest.hexdigest()[:16]


class TasksBackend(AbstractContextManager["TasksBackend"]):
    """Face, pose and hand landmarkers of mediapipe Tasks, in their mode for videos: pictures in order, times growing.

    Raises:
        ConfigError: A file is not there, or is no model of its kind.
        PrerequisiteError: mediapipe is not installed.
    """

    def __init__(self, models: TaskModels) -> None:
        with quietly(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mediapipe = import_optional("mediapipe", extra="cues", purpose="finding faces, shoulders and hands")
            vision = import_optional("mediapipe.tasks.python.vision", extra="cues", purpose="models of mediapipe Tasks")
        self._mediapipe, self._vision = mediapipe, vision
        self.name = f"mediapipe {mediapipe.__version__} tasks {models.digest()}"
        self._face = self._open("face", models.face, num_faces=_MAX_FACES)
        self._pose = self._open("pose", models.pose)
        self._hands = self._open("hand", models.hand, num_hands=_MAX_HANDS)
        self._followed = FollowedFace()
        self._last_ms: dict[int, int] = {}
        self._has_found: set[int] = set()

    def _open(self, kind: str, path: Path | None, **options: Any) -> Any:  # noqa: ANN401
        if path is None:
            return None
        content, name = _content(kind, path), f"{kind.capitalize()}Landmarker"
        base = self._mediapipe.tasks.BaseOptions(model_asset_buffer=content)
        asked = getattr(self._vision, f"{name}Options")(
            base_options=base, running_mode=self._vision.RunningMode.VIDEO, **options
        )
        try:
            with quietly():
                return getattr(self._vision, name).create_from_options(asked)
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigError(
                f"{path.name} is no {kind} landmarker of mediapipe Tasks ({type(error).__name__}).",
                remedy=f"Get {kind}_landmarker.task from {_WHERE}, and give its path.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def face(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "points 3"] | None:
        """Return the mesh points of the followed face; None where there is none."""
        height, width = rgb.shape[:2]
        found = self._run(self._face, rgb, t_s, "face_landmarks")
        # z is given in the scale of x.
        faces = [points_of(face, ("x", "y", "z")) * (width, height, width) for face in found]
        return self._followed.among(faces, width, height)

    def pose(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "points 4"] | None:
        """Return the body points of the person that the model takes for the main one; None without a model."""
        found = self._run(self._pose, rgb, t_s, "pose_landmarks")
        if not found:
            return None
        height, width = rgb.shape[:2]
        return points_of(found[0], ("x", "y", "z", "visibility")) * (width, height, width, 1)

    def hands(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> list[Float[np.ndarray, "points 3"]]:
        """Return the points of up to two hands; none without a model."""
        found = self._run(self._hands, rgb, t_s, "hand_landmarks")
        height, width = rgb.shape[:2]
        return [points_of(hand, ("x", "y", "z")) * (width, height, width) for hand in found]

    def close(self) -> None:
        """Free the models."""
        for model in (self._face, self._pose, self._hands):
            if model is not None:
                model.close()

    def _run(self, model: Any, rgb: np.ndarray, t_s: float, what: str) -> Any:  # noqa: ANN401
        """Return what a model finds; quietly until its first find, on which it remarks once. Nothing without a model.

        Its clock must tick between two pictures, and counts whole milliseconds.
        """
        if model is None:
            return ()
        t_ms = max(round(t_s * 1000), self._last_ms.get(id(model), -1) + 1)
        self._last_ms[id(model)] = t_ms
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        if id(model) in self._has_found:
            return getattr(model.detect_for_video(image, t_ms), what)
        with quietly():
            found = getattr(model.detect_for_video(image, t_ms), what)
        if found:
            self._has_found.add(id(model))
        return found


def _content(kind: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The {kind} landmarker {path.name} cannot be read: {type(error).__name__}.",
            remedy=f"Give the path of a {kind}_landmarker.task.",
        ) from error
