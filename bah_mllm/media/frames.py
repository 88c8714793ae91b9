"""Every frame of a video, one after the other, for what looks at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import MediaError
from bah_mllm.media.containers import decode, open_media, video_stream
from bah_mllm.media.resizing import upright_rgb

if TYPE_CHECKING:
    from jaxtyping import Float64, UInt8

__all__ = ["frame_times", "read_frames"]

_USUAL_STEP_S = 1 / 24  # between frames without times
_MAX_STEP_S = 3600.0  # a gap of more than an hour between two frames is a broken time


def read_frames(path: Path) -> Iterator[tuple[UInt8[np.ndarray, "height width 3"], float]]:
    """Yield every frame that decodes, upright and in its own size, as RGB with its time in seconds.

    The first frame is at 0 s and times grow; a frame without a time, or with one that is not after the last, is one
    usual step later. One frame is held at a time, whatever the length of the video.

    Raises:
        MediaError: The file cannot be read. (Nothing is yielded where no frame decodes.)
    """
    import av.video.reformatter

    reformatter = av.video.reformatter.VideoReformatter()
    for frame, t_s in _decoded(path):
        yield upright_rgb(frame, reformatter), t_s


def frame_times(path: Path) -> Float64[np.ndarray, " frames"]:
    """Return the times of all frames that decode, in seconds from the first one, as ``read_frames`` has them.

    Raises:
        MediaError: The file cannot be read, or none of it decodes.
    """
    times_s = np.array([t_s for _, t_s in _decoded(path)], dtype=np.float64)
    if not len(times_s):
        raise MediaError(f"No frame of {path} can be decoded.", remedy="Copy the file again, or convert it to H.264.")
    return times_s


@dataclass(slots=True)
class _Clock:
    """Gives every frame a time that grows."""

    origin: int | None = None
    last_s: float | None = None
    step_s: float = _USUAL_STEP_S

    def __call__(self, frame: Any, stream: Any) -> float:  # noqa: ANN401
        if self.last_s is None:
            self.origin, self.last_s = frame.pts, 0.0
            return 0.0
        t_s = None if frame.pts is None or self.origin is None else float((frame.pts - self.origin) * stream.time_base)
        if t_s is None or not 1e-3 < t_s - self.last_s < _MAX_STEP_S:
            t_s = self.last_s + self.step_s
        else:
            self.step_s = min(t_s - self.last_s, 1.0)
        self.last_s = t_s
        return t_s


def _decoded(path: Path) -> Iterator[tuple[Any, float]]:
    with open_media(path) as container:
        stream, clock = video_stream(container, path), _Clock()
        for frame in decode(container, stream):
            if frame is not None:
                yield frame, clock(frame, stream)
