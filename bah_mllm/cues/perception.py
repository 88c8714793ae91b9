"""From the pictures of a video to the signals of face, shoulders and hands, in one sequential pass.

Points on face, body and hands come from a backend: mediapipe with the models that its package carries, or its newer
Tasks models from files (``tasks_backend``).
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from bah_mllm.core.errors import ConfigError, MediaError, PrerequisiteError
from bah_mllm.core.loading import import_optional
from bah_mllm.cues.body import N_BODY_POINTS, N_HAND_POINTS, body_tracks
from bah_mllm.cues.face import N_POINTS, derived_face_tracks, face_signals
from bah_mllm.cues.records import Track
from bah_mllm.media.frames import FramePass
from bah_mllm.media.resizing import clockwise_turns

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

__all__ = [
    "FollowedFace",
    "LandmarkBackend",
    "MediapipeBackend",
    "Perceived",
    "Sampling",
    "perceive",
    "points_of",
    "quietly",
    "timed",
]

_NOSE_TIP, _OUTER_EYES = 4, (33, 263)
_WRISTS, _OUT_OF_REACH = (15, 16), 1.8  # heights: seen at the picture's lower edge, hands had wrists down to 1.7
_SHORT_EDGE_PX, _LONG_EDGE_PX = 480, 1280  # larger pictures are scaled down: the models look at 192 to 256 pixels
_MAX_ASPECT = 50  # as in decoding: a picture of 1 x 10,000 pixels shows nobody
_CHUNK_FRAMES = 256  # 3 MB of mesh points at a time, whatever the length of the video


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


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often to look.

    Args:
        face_hz: Looks at the face a second, at least: every frame up to about 1.3 times as many frames a second.
            Blinks last 0.1 to 0.4 s and need 12.
        body_hz: Looks at shoulders and hands a second, at least.

    Raises:
        ConfigError: A rate is not above 0.
    """

    face_hz: float = 25.0
    body_hz: float = 3.0

    def __post_init__(self) -> None:
        if not (0 < self.face_hz < float("inf") and 0 < self.body_hz < float("inf")):
            raise ConfigError(
                f"Face and body cannot be looked at {self.face_hz} and {self.body_hz} times a second.",
                remedy="Give rates above 0: 25 and 3, say.",
            )


@dataclass(frozen=True, slots=True)
class Perceived:
    """What was seen of a person in a video.

    Args:
        tracks: Signals of the face (see ``face``) and the body (see ``body``) by name.
        duration_s: From the first to the end of the last frame.
        n_frames: Frames that decode.
        n_corrupt: Packets that did not, and frames marked as damaged.
        face_share: Share of the frames looked at that show a face, 0 to 1.
        body_share: Share that show both shoulders.
        backend: Its name and version.
        seconds: Time spent in each stage: ``decoding`` (and scaling), ``face``, ``pose``, ``hands``; body and face are
            looked at at the same time, so that the sum may exceed the time that passed.
    """

    tracks: Mapping[str, Track]
    duration_s: float
    n_frames: int
    n_corrupt: int
    face_share: float
    body_share: float
    backend: str
    seconds: Mapping[str, float] = field(default_factory=dict)


def perceive(path: Path, *, backend: LandmarkBackend | None = None, sampling: Sampling | None = None) -> Perceived:
    """Return the signals of the person in a video; NaN wherever nobody is seen.

    Args:
        path: A video file.
        backend: A new one for each video, closed by the caller; mediapipe where None.
        sampling: How often to look.

    Raises:
        MediaError: The file cannot be read, or none of it decodes.
        PrerequisiteError: mediapipe is not installed.
    """
    import av.video.reformatter

    if backend is None:
        with MediapipeBackend() as own:
            return perceive(path, backend=own, sampling=sampling)
    sampling = sampling or Sampling()
    pass_, reformatter = FramePass(path), av.video.reformatter.VideoReformatter()
    face_due, body_due = _Due(sampling.face_hz), _Due(sampling.body_hz)
    with ThreadPoolExecutor(max_workers=1) as worker:
        watched = _Watched(backend, worker)
        frames = pass_.frames()
        while True:
            with timed(watched.seconds, "decoding"):
                frame, t_s = next(frames, (None, 0.0))
                if frame is None:
                    break
                is_face_due, is_body_due = face_due(t_s), body_due(t_s)
                picture = _picture(frame, reformatter, path) if is_face_due or is_body_due else None
            if picture is not None:
                watched.look(picture, t_s, face=is_face_due, body=is_body_due)
        watched.finish()
    if not pass_.n_frames:
        raise MediaError(f"No frame of {path} can be decoded.", remedy="Copy the file again, or convert it to H.264.")
    tracks = watched.tracks()
    return Perceived(
        tracks=tracks,
        duration_s=pass_.last_s + pass_.step_s,
        n_frames=pass_.n_frames,
        n_corrupt=pass_.n_corrupt,
        face_share=tracks["head_yaw"].share_known,
        body_share=tracks["shoulder_width"].share_known,
        backend=backend.name,
        seconds=dict(watched.seconds),
    )


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time that a block takes to a stage."""
    started = perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - started


@dataclass(slots=True)
class _Due:
    """Tells when to look again: a quarter early rather than late, so that 24 frames a second are all looked at."""

    rate_hz: float
    last_s: float = -float("inf")

    def __call__(self, t_s: float) -> bool:
        is_due = t_s - self.last_s >= 0.75 / self.rate_hz
        self.last_s = t_s if is_due else self.last_s
        return is_due


def _picture(frame: Any, reformatter: Any, path: Path) -> UInt8[np.ndarray, "height width 3"]:  # noqa: ANN401
    """Return a frame as an upright RGB picture, scaled down where it is large."""
    short, long = sorted((frame.width, frame.height))
    if long > _MAX_ASPECT * short:
        raise MediaError(
            f"{path} has a frame of {frame.width} x {frame.height} px, which is too elongated.",
            remedy=f"Give videos whose longer edge is at most {_MAX_ASPECT} times the shorter.",
        )
    scale = min(1.0, _SHORT_EDGE_PX / short, _LONG_EDGE_PX / long)
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    # One thread: swscale would otherwise start one for every core, in every process that decodes.
    small = reformatter.reformat(frame, width=width, height=height, format="rgb24", interpolation="BILINEAR", threads=1)
    return np.ascontiguousarray(np.rot90(small.to_ndarray(), -clockwise_turns(frame)))


@dataclass(slots=True)
class _Watched:
    """What the backend has said so far; mesh points are turned into signals as soon as there are enough of them.

    The body is looked at in a second thread, one picture at a time, while the face goes on in the first.
    """

    backend: LandmarkBackend
    worker: ThreadPoolExecutor
    body_at_work: Future[None] | None = None
    pending: list[np.ndarray] = field(default_factory=list)
    pending_height_px: float = 1.0
    face_t_s: list[float] = field(default_factory=list)
    face_values: defaultdict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    body_t_s: list[float] = field(default_factory=list)
    poses: list[np.ndarray] = field(default_factory=list)
    hands: list[np.ndarray] = field(default_factory=list)
    noses: list[np.ndarray] = field(default_factory=list)
    spans: list[float] = field(default_factory=list)
    nose: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    span: float = np.nan
    seconds: dict[str, float] = field(default_factory=dict)

    def look(self, rgb: UInt8[np.ndarray, "height width 3"], t_s: float, *, face: bool, body: bool) -> None:
        height_px = float(rgb.shape[0])
        if face:
            self._look_at_face(rgb, t_s, height_px)
        if body:
            self._wait_for_body()
            self.body_t_s.append(t_s)
            self.noses.append(self.nose)
            self.spans.append(self.span)
            self.body_at_work = self.worker.submit(self._look_at_body, rgb, t_s, height_px)

    def _look_at_face(self, rgb: np.ndarray, t_s: float, height_px: float) -> None:
        if height_px != self.pending_height_px or len(self.pending) == _CHUNK_FRAMES:
            self._measure()
        self.pending_height_px = height_px
        with timed(self.seconds, "face"):
            points = self.backend.face(rgb, t_s)
        points = np.full((N_POINTS, 3), np.nan) if points is None else points
        self.pending.append(points.astype(np.float32))
        self.face_t_s.append(t_s)
        self.nose = points[_NOSE_TIP, :2] / height_px
        self.span = float(np.linalg.norm(points[_OUTER_EYES[0]] - points[_OUTER_EYES[1]])) / height_px

    def _look_at_body(self, rgb: np.ndarray, t_s: float, height_px: float) -> None:
        with timed(self.seconds, "pose"):
            pose = self.backend.pose(rgb, t_s)
        pose = np.full((N_BODY_POINTS, 4), np.nan) if pose is None else pose / (height_px, height_px, height_px, 1)
        self.poses.append(pose)
        hands = np.full((2, N_HAND_POINTS, 3), np.nan)
        # Hands that hang far below the picture, as with most webcams, need not be looked for: a fifth of all time.
        if not (pose[list(_WRISTS), 1] > _OUT_OF_REACH).all():
            with timed(self.seconds, "hands"):
                seen = self.backend.hands(rgb, t_s)[:2]
            for k, hand in enumerate(seen):
                hands[k] = hand / height_px
        self.hands.append(hands)

    def _wait_for_body(self) -> None:
        if self.body_at_work is not None:
            self.body_at_work.result()

    def finish(self) -> None:
        """Wait for what is still at work, and measure the rest."""
        self._wait_for_body()
        self._measure()

    def _measure(self) -> None:
        if self.pending:
            signals = face_signals(np.stack(self.pending).astype(np.float64), self.pending_height_px)
            for name, values in signals.items():
                self.face_values[name].append(values)
            self.pending.clear()

    def tracks(self) -> dict[str, Track]:
        t_s = np.array(self.face_t_s)
        face = {name: Track(t_s, np.concatenate(values)) for name, values in self.face_values.items()}
        body = body_tracks(
            np.array(self.body_t_s),
            np.array(self.poses),
            np.array(self.hands),
            np.array(self.noses),
            np.array(self.spans),
        )
        return derived_face_tracks(face) | body


class FollowedFace:
    """Which of the faces in a picture is followed through a video.

    The largest, the more central one of two alike; from then on the one nearest to where it last was.
    """

    def __init__(self) -> None:
        self.place: np.ndarray | None = None

    def among(
        self, faces: Sequence[Float[np.ndarray, "points 3"]], width: int, height: int
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
        self.place = chosen[list(_OUTER_EYES), :2].mean(axis=0)
        return chosen

    def _choose(self, candidates: list[np.ndarray], width: int, height: int) -> np.ndarray:
        """Return the face nearest to the followed one if that is near; else the largest and most central."""
        spans = [float(np.linalg.norm(face[_OUTER_EYES[0]] - face[_OUTER_EYES[1]])) for face in candidates]
        places = [face[list(_OUTER_EYES), :2].mean(axis=0) for face in candidates]
        if self.place is not None:
            distances = [float(np.linalg.norm(place - self.place)) for place in places]
            nearest = int(np.argmin(distances))
            if distances[nearest] < 1.5 * spans[nearest] or len(candidates) == 1:
                return candidates[nearest]
        centre = np.array([width / 2, height / 2])
        off = [float(np.linalg.norm(place - centre)) / max(width, height) for place in places]
        return candidates[int(np.argmax([span * (1 - o) for span, o in zip(spans, off, strict=True)]))]


_CHECK_EVERY_S = 1.0
_MAX_FACES = 4


class MediapipeBackend(AbstractContextManager["MediapipeBackend"]):
    """Face mesh with irises, pose (the full model) and hands of mediapipe 0.10.21, whose package carries the models.

    Whether there are several faces is looked up once a second, since looking for more faces than there are costs half
    as much again in every frame.
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
        _ignore_protobuf()
        if id(model) in self._has_found:
            return getattr(model.process(rgb), what) or ()
        with quietly():
            found = getattr(model.process(rgb), what) or ()
        if found:
            self._has_found.add(id(model))
        return found


def _warm(model: Any) -> Any:  # noqa: ANN401
    """Show a model a black picture: it loads, and says so, in threads of its own until the first one is through."""
    _ignore_protobuf()
    model.process(np.zeros((64, 64, 3), np.uint8))
    return model


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


def _ignore_protobuf() -> None:
    """Ignore what protobuf says about mediapipe's use of it; for the whole process: blocks are not for threads."""
    warnings.filterwarnings("ignore", message="SymbolDatabase", category=UserWarning)
