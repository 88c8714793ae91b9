"""From the pictures of a video to the signals of face, shoulders and hands, in one sequential pass.

Points on face, body and hands come from a backend: mediapipe with the models that its package carries, or its newer
Tasks models from files (``tasks_backend``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError, MediaError
from bah_mllm.cues.backends import LandmarkBackend
from bah_mllm.cues.body import N_BODY_POINTS, N_HAND_POINTS, body_tracks
from bah_mllm.cues.face import N_POINTS, OUTER_EYES, derived_face_tracks, face_signals
from bah_mllm.cues.mediapipe_backend import MediapipeBackend
from bah_mllm.cues.records import Track
from bah_mllm.media.frames import FramePass
from bah_mllm.media.resizing import clockwise_turns, square_width
from bah_mllm.report.progress import Stopwatch

if TYPE_CHECKING:
    from jaxtyping import UInt8

__all__ = ["Perceived", "Sampling", "perceive"]

_NOSE_TIP = 4
_WRISTS, _OUT_OF_REACH = (15, 16), 1.8  # heights: seen at the picture's lower edge, hands had wrists down to 1.7
_SHORT_EDGE_PX, _LONG_EDGE_PX = 480, 1280  # larger pictures are scaled down: the models look at 192 to 256 pixels
_MAX_ASPECT = 50  # as in decoding: a picture of 1 x 10,000 pixels shows nobody
_CHUNK_FRAMES = 256  # 3 MB of mesh points at a time, whatever the length of the video


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
            with watched.watch.spent_on("decoding"):
                frame, t_s = next(frames, (None, 0.0))
                if frame is None:
                    break
                is_face_due, is_body_due = face_due(t_s), body_due(t_s)
                picture = _picture(frame, reformatter, pass_) if is_face_due or is_body_due else None
            if picture is not None:
                watched.look(picture, t_s, face=is_face_due, body=is_body_due)
        watched.finish()
    if not pass_.n_frames:
        raise MediaError(f"No frame of {path} can be decoded.", remedy="Copy the file again, or convert it to H.264.")
    tracks = watched.tracks()
    return Perceived(
        tracks=tracks,
        duration_s=pass_.end_s,
        n_frames=pass_.n_frames,
        n_corrupt=pass_.n_corrupt,
        face_share=tracks["head_yaw"].share_known,
        body_share=tracks["shoulder_width"].share_known,
        backend=backend.name,
        seconds=dict(watched.watch.seconds),
    )


@dataclass(slots=True)
class _Due:
    """Tells when to look again: a quarter early rather than late, so that 24 frames a second are all looked at."""

    rate_hz: float
    last_s: float = -float("inf")

    def __call__(self, t_s: float) -> bool:
        is_due = t_s - self.last_s >= 0.75 / self.rate_hz
        self.last_s = t_s if is_due else self.last_s
        return is_due


def _picture(frame: Any, reformatter: Any, pass_: FramePass) -> UInt8[np.ndarray, "height width 3"]:  # noqa: ANN401
    """Return a frame as an upright RGB picture, scaled down where it is large."""
    short, long = sorted((square_width(frame, pass_.pixel_aspect), frame.height))
    if long > _MAX_ASPECT * short:
        raise MediaError(
            f"{pass_.path} has a frame of {frame.width} x {frame.height} px, which is too elongated.",
            remedy=f"Give videos whose longer edge is at most {_MAX_ASPECT} times the shorter.",
        )
    scale = min(1.0, _SHORT_EDGE_PX / short, _LONG_EDGE_PX / long)
    width = max(1, round(square_width(frame, pass_.pixel_aspect) * scale))
    height = max(1, round(frame.height * scale))
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
    watch: Stopwatch = field(default_factory=Stopwatch)

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
        with self.watch.spent_on("face"):
            points = self.backend.face(rgb, t_s)
        points = np.full((N_POINTS, 3), np.nan) if points is None else points
        self.pending.append(points.astype(np.float32))
        self.face_t_s.append(t_s)
        self.nose = points[_NOSE_TIP, :2] / height_px
        self.span = float(np.linalg.norm(points[OUTER_EYES[0]] - points[OUTER_EYES[1]])) / height_px

    def _look_at_body(self, rgb: np.ndarray, t_s: float, height_px: float) -> None:
        with self.watch.spent_on("pose"):
            pose = self.backend.pose(rgb, t_s)
        pose = np.full((N_BODY_POINTS, 4), np.nan) if pose is None else pose / (height_px, height_px, height_px, 1)
        self.poses.append(pose)
        hands = np.full((2, N_HAND_POINTS, 3), np.nan)
        # Hands that hang far below the picture, as with most webcams, need not be looked for: a fifth of all time.
        if not (pose[list(_WRISTS), 1] > _OUT_OF_REACH).all():
            with self.watch.spent_on("hands"):
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
