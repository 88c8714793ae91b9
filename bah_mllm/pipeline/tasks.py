"""The work of a run, video by video: each window is decoded as it is asked for, and rendered into its prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter

from bah_mllm.core.errors import MediaError
from bah_mllm.core.records import Status
from bah_mllm.core.timeline import Window
from bah_mllm.media import ClipSpec, DecodeReport, read_clips
from bah_mllm.pipeline.asking import Asking, WindowTask, settle
from bah_mllm.pipeline.planning import RunPlan, Span, VideoPlan
from bah_mllm.predictions import PredictionKey, PredictionRow

__all__ = ["WindowTasks"]


class WindowTasks:
    """Iterates over the windows of a run that are not done.

    Args:
        run_plan: All windows.
        done: Keys of rows that need not be made again.

    Attributes:
        counters: Running totals of the decoding so far.
        decoding_s: Seconds spent on it.
    """

    def __init__(self, run_plan: RunPlan, done: set[PredictionKey]) -> None:
        self._run_plan = run_plan
        self._done = done
        self._asking = Asking(run_plan)
        self.counters = {
            "frames_decoded": 0,
            "frames_converted": 0,
            "decoding_passes": 0,
            "corrupt_packets": 0,
            "missing_frames": 0,
        }
        self.decoding_s = 0.0

    def __iter__(self) -> Iterator[WindowTask]:
        for plan in self._run_plan.plans:
            yield from self._tasks_of(plan)

    def _tasks_of(self, plan: VideoPlan) -> Iterator[WindowTask]:
        if plan.problem is not None:
            if any(self._is_open(plan, span) for span in self._run_plan.spans(plan)):
                yield WindowTask(None, (), self._without_media(plan))
        elif not self._run_plan.needs_pixels:
            for span in self._run_plan.spans(plan):
                if self._is_open(plan, span):
                    yield self._asking.task(plan, span, None)
        else:
            try:
                yield from self._decoded(plan)
            except MediaError as error:
                yield WindowTask(None, (), self._without_media(replace(plan, info=None, problem=error.problem)))

    def _decoded(self, plan: VideoPlan) -> Iterator[WindowTask]:
        """Decode once for all windows that are not done; nothing is decoded where none is left."""
        assert plan.info is not None
        assert plan.video.path is not None

        def wanted(n_frames: int) -> list[Window]:
            spans = self._run_plan.spans(plan, n_frames)
            return [span.window for span in spans if span.window is not None and self._is_open(plan, span)]

        capabilities, config = self._run_plan.engine.capabilities, self._run_plan.setup.config
        spec = ClipSpec(
            n_frames=capabilities.n_frames,
            size_px=capabilities.frame_size_px,
            sampler=config.sampler,
            resize=config.resize,
        )
        report = DecodeReport()
        spans = {span.window: span for span in self._run_plan.spans(plan)}
        started = perf_counter()
        try:
            for window, clip in read_clips(plan.video.path, wanted, spec, info=plan.info, report=report):
                self.decoding_s += perf_counter() - started
                if window not in spans:  # the true count of frames was another one: planned again
                    spans = {span.window: span for span in self._run_plan.spans(plan, report.n_frames)}
                yield self._asking.task(plan, spans[window], clip)
                started = perf_counter()
        finally:
            self.decoding_s += perf_counter() - started
            self.counters["frames_decoded"] += report.frames_decoded
            self.counters["frames_converted"] += report.frames_converted
            self.counters["decoding_passes"] += report.passes
            self.counters["corrupt_packets"] += report.n_corrupt
            self.counters["missing_frames"] += report.n_missing

    def _is_open(self, plan: VideoPlan, span: Span) -> bool:
        """Return whether any row of a window is missing; then all of its prompts are asked again."""
        rows = (row for prompt_rows in self._run_plan.blank_rows(plan, span) for row in prompt_rows)
        return any(row.key not in self._done for row in rows)

    def _without_media(self, plan: VideoPlan) -> tuple[PredictionRow, ...]:
        """Return the rows of a video whose file is missing or broken: one per prompt and length, without a span."""
        reason = plan.problem or "the video file is missing"
        if plan.video.path is not None:
            # The row names the video by its id; a path on this machine is nobody's business.
            reason = reason.replace(str(plan.video.path), plan.video.video_id)
        return tuple(
            settle(row, Status.NO_MEDIA, reason)
            for span in self._run_plan.spans(plan)
            for rows in self._run_plan.blank_rows(plan, span)
            for row in rows
        )
