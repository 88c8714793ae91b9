"""One sequential pass over a video that serves every window of a run.

Decoding anew for each window reads an average video 55 times at windows of 8 frames. Here each frame is decoded once,
and only the sampled ones are converted and resized, once each, however many windows show them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError, MediaError
from bah_mllm.core.records import Clip
from bah_mllm.core.timeline import Window
from bah_mllm.media.containers import open_media, video_stream
from bah_mllm.media.numbering import shown_frames
from bah_mllm.media.probe import MediaInfo, probe
from bah_mllm.media.resizing import RESIZERS, pixel_aspect_of
from bah_mllm.media.sampling import SAMPLERS, SampledIndices, sample_indices
from bah_mllm.media.timing import growing_times

if TYPE_CHECKING:
    from jaxtyping import UInt8

__all__ = ["ClipSpec", "DecodeReport", "read_clips"]

_MAX_ASPECT = 50  # a picture of 1 x 10,000 pixels would be blown up to 224 x 2,240,000 on its way


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """The clips that a model takes.

    Args:
        n_frames: Frames in a clip, at least 1.
        size_px: Height and width of a frame, at least 1.
        sampler: A name in ``SAMPLERS``.
        resize: A name in ``RESIZERS``.

    Raises:
        ConfigError: A value is none of these.
    """

    n_frames: int = 8
    size_px: int = 224
    sampler: str = "linspace"
    resize: str = "exact"

    def __post_init__(self) -> None:
        for what, value, choices in (("sampler", self.sampler, SAMPLERS), ("resize", self.resize, RESIZERS)):
            if value not in choices:
                raise ConfigError(
                    f"There is no --{what} {value!r}.", remedy=f"Choose one of: {', '.join(sorted(choices))}."
                )
        if self.n_frames < 1 or self.size_px < 1:
            raise ConfigError(
                f"A clip needs at least 1 frame of 1 pixel, but got {self.n_frames} frames of {self.size_px} px.",
                remedy="Give positive numbers.",
            )


@dataclass(slots=True)
class DecodeReport:
    """What reading a video took and found; grows while ``read_clips`` runs.

    Args:
        n_frames: Frames that really decode; None until the end is reached, or where no window is planned.
        n_corrupt: Packets that did not decode, and frames that the decoder marks as damaged.
        n_missing: Frames in the middle that do not decode, each shown by the one before it.
        frames_decoded: Frames decoded, over all passes.
        frames_converted: Frames converted and resized, over all passes.
        passes: Times the file was read: 1, or 2 where the true count of frames was not the planned one.
    """

    n_frames: int | None = None
    n_corrupt: int = 0
    n_missing: int = 0
    frames_decoded: int = 0
    frames_converted: int = 0
    passes: int = 0


def read_clips(
    path: Path,
    plan: Callable[[int], Iterable[Window]],
    spec: ClipSpec,
    *,
    info: MediaInfo | None = None,
    report: DecodeReport | None = None,
) -> Generator[tuple[Window, Clip]]:
    """Yield the clip of every planned window, each as soon as its last frame is decoded, in order of their stops.

    The windows are exactly ``plan(n)`` for the true count of frames n, which is known only at the end: until then
    ``plan(info.n_frames)`` is worked on, windows that end where the video should end wait for it, and where it ends
    elsewhere the video is planned again and a second pass yields what is then missing (in order of its own).

    Args:
        path: A video file.
        plan: Count of frames -> windows, in any order and of any sizes, doubles merged. A window that stops before the
            end must be in the plan for every other count of frames that reaches its stop, as with ``plan_windows``.
            Windows that are already done may be left out; where none is left, the file is not read.
        spec: The clips that the model takes.
        info: What ``probe`` said about the file; asked where None.
        report: Filled while running.

    Raises:
        MediaError: The file cannot be read, or none of it decodes.
    """
    info = probe(path) if info is None else info
    reader = _Reader(path, spec, DecodeReport() if report is None else report)
    planned = frozenset(plan(info.n_frames))
    if not planned:
        return
    n_frames = yield from reader.read(planned, n_frames=info.n_frames)
    if n_frames == info.n_frames:
        return
    if n_frames == 0:
        raise MediaError(f"No frame of {path} can be decoded.", remedy="Copy the file again, or convert it to H.264.")
    planned = frozenset(plan(n_frames))
    if not reader.emitted <= planned:
        raise ValueError(f"plan({info.n_frames}) and plan({n_frames}) disagree on windows before the end")
    missing = planned - reader.emitted
    n_again = (yield from reader.read(missing, n_frames=n_frames)) if missing else n_frames
    if n_again != n_frames:
        raise MediaError(
            f"{path} decodes to {n_frames} frames, then to {n_again}.",
            remedy="Copy the file again, or convert it to H.264.",
        )


@dataclass(slots=True)
class _Reader:
    """Passes over one file.

    ``kept`` holds the sampled frames that a window still waits for (frame number -> picture and time), ``n_waiting``
    how many windows wait for each frame that is or will be sampled, ``emitted`` the windows yielded before the end.
    """

    path: Path
    spec: ClipSpec
    report: DecodeReport
    kept: dict[int, tuple[np.ndarray, float]] = field(default_factory=dict)
    n_waiting: Counter[int] = field(default_factory=Counter)
    emitted: set[Window] = field(default_factory=set)

    def read(self, windows: frozenset[Window], *, n_frames: int) -> Generator[tuple[Window, Clip], None, int]:
        """Yield the clips of windows in one pass over a video that should have ``n_frames``; return the true count.

        Windows that stop at ``n_frames`` are yielded only where the video really ends there. Reads to the end even
        where no window is left: only there is the true count known, and with it whether there are more windows.
        """
        if any(window.stop > n_frames for window in windows):
            raise ValueError(f"a window is planned beyond the {n_frames} frames of the video")
        sampled = {window: sample_indices(window, self.spec.n_frames, self.spec.sampler) for window in windows}
        self.kept.clear()
        self.n_waiting = Counter(index for sample in sampled.values() for index in set(sample.indices))
        queue = deque(sorted(windows, key=lambda window: (window.stop, window.start)))
        with open_media(self.path) as container:
            n_decoded = 0
            for picture, t_s in self._pictures(container):
                if picture is not None:
                    self.kept[n_decoded] = picture, t_s
                n_decoded += 1
                while queue and queue[0].stop == n_decoded < n_frames:
                    window = queue.popleft()
                    self.emitted.add(window)
                    yield window, self._take(sampled[window])
        self.report.n_frames = n_decoded
        if n_decoded == n_frames:
            for window in queue:
                yield window, self._take(sampled[window])
        return n_decoded

    def _pictures(self, container: Any) -> Iterator[tuple[UInt8[np.ndarray, "size size 3"] | None, float]]:  # noqa: ANN401
        """Yield for every frame that decodes its time and, where a window samples it, its picture."""
        import av.video.reformatter

        resize, reformatter = RESIZERS[self.spec.resize], av.video.reformatter.VideoReformatter()
        self.report.passes += 1
        self.report.n_corrupt = self.report.n_missing = 0
        stream = video_stream(container, self.path)
        times, pixel_aspect = growing_times(stream), pixel_aspect_of(stream)
        k = 0
        for shown in shown_frames(container, stream, self.path):
            if shown is None:
                self.report.n_corrupt += 1
                continue
            self.report.n_missing += shown.is_stand_in
            self.report.n_corrupt += bool(shown.frame.is_corrupt) and not shown.is_stand_in
            self.report.frames_decoded += not shown.is_stand_in
            picture = None
            if k in self.n_waiting:
                self._refuse_elongated(shown.frame)
                picture = resize(shown.frame, self.spec.size_px, reformatter, pixel_aspect)
                self.report.frames_converted += 1
            yield picture, times.time_of(shown.pts, shown.dts)
            k += 1

    def _take(self, sample: SampledIndices) -> Clip:
        """Return a clip of kept frames, and let go of those that no other window waits for."""
        clip = Clip(
            frames=np.stack([self.kept[index][0] for index in sample.indices]),
            indices=sample.indices,
            t_s=np.array([self.kept[index][1] for index in sample.indices]),
            is_short=sample.is_short,
        )
        for index in set(sample.indices):
            self.n_waiting[index] -= 1
            if not self.n_waiting[index]:
                del self.kept[index]
        return clip

    def _refuse_elongated(self, frame: Any) -> None:  # noqa: ANN401
        if max(frame.width, frame.height) > _MAX_ASPECT * min(frame.width, frame.height):
            raise MediaError(
                f"{self.path} has a frame of {frame.width} x {frame.height} px, which is too elongated.",
                remedy=f"Give videos whose longer edge is at most {_MAX_ASPECT} times the shorter.",
            )
