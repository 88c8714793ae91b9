"""What every backend of perception offers, and which of several faces it follows."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bah_mllm.cues.face import N_POINTS, OUTER_EYES

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = ["FollowedFace", "LandmarkBackend", "ignore_protobuf", "points_of", "quietly"]


class LandmarkBackend(Protocol):
    """Finds points of one person in the pictures of one video, given in order."""

    name: str

    def face(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "points 3"] | None:
        """Return the 478 mesh points of the followed face in pixels (x right, y down, z away), or None."""
        ...

    def pose(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> Float[np.ndarray, "points 4"] | None:
        """Return 33 body points (x, y, z in pixels, visibility 0 to 1), or None."""
        ...

    def hands(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float) -> list[Float[np.ndarray, "points 3"]]:
        """Return the 21 points of each hand that is seen, in pixels; at most two hands."""
        ...

    def close(self) -> None:
        """Free what the models hold."""
        ...


class FollowedFace:
    """Which of the faces in a picture is followed through a video.

    The largest, the more central one of two alike; from then on the one nearest to where it last was.
    """

    def __init__(self) -> None:
        self.place: np.ndarray | None = None

    def among(
        self, faces: Sequence[Float[np.ndarray, "_ 3"]], width: int, height: int
    ) -> Float[np.ndarray, "points 3"] | None:
        """Return the mesh points of the followed face among those found; None where there is none.

        Args:
            faces: In pixels; those with other than 478 points, or unknown ones, are left aside.
            width: Of the picture in pixels.
            height: Of the picture in pixels.
        """
        candidates = [points for points in faces if len(points) == N_POINTS and np.isfinite(points).all()]
        if not candidates:
            return None
        chosen = self._choose(candidates, width, height)
        self.place = chosen[list(OUTER_EYES), :2].mean(axis=0)
        return chosen

    def _choose(self, candidates: list[np.ndarray], width: int, height: int) -> np.ndarray:
        """Return the face nearest to the followed one if that is near; else the largest and most central."""
        spans = [float(np.linalg.norm(face[OUTER_EYES[0]] - face[OUTER_EYES[1]])) for face in candidates]
        places = [face[list(OUTER_EYES), :2].mean(axis=0) for face in candidates]
        if self.place is not None:
            distances = [float(np.linalg.norm(place - self.place)) for place in places]
            nearest = int(np.argmin(distances))
            if distances[nearest] < 1.5 * spans[nearest] or len(candidates) == 1:
                return candidates[nearest]
        centre = np.array([width / 2, height / 2])
        off = [float(np.linalg.norm(place - centre)) / max(width, height) for place in places]
        return candidates[int(np.argmax([span * (1 - o) for span, o in zip(spans, off, strict=True)]))]


def points_of(landmarks: Iterable[Any], names: tuple[str, ...]) -> Float[np.ndarray, "points axes"]:
    """Return landmarks of mediapipe as an array, an unknown value (visibility, say) as 0."""
    return np.array([[getattr(point, name) or 0.0 for name in names] for point in landmarks], dtype=np.float64)


_quiet_lock = threading.Lock()
_quiet_kept: list[int] = []  # one file descriptor for each block that is quiet now; the first is the real error stream


@contextmanager
def quietly() -> Iterator[None]:
    """Keep mediapipe's own messages, which it writes past Python, off the error stream; threads may overlap."""
    with _quiet_lock:
        sys.stderr.flush()
        _quiet_kept.append(os.dup(2))
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
    try:
        yield
    finally:
        with _quiet_lock:
            kept = _quiet_kept.pop()
            os.dup2(kept, 2)  # with blocks still open this is the null device again
            os.close(kept)


def ignore_protobuf() -> None:
    """Ignore what protobuf says about mediapipe's use of it; for the whole process: blocks are not for threads."""
    warnings.filterwarnings("ignore", message="SymbolDatabase", category=UserWarning)
