"""From what is known of a window to the prompts that are asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.engine import EngineFacts
from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Clip, RenderedPrompt, Status, Transcript, Variant, Video, WindowJob
from bah_mllm.core.saying import say
from bah_mllm.core.timeline import Window
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.rendering import render_cues
from bah_mllm.cues.store import Observation, read_cues
from bah_mllm.pipeline.lending import Lending
from bah_mllm.pipeline.planning import RunPlan, Span, VideoPlan
from bah_mllm.pipeline.setup import Setup, cues_folder
from bah_mllm.predictions import PredictionRow
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

__all__ = ["Asking", "WindowTask", "settle"]

_IN_PLACE_OF_VIDEO = "Observed in the video, automatic and compared with this person's usual behaviour:"


@dataclass(frozen=True, slots=True)
class WindowTask:
    """One window of one video, ready for the engine.

    Args:
        job: What the engine is asked; None where no prompt can be asked.
        questions: For each prompt of the job, the rows to fill in: one per length that led to this window.
        settled: Rows that need no engine, because something that the prompt needs is missing.
    """

    job: WindowJob | None
    questions: tuple[tuple[PredictionRow, ...], ...]
    settled: tuple[PredictionRow, ...]


class Asking:
    """Renders the prompts of windows.

    Args:
        run_plan: The run.
    """

    def __init__(self, run_plan: RunPlan) -> None:
        self._run_plan = run_plan
        self._setup: Setup = run_plan.setup
        self._engine: EngineFacts = run_plan.engine
        self._markers = run_plan.engine.control_markers()
        self._lending = Lending.of_run(run_plan.setup)
        self._cues_folder = cues_folder(run_plan.setup.config)
        self._known_cues: dict[str, tuple[Observation, tuple[CueEvent, ...]] | None] = {}
        # A text engine reads them in place of the video, whatever the prompt names.
        self._shows_cues = not run_plan.engine.capabilities.sees_video or self._is_named(Need.CUES)
        self._needs_times = self._is_named(Need.WINDOW_TRANSCRIPT)

    @property
    def varies_by_window(self) -> bool:
        """Whether two windows of one video are asked about in different words, or with different pictures."""
        has_cues = self._shows_cues and self._cues_folder is not None
        return self._run_plan.needs_pixels or self._needs_times or has_cues

    def task(self, plan: VideoPlan, span: Span, clip: Clip | None) -> WindowTask:
        """Render all prompts of a window; those that lack something become settled rows."""
        clip = self._lending.pictures(clip)
        prompts: list[RenderedPrompt] = []
        questions: list[tuple[PredictionRow, ...]] = []
        settled: list[PredictionRow] = []
        blank = iter(self._run_plan.blank_rows(plan, span))
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
        return WindowTask(job, tuple(questions), tuple(settled))

    def _is_named(self, need: Need) -> bool:
        return any(need in template.variables for template in self._setup.templates)

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
        if self._lending.hides_words:
            nothing = CONTENT_FREE_TEXT
            return PromptValues(
                transcript=nothing,
                question=plan.video.question,
                window_transcript=nothing,
                cues=self._cues(plan, window),
            )
        transcript = self._transcript(plan.video)
        return PromptValues(
            transcript=transcript.text if transcript is not None else None,
            question=plan.video.question,
            window_transcript=_spoken_in(transcript, window, plan.clock),
            cues=self._cues(plan, window),
        )

    def _transcript(self, video: Video) -> Transcript | None:
        video = self._lending.words_from(video)
        if not self._needs_times:
            return video.transcript
        try:
            return self._setup.dataset.transcript(video)
        except DataError as error:
            say(f"note: {video.video_id} has no usable word times: {error.problem}")
            return video.transcript

    def _cues(self, plan: VideoPlan, window: Window | None) -> str | None:
        """Return what stood out in a window, or in the whole video; None where nobody looked, or nobody can lend."""
        config, lender = self._setup.config, self._lending.cues_from(plan.video)
        if self._cues_folder is None or not self._shows_cues or lender is None:
            return None
        if lender.video_id not in self._known_cues:
            self._known_cues = {lender.video_id: read_cues(self._cues_folder, lender.video_id)}
        known = self._known_cues[lender.video_id]
        if known is None:
            return None
        return render_cues(
            *known,
            start_s=0.0 if window is None else plan.clock.time_of(window.start),
            stop_s=None if window is None else plan.clock.time_of(window.stop),
            tokens_per_10s=config.cue_tokens_per_10s,
            modalities=[name for name in config.cue_modalities if name != "words" or not self._lending.hides_words],
        )


def _spoken_in(transcript: Transcript | None, window: Window | None, clock: FrameClock) -> str | None:
    """Return the words of a window; None where their times are unknown."""
    if window is None or transcript is None or not (transcript.words or transcript.chunks):
        return None
    return words_in(transcript, clock.time_of(window.start), clock.time_of(window.stop))


def _lacking(row: PredictionRow, missing: Sequence[Need]) -> PredictionRow:
    about_question = all(need in (Need.QUESTION, Need.QUESTION_TEXT) for need in missing)
    reason = f"the prompt needs {' and '.join(missing)}, which the data set does not have for this video"
    status = Status.NO_CUES if all(need is Need.CUES for need in missing) else Status.NO_TRANSCRIPT
    return settle(row, Status.NO_QUESTION if about_question else status, reason)


def settle(row: PredictionRow, status: Status, detail: str) -> PredictionRow:
    """Return a blank row as one that needs no engine, with the reason why."""
    return row.model_copy(update={"status": status, "detail": detail})
