"""Which windows of which videos are asked about, and the blank rows that their answers will fill in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from bah_mllm.core.clock import FrameClock, plan_timed_windows
from bah_mllm.core.engine import EngineFacts
from bah_mllm.core.errors import MediaError
from bah_mllm.core.records import Level, Status, Variant, Video
from bah_mllm.core.saying import say
from bah_mllm.core.timeline import Length, Window, plan_windows
from bah_mllm.media import MediaInfo, probe
from bah_mllm.pipeline.setup import Setup
from bah_mllm.predictions import PredictionRow
from bah_mllm.prompting import Need, PromptTemplate

__all__ = ["WHOLE_VIDEO", "Lengths", "RunPlan", "Span", "VideoPlan", "plan_run", "plan_spans", "plan_videos"]

_PROBES_AT_ONCE = 4


class Lengths(NamedTuple):
    """Window and hop as asked for: in frames (at the average rate), and in seconds where they were given so."""

    window_frames: int | None
    hop_frames: int | None
    window_s: float | None
    hop_s: float | None


WHOLE_VIDEO = Lengths(None, None, None, None)


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
    def clock(self) -> FrameClock:
        """When each frame is shown; 24 a second, the rate of BAH, where the file does not tell."""
        return (self.info.clock if self.info is not None else None) or FrameClock(24.0)


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


def plan_spans(
    n_frames: int, *, level: Level, lengths: Sequence[Lengths], clock: FrameClock | None = None
) -> tuple[Span, ...]:
    """Return the windows of one video, each once, in the order in which decoding completes them.

    Args:
        n_frames: Length of the video in frames.
        level: At video level the only window is the whole video.
        lengths: Windows and hops asked for.
        clock: When each frame is shown; without it, or where it is even, a length in seconds is one of frames.
    """
    if level is Level.VIDEO:
        return (Span(Window(0, n_frames), (WHOLE_VIDEO,)),)
    asked: dict[Window, list[Lengths]] = defaultdict(list)
    for length in lengths:
        for window in _windows(n_frames, length, clock):
            asked[window].append(length)
    in_order = sorted(asked, key=lambda window: (window.stop, window.start))
    return tuple(Span(window, tuple(asked[window])) for window in in_order)


def _windows(n_frames: int, length: Lengths, clock: FrameClock | None) -> Iterator[Window]:
    if clock is not None and clock.times_s is not None and length.window_s is not None and length.hop_s is not None:
        yield from plan_timed_windows(n_frames, clock, window_s=length.window_s, hop_s=length.hop_s)
    elif length.window_frames is not None:
        yield from plan_windows(n_frames, window_frames=length.window_frames, hop_frames=length.hop_frames)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The windows of a whole run and the rows that they lead to, before anything is decoded.

    Args:
        setup: The run.
        engine: Who will answer; names the systems.
        plans: The videos that are run, and what is known of their files.
    """

    setup: Setup
    engine: EngineFacts
    plans: tuple[VideoPlan, ...]

    @property
    def needs_pixels(self) -> bool:
        """Whether videos have to be decoded: the engine sees them, and a prompt asks about one."""
        return _needs_pixels(self.setup, self.engine)

    @property
    def usable(self) -> tuple[VideoPlan, ...]:
        """Videos whose file can be read, or is not needed."""
        return tuple(plan for plan in self.plans if plan.problem is None)

    @property
    def n_rows(self) -> int:
        """Rows of the whole run, done or not, as far as the files tell before decoding."""
        n_questions = len(self.setup.templates) * len(self.setup.variants)
        return n_questions * sum(len(span.lengths) for plan in self.plans for span in self.spans(plan))

    @property
    def n_windows(self) -> int:
        """Windows of the whole run, one for several lengths where they coincide."""
        return sum(len(self.spans(plan)) for plan in self.usable)

    def windows_per_length(self) -> dict[int | None, int]:
        """Return how many windows there are of each length asked for, in frames (None: whole videos)."""
        spans = (span for plan in self.usable for span in self.spans(plan))
        return dict(Counter(length.window_frames for span in spans for length in span.lengths))

    def spans(self, plan: VideoPlan, n_frames: int | None = None) -> tuple[Span, ...]:
        """Return the windows of a video; one without frames where its file is not needed or not there.

        Args:
            plan: The video.
            n_frames: True count of frames, where it is not what the file says.
        """
        lengths, level = self.lengths(plan), self.setup.config.level
        if plan.info is None:
            return (Span(None, lengths if level is Level.FRAME else (WHOLE_VIDEO,)),)
        return plan_spans(n_frames or plan.info.n_frames, level=level, lengths=lengths, clock=plan.clock)

    def lengths(self, plan: VideoPlan) -> tuple[Lengths, ...]:
        """Return the windows asked for, in frames of this video; lengths that come to the same are one."""
        config = self.setup.config
        fps = plan.clock.fps
        found: dict[int, Lengths] = {}
        for length in map(Length.parse, config.windows):
            hop = Length.parse(config.hop) if config.hop is not None else length
            frames = Lengths(length.in_frames(fps=fps), hop.in_frames(fps=fps), length.seconds, hop.seconds)
            found.setdefault(length.in_frames(fps=fps), frames)
        return tuple(found.values())

    def blank_rows(self, plan: VideoPlan, span: Span) -> list[tuple[PredictionRow, ...]]:
        """Return, for each prompt in each variant, one row without result per length that led to the window."""
        return [
            tuple(self._blank_row(plan, template, variant, span.window, length) for length in span.lengths)
            for template in self.setup.templates
            for variant in self.setup.variants
        ]

    def _blank_row(
        self, plan: VideoPlan, template: PromptTemplate, variant: Variant, window: Window | None, length: Lengths
    ) -> PredictionRow:
        return PredictionRow(
            system=_system_name(template, self.engine, self.setup.config.control),
            variant=variant,
            video_id=plan.video.video_id,
            participant_id=plan.video.participant_id,
            level=self.setup.config.level,
            start_frame=None if window is None else window.start,
            stop_frame=None if window is None else window.stop,
            window_frames=length.window_frames,
            window_s=length.window_s,
            hop_frames=length.hop_frames,
            status=Status.ENGINE_ERROR,
            detail="not answered",
        )


def plan_run(setup: Setup, engine: EngineFacts) -> RunPlan:
    """Look at the files of a run's videos, where they are needed, and plan all windows."""
    needs_media = setup.config.level is Level.FRAME or _needs_pixels(setup, engine)
    run_plan = RunPlan(setup, engine, tuple(plan_videos(setup.videos, needs_media=needs_media)))
    lengths = (length for plan in run_plan.plans for length in run_plan.lengths(plan))
    if setup.config.level is Level.FRAME and any(_leaves_gaps(length) for length in lengths):
        say("note: the hop is longer than the window, so that the frames between two windows get no score.")
    several = [plan.video.video_id for plan in run_plan.plans if plan.info and plan.info.n_video_streams > 1]
    if several:
        say(f"note: {several[0]} and {len(several) - 1} more hold several streams of pictures; the main one is read.")
    return run_plan


def _needs_pixels(setup: Setup, engine: EngineFacts) -> bool:
    return engine.capabilities.sees_video and any(Need.VIDEO in template.front.needs for template in setup.templates)


def _leaves_gaps(length: Lengths) -> bool:
    return (length.hop_frames or 0) > (length.window_frames or 0)


def _system_name(template: PromptTemplate, engine: EngineFacts, control: str | None) -> str:
    """Return the name of a system: ``prompt@engine:model``, as a control run ``prompt~control@engine:model``."""
    prompt = template.name if control is None else f"{template.name}~{control}"
    return f"{prompt}@{engine.name}:{engine.model}"
