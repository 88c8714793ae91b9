"""A video while its features are made: what is known of it, what was read of it, and the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.errors import MediaError
from bah_mllm.core.records import Transcript
from bah_mllm.media import FramePass, frame_times, probe
from bah_mllm.report.progress import Stopwatch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Content", "Reading", "Rows"]

_DEFAULT_STEP_S = 1 / 24


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of a video before it is read.

    Args:
        video_id: As in the data set.
        path: The video file; None where it is missing.
        crops: Shipped faces by frame number; empty where there are none.
        transcript: What is said, or None.
        transcript_problem: Why there is none.
    """

    video_id: str
    path: Path | None
    crops: Mapping[int, Path]
    transcript: Transcript | None
    transcript_problem: str = "there is no transcript"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The features of a video for one set.

    Args:
        values: Shape (n_frames, dim).
        is_valid: Shape (n_frames,).
        fps: Frames a second, or None.
        flipped: The twin, or None.
        note: For the index.
    """

    values: Float[np.ndarray, "frames dim"]
    is_valid: Bool[np.ndarray, " frames"]
    fps: float | None
    flipped: Float[np.ndarray, "frames dim"] | None = None
    note: str = ""

    def noted(self, note: str) -> Rows:
        """Return these rows with one more note, if it says anything."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))


@dataclass(slots=True)
class Reading:
    """A video while its features are made: what one extractor learns of its frames serves the next one.

    Args:
        content: The video.
        watch: Counts time.
    """

    content: Content
    watch: Stopwatch = field(default_factory=Stopwatch)
    _times_s: np.ndarray | None = None
    _pass: FramePass | None = None
    _fps: float | None = None

    @property
    def path(self) -> Path:
        """The video file.

        Raises:
            MediaError: It is missing.
        """
        if self.content.path is None:
            raise MediaError("the video file is missing", remedy="Run `bah-mllm data check ROOT` to see what is there.")
        return self.content.path

    @property
    def times_s(self) -> Float[np.ndarray, " frames"]:
        """When each frame appears; read from the file where no pass over it has been made yet."""
        if self._times_s is None:
            self._pass = FramePass(self.path)
            with self.watch.spent_on("decode"):
                self._times_s = frame_times(self._pass)
        return self._times_s

    def tell_times(self, times_s: Sequence[float], frame_pass: FramePass) -> None:
        """Take the times of all frames from a finished pass over the file."""
        self._times_s, self._pass = np.array(times_s, dtype=np.float64), frame_pass

    @property
    def damage(self) -> str:
        """What the pass over the file showed of damage (``FramePass.damage``); ``""`` where none was made."""
        return "" if self._pass is None else self._pass.damage

    @property
    def fps(self) -> float | None:
        """Frames a second; None where the file does not tell or is missing."""
        if self._fps is None and self.content.path is not None:
            self._fps = probe(self.content.path).fps
        return self._fps

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last one."""
        return float(self.times_s[-1] + (1 / self.fps if self.fps else _DEFAULT_STEP_S))
