"""From videos to windows with their prompts: what the engine is asked, and the rows that need no engine."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from bah_mllm.core.engine import EngineFacts
from bah_mllm.core.errors import DataError, MediaError
from bah_mllm.core.records import Clip, Level, RenderedPrompt, Status, Transcript, Variant, Video, WindowJob
from bah_mllm.core.saying import say
from bah_mllm.core.timeline import Length, Window, time_of
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.rendering import render_cues
from bah_mllm.cues.store import Observation, cue_paths, read_cues
from bah_mllm.media import ClipSpec, DecodeReport, read_clips
from bah_mllm.pipeline.plan import WHOLE_VIDEO, Lengths, Span, VideoPlan, plan_spans
from bah_mllm.pipeline.setup import Setup, cues_folder
from bah_mllm.predictions import PredictionKey, PredictionRow
from bah_mllm.prompting import (
    CONTENT_FREE_TEXT,
    Need,
    PromptTemplate,
    PromptValues,
    missing_needs,
    neutralise,
    render_prompt,
)
from bah_mllm.transcripts import words_in

__all__ = ["Task", "Tasks", "donors", "needs_pixels", "system_name"]


_IN_PLACE_OF_VIDEO = "Observed in the video, automatic and compared with this person's usual behaviour:"


def system_name(template: PromptTemplate, engine: EngineFacts, control: str | None = None) -> str:
    """Return the name of a system: ``prompt@engine:model``, as a control run ``prompt~control@engine:model``."""
    prompt = template.name if control is None else f"{template.name}~{control}"
    return f"{prompt}@{engine.name}:{engine.model}"


def needs_pixels(setup: Setup, engine: EngineFacts) -> bool:
    """Return whether videos have to be decoded: the engine sees them, and a prompt asks about one."""
    return engine.capabilities.sees_video and any(Need.VIDEO in template.front.needs for template in setup.templates)


@dataclass(frozen=True, slots=True)
class Task:
    """One window of one video, ready for the engine.

    Args:
        job: What the engine is asked; None where no prompt can be asked.
        questions: For each prompt of the job, the rows to fill in: one per length that led to this window.
        settled: Rows that need no engine, because something that the prompt needs is missing.
    """

    job: WindowJob | None
    questions: tuple[tuple[PredictionRow, ...], ...]
    settled: tuple[PredictionRow, ...]


class Tasks:
    """The work of a run, video by video, decoded as it is asked for.

    Args:
        setup: The run.
        engine: Who will answer; decides whether pixels are needed.
        plans: The videos and what is known of their files.
        done: Keys of rows that need not be made again.
    """

    def __init__(self, setup: Setup, engine: EngineFacts, plans: Sequence[VideoPlan], done: set[PredictionKey]) -> None:
        self._setup = setup
        self._engine = engine
        self._plans = plans
        self._done = done
        self._markers = engine.control_markers()
        self._level = setup.config.level
        self._cues_folder = cues_folder(setup.config)
        videos = setup.dataset.videos(setup.split)
        self._donors = donors([video for video in videos if video.transcript is not None], seed=setup.config.seed)
        self._cue_donors = donors([video for video in videos if self._has_cues(video)], seed=setup.config.seed)
        self._known_cues: dict[str, tuple[Observation, tuple[CueEvent, ...]] | None] = {}
        # A text engine reads them in place of the video, whatever the prompt names.
        self._shows_cues = not engine.capabilities.sees_video or any(
            Need.CUES in template.variables for template in setup.templates
        )
        self._needs_times = any(Need.WINDOW_TRANSCRIPT in template.variables for template in setup.templates)
        self._needs_pixels = needs_pixels(setup, engine)
        self.counters = {"frames_decoded": 0, "frames_converted": 0, "decoding_passes": 0, "corrupt_packets": 0}
        self.decoding_s = 0.0
        gaps = {length for plan in plans for length in self._lengths(plan) if _leaves_gaps(length)}
        if gaps and self._level is Level.FRAME:
            say("note: the hop is longer than the window, so that the frames between two windows get no score.")

    @property
    def n_rows(self) -> int:
        """Rows of the whole run, done or not, as far as the files tell before decoding."""
        n_questions = len(self._setup.templates) * len(self._setup.variants)
        return n_questions * sum(len(span.lengths) for plan in self._plans for span in self._spans(plan))

    @property
    def n_windows(self) -> int:
        """Windows of the whole run, one for several lengths where they coincide."""
        return sum(len(self._spans(plan)) for plan in self._plans if plan.problem is None)

    @property
    def n_distinct_texts(self) -> int:
        """Times that each prompt's text has to be read: once a window, or once a video for a model without eyes."""
        has_cues = self._shows_cues and self._cues_folder is not None
        per_window = self._needs_pixels or self._needs_times or has_cues
        return self.n_windows if per_window else sum(plan.problem is None for plan in self._plans)

    def windows_per_length(self) -> dict[int | None, int]:
        """Return how many windows there are of each length asked for, in frames (None: whole videos)."""
        usable = [plan for plan in self._plans if plan.problem is None]
        return dict(
            Counter(length.window_frames for plan in usable for span in self._spans(plan) for length in span.lengths)
        )

    def first_prompt(self) -> RenderedPrompt | None:
        """Return the first prompt that can be rendered, as the model would be asked it."""
        for plan in self._plans:
            for span in self._spans(plan):
                job = self._task(plan, span, None).job
                if job is not None:
                    return job.prompts[0]
        return None

    def _spans(self, plan: VideoPlan, n_frames: int | None = None) -> tuple[Span, ...]:
        """Return the windows of a video; one without frames where its file is not needed or not there.

        Args:
            plan: The video.
            n_frames: True count of frames, where it is not what the file says.
        """
        lengths = self._lengths(plan)
        if plan.info is None:
            return (Span(None, lengths if self._level is Level.FRAME else (WHOLE_VIDEO,)),)
        return plan_spans(n_frames or plan.info.n_frames, level=self._level, lengths=lengths)

    def _lengths(self, plan: VideoPlan) -> tuple[Lengths, ...]:
        """Return the windows asked for, in frames of this video; lengths that come to the same are one."""
        config = self._setup.config
        hop_frames = Length.parse(config.hop).in_frames(fps=plan.fps) if config.hop is not None else None
        found: dict[int, Lengths] = {}
        for length in map(Length.parse, config.windows):
            window_frames = length.in_frames(fps=plan.fps)
            found.setdefault(window_frames, Lengths(window_frames, hop_frames or window_frames, length.seconds))
        return tuple(found.values())

    def __iter__(self) -> Iterator[Task]:
        for plan in self._plans:
            yield from self._tasks_of(plan)

    def _tasks_of(self, plan: VideoPlan) -> Iterator[Task]:
        if plan.problem is not None:
            if any(self._open_rows(plan, span) for span in self._spans(plan)):
                yield Task(None, (), self._without_media(plan))
        elif not self._needs_pixels:
            for span in self._spans(plan):
                if self._open_rows(plan, span):
                    yield self._task(plan, span, None)
        else:
            try:
                yield from self._decoded(plan)
            except MediaError as error:
                yield Task(None, (), self._without_media(replace(plan, info=None, problem=error.problem)))

    def _decoded(self, plan: VideoPlan) -> Iterator[Task]:
        """Decode once for all windows that are not done; nothing is decoded where none is left."""
        assert plan.info is not None
        assert plan.video.path is not None

        def wanted(n_frames: int) -> list[Window]:
            spans = self._spans(plan, n_frames)
            return [span.window for span in spans if span.window is not None and self._open_rows(plan, span)]

        capabilities, config = self._engine.capabilities, self._setup.config
        spec = ClipSpec(
            n_frames=capabilities.n_frames,
            size_px=capabilities.frame_size_px,
            sampler=config.sampler,
            resize=config.resize,
        )
        report = DecodeReport()
        spans = {span.window: span for span in self._spans(plan)}
        started = perf_counter()
        try:
            for window, clip in read_clips(plan.video.path, wanted, spec, info=plan.info, report=report):
                self.decoding_s += perf_counter() - started
                if window not in spans:  # the true count of frames was another one: planned again
                    spans = {span.window: span for span in self._spans(plan, report.n_frames)}
                yield self._task(plan, spans[window], clip)
                started = perf_counter()
        finally:
            self.decoding_s += perf_counter() - started
            self.counters["frames_decoded"] += report.frames_decoded
            self.counters["frames_converted"] += report.frames_converted
            self.counters["decoding_passes"] += report.passes
            self.counters["corrupt_packets"] += report.n_corrupt

    def _open_rows(self, plan: VideoPlan, span: Span) -> bool:
        """Return whether any row of a window is missing; then all of its prompts are asked again."""
        rows = (row for prompt_rows in self._blank_rows(plan, span) for row in prompt_rows)
        return any(row.key not in self._done for row in rows)

    def _blank_rows(self, plan: VideoPlan, span: Span) -> list[tuple[PredictionRow, ...]]:
        """Return, for each prompt in each variant, one row without result per length that led to the window."""
        return [
            tuple(self._blank_row(plan, template, variant, span.window, length) for length in span.lengths)
            for template in self._setup.templates
            for variant in self._setup.variants
        ]

    def _blank_row(
        self,
        plan: VideoPlan,
        template: PromptTemplate,
        variant: Variant,
        window: Window | None,
        length: Lengths,
    ) -> PredictionRow:
        return PredictionRow(
            system=system_name(template, self._engine, self._setup.config.control),
            variant=variant,
            video_id=plan.video.video_id,
            participant_id=plan.video.participant_id,
            level=self._level,
            start_frame=None if window is None else window.start,
            stop_frame=None if window is None else window.stop,
            window_frames=length.window_frames,
            window_s=length.window_s,
            hop_frames=length.hop_frames,
            status=Status.ENGINE_ERROR,
            detail="not answered",
        )

    def _task(self, plan: VideoPlan, span: Span, clip: Clip | None) -> Task:
        """Render all prompts of a window; those that lack something become settled rows."""
        clip = self._controlled(clip)
        prompts: list[RenderedPrompt] = []
        questions: list[tuple[PredictionRow, ...]] = []
        settled: list[PredictionRow] = []
        blank = iter(self._blank_rows(plan, span))
        values = self._values(plan, span.window)
        for template in self._setup.templates:
            missing = missing_needs(template, values)
            for variant in self._setup.variants:
                rows = next(blank)
                if missing:
                    settled += [_lacking(row, missing) for row in rows]
                    continue
                prompt = render_prompt(template, values, self._markers, variant=variant)
                prompts.append(self._with_cues_for_video(prompt, template, values))
                questions.append(rows)
        job = WindowJob(plan.video.video_id, span.window, clip, tuple(prompts)) if prompts else None
        return Task(job, tuple(questions), tuple(settled))

    def _with_cues_for_video(
        self, prompt: RenderedPrompt, template: PromptTemplate, values: PromptValues
    ) -> RenderedPrompt:
        """Put the cues of the window in place of the video, for an engine that sees none."""
        is_blind = not self._engine.capabilities.sees_video and Need.VIDEO in template.front.needs
        if not is_blind or values.cues is None or Need.CUES in template.variables:
            return prompt
        cues = values.cues if prompt.variant is not Variant.CONTENT_FREE else CONTENT_FREE_TEXT
        return replace(prompt, text=f"{_IN_PLACE_OF_VIDEO} {neutralise(cues, self._markers).text}\n{prompt.text}")

    def _values(self, plan: VideoPlan, window: Window | None) -> PromptValues:
        """Collect what prompts may show of a window. Labels, certainty, cues and annotators are not among it."""
        if self._setup.config.control == "no-transcript":
            nothing = CONTENT_FREE_TEXT
            return PromptValues(
                transcript=nothing,
                question=plan.video.question,
                window_transcript=nothing,
                cues=self._cues(plan, window),
            )
        transcript = self._transcript(plan.video)
        spoken: str | None = None
        if window is not None and transcript is not None and (transcript.words or transcript.chunks):
            start_s, stop_s = time_of(window.start, fps=plan.fps), time_of(window.stop, fps=plan.fps)
            spoken = words_in(transcript, start_s, stop_s)
        return PromptValues(
            transcript=transcript.text if transcript is not None else None,
            question=plan.video.question,
            window_transcript=spoken,
            cues=self._cues(plan, window),
        )

    def _has_cues(self, video: Video) -> bool:
        return self._cues_folder is not None and cue_paths(self._cues_folder, video.video_id)[0].exists()

    def _cues(self, plan: VideoPlan, window: Window | None) -> str | None:
        """Return what stood out in a window, or in the whole video; None where nobody looked, or nobody can lend."""
        config, video = self._setup.config, plan.video
        if self._cues_folder is None or not self._shows_cues:
            return None
        if config.control == "shuffled-cues":
            lender = self._cue_donors.get(video.video_id, video)
            if lender.video_id == video.video_id:
                return None
            video = lender
        if video.video_id not in self._known_cues:
            self._known_cues = {video.video_id: read_cues(self._cues_folder, video.video_id)}
        known = self._known_cues[video.video_id]
        if known is None:
            return None
        return render_cues(
            *known,
            start_s=0.0 if window is None else time_of(window.start, fps=plan.fps),
            stop_s=None if window is None else time_of(window.stop, fps=plan.fps),
            tokens_per_10s=config.cue_tokens_per_10s,
            modalities=[name for name in config.cue_modalities if name != "words" or config.control != "no-transcript"],
        )

    def _without_media(self, plan: VideoPlan) -> tuple[PredictionRow, ...]:
        """Return the rows of a video whose file is missing or broken: one per prompt and length, without a span."""
        reason = plan.problem or "the video file is missing"
        if plan.video.path is not None:
            # The row names the video by its id; a path on this machine is nobody's business.
            reason = reason.replace(str(plan.video.path), plan.video.video_id)
        return tuple(
            _settle(row, Status.NO_MEDIA, reason)
            for span in self._spans(plan)
            for rows in self._blank_rows(plan, span)
            for row in rows
        )

    def _transcript(self, video: Video) -> Transcript | None:
        if self._setup.config.control == "shuffled-transcript" and video.transcript is not None:
            video = self._donors[video.video_id]
        if not self._needs_times:
            return video.transcript
        try:
            return self._setup.dataset.transcript(video)
        except DataError as error:
            say(f"note: {video.video_id} has no usable word times: {error.problem}")
            return video.transcript

    def _controlled(self, clip: Clip | None) -> Clip | None:
        if clip is None or self._setup.config.control == "no-video":
            return None
        return replace(clip, frames=clip.frames * 0) if self._setup.config.control == "black-video" else clip


def _lacking(row: PredictionRow, missing: Sequence[Need]) -> PredictionRow:
    about_question = all(need in (Need.QUESTION, Need.QUESTION_TEXT) for need in missing)
    reason = f"the prompt needs {' and '.join(missing)}, which the data set does not have for this video"
    status = Status.NO_CUES if all(need is Need.CUES for need in missing) else Status.NO_TRANSCRIPT
    return _settle(row, Status.NO_QUESTION if about_question else status, reason)


def donors(videos: Sequence[Video], *, seed: int) -> dict[str, Video]:
    """Return for each video another one that lends it its transcript or cues, somebody else's where possible.

    Every video lends once, so that what is shown of the split as a whole stays the same. A single one has only itself.

    Args:
        videos: Those of a whole split that have what is lent, so that the first few of a run borrow as all would.
        seed: Of the order of participants, and of the videos of each.
    """
    draw = random.Random(seed)  # noqa: S311 - not a secret
    people = sorted({video.participant_id for video in videos})
    draw.shuffle(people)
    rank = {person: index for index, person in enumerate(people)}
    # In random order within a person: sorted by id, everybody would borrow from whoever answers the same question.
    lenders = sorted(videos, key=lambda video: video.video_id)
    draw.shuffle(lenders)
    lenders.sort(key=lambda video: rank[video.participant_id])
    # A shift by the largest number of videos of one person leads out of everybody's own.
    counts = Counter(video.participant_id for video in lenders)
    shift = max(counts.values(), default=0) if len(people) > 1 else 1
    return {video.video_id: lenders[(index + shift) % len(lenders)] for index, video in enumerate(lenders)}


def _leaves_gaps(length: Lengths) -> bool:
    return (length.hop_frames or 0) > (length.window_frames or 0)


def _settle(row: PredictionRow, status: Status, detail: str) -> PredictionRow:
    return row.model_copy(update={"status": status, "detail": detail})
