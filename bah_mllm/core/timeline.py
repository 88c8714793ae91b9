"""Windows and segments; which frame is shown when is for ``bah_mllm.core.clock`` to say.

Conventions: frames are counted from 0 in decoding order; every span of frames is half open, ``[start, stop)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.saying import shortened

__all__ = ["MAX_FRAMES", "Length", "Segment", "Window", "plan_windows"]

MAX_FRAMES = 10_000_000  # of one video, some 100 hours: a slip in one row must not claim the memory of the machine


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A span of frames that a model sees at once.

    Args:
        start: First frame, at least 0.
        stop: One past the last frame, greater than ``start``.

    Raises:
        ConfigError: The span is empty, or starts below 0.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ConfigError(
                f"A window must satisfy 0 <= start < stop, but got [{self.start}, {self.stop}).",
                remedy="Give frames counted from 0, the stop one past the last frame.",
            )

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Segment:
    """An annotated span of ambivalence or hesitancy.

    Args:
        start_frame: First frame, or None where only seconds are known.
        stop_frame: One past the last frame, or None.
        start_s: Start in seconds, or None where only frames are known.
        stop_s: End in seconds, or None.
        certainty: The annotator's certainty, as written. Evaluation material, never a model input.
        cues: Codes the annotator gave, by modality. Evaluation material, never a model input.
    """

    start_frame: int | None = None
    stop_frame: int | None = None
    start_s: float | None = None
    stop_s: float | None = None
    certainty: str | None = None
    cues: dict[str, Any] = field(default_factory=dict)


_LENGTH = re.compile(r"^\s*(?P<value>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>s|frames?|f)?\s*$")


@dataclass(frozen=True, slots=True)
class Length:
    """A length of a window or hop: frames, or seconds where written with ``s``.

    >>> Length.parse("120").in_frames(fps=30.0), Length.parse("5s").in_frames(fps=24.0)
    (120, 120)
    """

    frames: int | None
    seconds: float | None

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read ``120`` (frames) or ``5s`` (seconds).

        Raises:
            ConfigError: Anything else, or a length that is not positive.
        """
        match = _LENGTH.match(text)
        value = float(match["value"]) if match else 0.0
        if match is None or not 0 < value <= MAX_FRAMES or (match["unit"] != "s" and value != int(value)):
            raise ConfigError(
                f"A window or hop must be a positive count of frames or of seconds, up to {MAX_FRAMES:,}, but got "
                f"{shortened(text)}.",
                remedy="Write frames as 120, or seconds as 5s.",
            )
        if match["unit"] == "s":
            return cls(frames=None, seconds=value)
        return cls(frames=int(value), seconds=None)

    def in_frames(self, *, fps: float) -> int:
        """Return the length in frames at ``fps`` frames a second, at least 1."""
        if self.frames is not None:
            return self.frames
        return max(1, round((self.seconds or 0.0) * fps))

    def __str__(self) -> str:
        return str(self.frames) if self.frames is not None else f"{self.seconds:g}s"


def plan_windows(n_frames: int, *, window_frames: int, hop_frames: int | None = None) -> Iterator[Window]:
    """Yield the windows that cover a video, in order of their starts.

    The last window may be shorter than the others; a window that would hold no frame that an earlier window lacks
    is not planned. With a hop above the window, frames between windows are not covered.

    Args:
        n_frames: Length of the video in frames, at least 1.
        window_frames: Length of a window in frames, at least 1.
        hop_frames: Start to start, at least 1; the window's length where None.

    Raises:
        ConfigError: One of them is below 1.

    References:
        BAH paper, appendix E.2.1: windows slide without overlap and cover every frame.

    >>> list(plan_windows(10, window_frames=4))
    [Window(start=0, stop=4), Window(start=4, stop=8), Window(start=8, stop=10)]
    """
    hop = window_frames if hop_frames is None else hop_frames
    if n_frames < 1 or window_frames < 1 or hop < 1:
        raise ConfigError(
            f"Frames, window and hop must be at least 1, but got {n_frames}, {window_frames} and {hop}.",
            remedy="Give --window and --hop as positive lengths.",
        )
    start = 0
    while start < n_frames:
        stop = min(start + window_frames, n_frames)
        yield Window(start, stop)
        if stop == n_frames:
            return
        start += hop
