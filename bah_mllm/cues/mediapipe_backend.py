"""mediapipe with the models that its package carries, as a backend of perception."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bah_mllm.core.errors import PrerequisiteError
from bah_mllm.core.loading import import_optional
from bah_mllm.cues.backends import FollowedFace, ignore_protobuf, points_of, quietly

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = ["MediapipeBackend"]

_CHECK_EVERY_S = 1.0
_MAX_FACES = 4


class MediapipeBackend(AbstractContextManager["MediapipeBackend"]):
    """Face mesh with irises, pose (the full model) and hands of mediapipe 0.10.21, whose package carries the models.

    Whether there are several faces is looked up once a second, since looking for more faces than there are costs half
    as much again in every frame.

    Raises:
        PrerequisiteError: mediapipe is not installed, or of a version without models.
    """

    def __init__(self) -> None:
        with quietly(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mediapipe = import_optional("mediapipe", extra="cues", purpose="finding faces, shoulders and hands")
            solutions = getattr(mediapipe, "solutions", None)
            if solutions is None:
                raise PrerequisiteError(
                    f"mediapipe {mediapipe.__version__} carries no models any more.",
                    remedy="pip install 'mediapipe==0.10.21', or give model files (--face-model).",
                )
            self.name = f"mediapipe {mediapipe.__version__}"
            self._mesh_class = solutions.face_mesh.FaceMesh
            self._finder = _warm(solutions.face_detection.FaceDetection(model_selection=0))
            self._pose = _warm(solutions.pose.Pose(model_complexity=1))
            self._hands = _warm(solutions.hands.Hands(max_num_hands=2))
            self._meshes = {1: _warm(self._mesh_class(max_num_faces=1, refine_landmarks=True))}
        self._n_faces = 1
        self._checked_s = -float("inf")
        self._has_found: set[int] = set()
        self._followed = FollowedFace()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def face(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "points 3"] | None:
        """Return the mesh points of the followed face; None where there is none."""
        if t_s - self._checked_s >= _CHECK_EVERY_S:
            self._checked_s = t_s
            found = self._run(self._finder, rgb, "detections")
            self._n_faces = 1 if len(found) <= 1 else _MAX_FACES
        faces = self._run(self._mesh(), rgb, "multi_face_landmarks")
        height, width = rgb.shape[:2]
        # z is given in the scale of x.
        candidates = [points_of(face.landmark, ("x", "y", "z")) * (width, height, width) for face in faces]
        return self._followed.among(candidates, width, height)

    def pose(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "points 4"] | None:  # noqa: ARG002
        """Return the body points of the person that the model takes for the main one."""
        landmarks = self._run(self._pose, rgb, "pose_landmarks")
        if not landmarks:
            return None
        height, width = rgb.shape[:2]
        return points_of(landmarks.landmark, ("x", "y", "z", "visibility")) * (width, height, width, 1)

    def hands(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> list[Float[np.ndarray, "points 3"]]:  # noqa: ARG002
        """Return the points of up to two hands."""
        height, width = rgb.shape[:2]
        found = self._run(self._hands, rgb, "multi_hand_landmarks")
        return [points_of(hand.landmark, ("x", "y", "z")) * (width, height, width) for hand in found]

    def close(self) -> None:
        """Free the models."""
        for model in (self._finder, self._pose, self._hands, *self._meshes.values()):
            model.close()
        self._meshes.clear()

    def _mesh(self) -> Any:  # noqa: ANN401
        if self._n_faces not in self._meshes:
            with quietly():
                self._meshes[self._n_faces] = _warm(
                    self._mesh_class(max_num_faces=self._n_faces, refine_landmarks=True)
                )
        return self._meshes[self._n_faces]

    def _run(self, model: Any, rgb: np.ndarray, what: str) -> Any:  # noqa: ANN401
        """Return what a model finds, empty where nothing; quietly until its first find, on which it remarks once."""
        ignore_protobuf()
        if id(model) in self._has_found:
            return getattr(model.process(rgb), what) or ()
        with quietly():
            found = getattr(model.process(rgb), what) or ()
        if found:
            self._has_found.add(id(model))
        return found


def _warm(model: Any) -> Any:  # noqa: ANN401
    """Show a model a black picture: it loads, and says so, in threads of its own until the first one is through."""
    ignore_protobuf()
    model.process(np.zeros((64, 64, 3), np.uint8))
    return model
