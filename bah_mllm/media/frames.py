"""Every frame of a video, one after the other, for what looks at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import MediaError
from bah_mllm.media.containers import open_media, video_stream
from bah_mllm.media.numbering import shown_frames
from bah_mllm.media.resizing import SQUARE, pixel_aspect_of, upright_rgb
from bah_mllm.media.timing import growing_times

if TYPE_CHECKING:
    from jaxtyping import Float64, UInt8

__all__ = ["DAMAGED", "FramePass", "frame_times", "read_frames"]

DAMAGED = "damaged or cut off"
"""How ``FramePass.damage`` begins."""

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

    reformatter, pass_ = av.video.reformatter.VideoReformatter(), _as_pass(path)
    for frame, t_s in pass_.frames():
        yield upright_rgb(frame, reformatter, pass_.pixel_aspect), t_s


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
        n_missing: Frames in the middle that do not decode, each shown by the one before it, so far.
        end_s: End of the last frame.
        header_s: Length that the header states; None where it states none, or before ``frames`` runs.
        pixel_aspect: Width of a pixel over its height; 1 before ``frames`` runs.
    """

    path: Path
    n_frames: int = 0
    n_corrupt: int = 0
    n_missing: int = 0
    end_s: float = 0.0
    header_s: float | None = None
    pixel_aspect: Fraction = SQUARE

    @property
    def damage(self) -> str:
        """What shows so far that the file is not whole, as one clause; ``""`` where nothing does."""
        found = [f"{self.n_corrupt:,} packets or frames do not decode"] if self.n_corrupt else []
        if self.n_missing:
            found.append(f"{self.n_missing:,} frames in the middle are lacking, and the one before each stands for it")
        if self.header_s is not None and self.end_s < min(_WHOLE_SHARE * self.header_s, self.header_s - _WHOLE_LACK_S):
            found.append(f"{self.end_s:.1f} of {self.header_s:.1f} s decode")
        return f"{DAMAGED}: {', '.join(found)}" if found else ""

    def frames(self) -> Iterator[tuple[Any, float]]:
        """Yield every frame, as PyAV has it, with its time in seconds.

        The first frame is at 0 s and times grow (see ``GrowingTimes``). One in the middle that does not decode is shown
        by the one before it, so that numbers stay those of the file.

        Raises:
            MediaError: The file cannot be read.
        """
        with open_media(self.path) as container:
            stream = video_stream(container, self.path)
            self.header_s, self.pixel_aspect = _header_s(container, stream), pixel_aspect_of(stream)
            times = growing_times(stream)
            for shown in shown_frames(container, stream, self.path):
                if shown is None:
                    self.n_corrupt += 1
                    continue
                self.n_frames += 1
                self.n_missing += shown.is_stand_in
                self.n_corrupt += bool(shown.frame.is_corrupt) and not shown.is_stand_in
                t_s = times.time_of(shown.pts, shown.dts)
                self.end_s = t_s + times.step_s
                yield shown.frame, t_s


def _as_pass(path: Path | FramePass) -> FramePass:
    return path if isinstance(path, FramePass) else FramePass(path)


def _header_s(container: Any, stream: Any) -> float | None:  # noqa: ANN401 - of PyAV
    """Return the length of the pictures as the header states it, else that of the whole file."""
    import av

    if stream.duration:
        return float(stream.duration * stream.time_base)
    if not container.duration or container.duration < 0:
        return None
    # The length of a whole file is that of its clock, which need not begin at 0.
    return float(container.duration - max(0, container.start_time or 0)) / float(av.time_base)
