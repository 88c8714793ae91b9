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

__all__ = ["DAMAGED", "FramePass", "frame_times", "read_frames"]

DAMAGED = "damaged or cut off"
"""How ``FramePass.damage`` begins."""

_USUAL_STEP_S = 1 / 24  # between frames without times
_MAX_STEP_S = 3600.0  # a gap of more than an hour between two frames is a broken time
_WHOLE_SHARE, _WHOLE_LACK_S = 0.9, 1.0  # less than both below the header's length is whole: the last frame may stand


def read_frames(path: Path | FramePass) -> Iterator[tuple[UInt8[np.ndarray, "height width 3"], float]]:
    """Yield every frame that decodes, upright and in its own size, as RGB with its time in seconds.

    Times are those of ``FramePass``. One frame is held at a time, whatever the length of the video.

    Args:
        path: A video file, or a fresh pass over one that is asked afterwards what it found.

    Raises:
        MediaError: The file cannot be read. (Nothing is yielded where no frame decodes.)
    """
    import av.video.reformatter

    reformatter = av.video.reformatter.VideoReformatter()
    for frame, t_s in _as_pass(path).frames():
        yield upright_rgb(frame, reformatter), t_s


def frame_times(path: Path | FramePass) -> Float64[np.ndarray, " frames"]:
    """Return the times of all frames that decode, in seconds from the first one, as ``read_frames`` has them.

    Args:
        path: As ``read_frames`` takes it.

    Raises:
        MediaError: The file cannot be read, or none of it decodes.
    """
    pass_ = _as_pass(path)
    times_s = np.array([t_s for _, t_s in pass_.frames()], dtype=np.float64)
    if not len(times_s):
        raise MediaError(
            f"No frame of {pass_.path} can be decoded.", remedy="Copy the file again, or convert it to H.264."
        )
    return times_s


@dataclass(slots=True)
class FramePass:
    """One reading of a video from start to end; what it found grows while ``frames`` runs.

    Args:
        path: A video file.
        n_frames: Frames that decode, so far.
        n_corrupt: Packets that did not decode, and frames that the decoder marks as damaged, so far.
        last_s: Time of the last frame.
        step_s: Time between the last two frames, or the usual one.
        header_s: Length that the header states; None where it states none, or before ``frames`` runs.
    """

    path: Path
    n_frames: int = 0
    n_corrupt: int = 0
    last_s: float = 0.0
    step_s: float = _USUAL_STEP_S
    header_s: float | None = None

    @property
    def damage(self) -> str:
        """What shows so far that the file is not whole, as one clause; ``""`` where nothing does."""
        found = [f"{self.n_corrupt:,} packets or frames do not decode"] if self.n_corrupt else []
        end_s = self.last_s + self.step_s
        if self.header_s is not None and end_s < min(_WHOLE_SHARE * self.header_s, self.header_s - _WHOLE_LACK_S):
            found.append(f"{end_s:.1f} of {self.header_s:.1f} s decode")
        return f"{DAMAGED}: {', '.join(found)}" if found else ""

    def frames(self) -> Iterator[tuple[Any, float]]:
        """Yield every frame that decodes, as PyAV has it, with its time in seconds.

        The first frame is at 0 s and times grow; a frame without a time, or with one that is not after the last, is
        one usual step later.

        Raises:
            MediaError: The file cannot be read.
        """
        with open_media(self.path) as container:
            stream = video_stream(container, self.path)
            self.header_s = _header_s(container, stream)
            origin = None
            for frame in decode(container, stream):
                if frame is None:
                    self.n_corrupt += 1
                    continue
                self.n_corrupt += bool(frame.is_corrupt)
                origin = frame.pts if self.n_frames == 0 else origin
                has_time = frame.pts is not None and origin is not None
                yield frame, self._advance(float((frame.pts - origin) * stream.time_base) if has_time else None)

    def _advance(self, t_s: float | None) -> float:
        self.n_frames += 1
        if self.n_frames == 1:
            return 0.0
        if t_s is None or not 1e-3 < t_s - self.last_s < _MAX_STEP_S:
            t_s = self.last_s + self.step_s
        else:
            self.step_s = min(t_s - self.last_s, 1.0)
        self.last_s = t_s
        return t_s


def _as_pass(path: Path | FramePass) -> FramePass:
    return path if isinstance(path, FramePass) else FramePass(path)


def _header_s(container: Any, stream: Any) -> float | None:  # noqa: ANN401 - of PyAV
    """Return the length of the pictures as the header states it, else that of the whole file."""
    import av

    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None
