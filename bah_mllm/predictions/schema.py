"""One prediction row: the interface between running a method and judging it.

Columns, in order: see ``PredictionRow``. ``KEY`` is unique in a run; a later row replaces an earlier one.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bah_mllm.core.records import Level, Status, Variant
from bah_mllm.core.timeline import MAX_FRAMES

__all__ = ["COLUMNS", "KEY", "PredictionKey", "PredictionRow"]

PredictionKey = tuple[str, str, str, str, int | None, int | None, int | None]

KEY = ("system", "variant", "video_id", "level", "start_frame", "stop_frame", "window_frames")


class PredictionRow(BaseModel):
    """What one system says about one window or one video, or why it says nothing.

    Args:
        system: ``prompt@engine:model``, or a trained model's name.
        variant: How the prompt was asked.
        video_id: The path in the split file.
        participant_id: Who answers in the video.
        level: ``frame`` rows score every frame of their span; ``video`` rows score the video.
        start_frame: First frame of the span; None where the video is not there.
        stop_frame: One past the last frame; None where the video is not there.
        window_frames: The window asked for, in frames (the last one of a video may be shorter); None at video level.
        window_s: The window asked for, in seconds, where it was; ``window_frames`` is then its length at this video's
            frame rate, and rows that differ in it belong together.
        hop_frames: Start to start, in frames; None at video level.
        p_positive: Probability of ambivalence or hesitancy, 0 to 1; None unless the status is ``ok``, or where the
            system gives only labels.
        label: 1 or 0 where the system gives a label of its own (a parsed reply); None where only ``p_positive`` is.
        status: What became of the prediction.
        detail: Reason of a failure, or notes (neutralised markers ...). Never words of a participant.
        logp: Natural-log probability per label text; None where labels were not scored.
        reply: Generated text; None where nothing was generated.
        seconds: Computing time of the batch, divided by its rows.
        short_clip: The window held fewer frames than the model takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: Annotated[str, Field(min_length=1)]
    variant: Variant = Variant.MAIN
    video_id: Annotated[str, Field(min_length=1)]
    participant_id: str
    level: Level
    start_frame: Annotated[int, Field(ge=0, lt=MAX_FRAMES)] | None = None
    stop_frame: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = None
    window_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = None
    window_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    hop_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] | None = None
    p_positive: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    label: Annotated[int, Field(ge=0, le=1)] | None = None
    status: Status = Status.OK
    detail: str | None = None
    logp: dict[str, float] | None = None
    reply: str | None = None
    seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    short_clip: bool = False

    @model_validator(mode="after")
    def _a_result_or_a_reason(self) -> PredictionRow:
        has_result = self.p_positive is not None or self.label is not None
        if has_result != (self.status is Status.OK):
            raise ValueError(
                f"status {self.status.value!r} and a {'given' if has_result else 'missing'} score disagree"
            )
        if (self.start_frame is None) != (self.stop_frame is None):
            raise ValueError("start_frame and stop_frame must be given together")
        if self.start_frame is not None and self.stop_frame is not None and self.start_frame >= self.stop_frame:
            raise ValueError(f"the span [{self.start_frame}, {self.stop_frame}) holds no frame")
        return self

    @property
    def key(self) -> PredictionKey:
        """The values of ``KEY``."""
        return (
            self.system,
            self.variant.value,
            self.video_id,
            self.level.value,
            self.start_frame,
            self.stop_frame,
            self.window_frames,
        )


COLUMNS = tuple(PredictionRow.model_fields)
