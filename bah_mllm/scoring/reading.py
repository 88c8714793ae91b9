"""From what an engine answered to what is written into a prediction row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bah_mllm.core.errors import EngineError
from bah_mllm.core.records import Answer, RenderedPrompt, Status
from bah_mllm.scoring.labels import p_positive
from bah_mllm.scoring.parsing import Parser

__all__ = ["Reading", "read_answer"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The part of a prediction row that the answer decides; fields as in ``PredictionRow``.

    Args:
        p_positive: Probability of A/H, 0 to 1; None unless labels were scored.
        label: 1 or 0 as parsed from a reply; None where labels were scored.
        status: What became of the prediction.
        detail: Reason of a failure, notes, or None.
        logp: Natural-log probability per label text, or None.
        reply: Generated text, or None.
    """

    p_positive: float | None = None
    label: int | None = None
    status: Status = Status.OK
    detail: str | None = None
    logp: Mapping[str, float] | None = None
    reply: str | None = None


def read_answer(answer: Answer, prompt: RenderedPrompt, parser: Parser) -> Reading:
    """Return what the answer to one prompt on one window says.

    Scores that are missing or not finite are an engine error, and so is an answer without content.

    Args:
        answer: What the engine said.
        prompt: What it was asked.
        parser: Reads replies; not used where labels were scored.
    """
    n = prompt.n_neutralised
    note = f"{n} control marker{'s' if n > 1 else ''} in the text made harmless" if n else None
    if answer.failure is not None:
        status, reason = answer.failure
        return Reading(status=status, detail=_with_note(reason, note))
    if answer.logp is not None:
        try:
            score = p_positive(answer.logp, prompt.labels)
        except EngineError as error:
            return Reading(status=Status.ENGINE_ERROR, detail=_with_note(error.problem, note))
        logp = {label: float(answer.logp[label]) for label in prompt.labels}
        return Reading(p_positive=score.p_positive, detail=note, logp=logp)
    if answer.reply is not None:
        reply = answer.reply.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair cannot be written
        label = parser(reply, prompt.labels)
        status = Status.UNPARSED if label is None else Status.OK
        return Reading(label=label, status=status, detail=note, reply=reply)
    return Reading(status=Status.ENGINE_ERROR, detail=_with_note("The engine gave neither scores nor a reply.", note))


def _with_note(reason: str, note: str | None) -> str:
    return f"{reason} ({note})" if note else reason
