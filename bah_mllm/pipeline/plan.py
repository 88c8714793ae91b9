"""Which windows of which videos are asked about, and what that will cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from bah_mllm.core.errors import MediaError
from bah_mllm.core.records import Level, Video
from bah_mllm.core.timeline import Window, plan_windows
from bah_mllm.media import MediaInfo, probe

__all__ = ["WHOLE_VIDEO", "Lengths", "Span", "VideoPlan", "plan_spans", "plan_videos"]

_PROBES_AT_ONCE = 4


class Lengths(NamedTuple):
    """Window and hop as asked for: in frames, and the window in seconds where it was given so."""

    window_frames: int | None
    hop_frames: int | None
    window_s: float | None


WHOLE_VIDEO = Lengths(None, None, None)


@dataclass(frozen=True, slots=True)
class Span:
    """A window, and the lengths asked for that led to it: a short video has the same window for several.

    Args:
        window: Frames that the model sees, or None for a video-level question about words alone.
        lengths: What was asked for; all None at video level.
    """

    window: Window | None
    lengths: tuple[Lengths, ...]


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """One video and what is known of its file.

    Args:
        video: Which.
        info: Of its file; None where the file is not needed, or cannot be read.
        problem: Why the file cannot be read, or None.
    """

    video: Video
    info: MediaInfo | None
    problem: str | None

    @property
    def fps(self) -> float:
        """Frames a second; 24, the rate of BAH, where the file does not tell."""
        return (self.info.fps if self.info is not None else None) or 24.0


def plan_videos(videos: Sequence[Video], *, needs_media: bool) -> list[VideoPlan]:
    """Look at every video's file, so that windows can be counted before anything is decoded."""
    if not needs_media:
        return [VideoPlan(video, None, None) for video in videos]
    with ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
        return list(pool.map(_plan_video, videos))


def _plan_video(video: Video) -> VideoPlan:
    if video.path is None:
        return VideoPlan(video, None, "the video file is missing")
    try:
        return VideoPlan(video, probe(video.path), None)
    except MediaError as error:
        return VideoPlan(video, None, error.problem)


def plan_spans(n_frames: int, *, level: Level, lengths: Sequence[Lengths]) -> tuple[Span, ...]:
    """Return the windows of one video, each once, in the order in which decoding completes them.

    Args:
        n_frames: Length of the video in frames.
        level: At video level the only window is the whole video.
        lengths: Windows and hops asked for.
    """
    if level is Level.VIDEO:
        return (Span(Window(0, n_frames), (WHOLE_VIDEO,)),)
    asked: dict[Window, list[Lengths]] = defaultdict(list)
    for length in lengths:
        if length.window_frames is not None:
            for window in plan_windows(n_frames, window_frames=length.window_frames, hop_frames=length.hop_frames):
                asked[window].append(length)
    in_order = sorted(asked, key=lambda window: (window.stop, window.start))
    return tuple(Span(window, tuple(asked[window])) for window in in_order)
