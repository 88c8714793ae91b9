"""From what an engine answered to what is written into a prediction row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bah_mllm.core.errors import EngineError
from bah_mllm.core.records import Answer, RenderedPrompt, Status
from bah_mllm.scoring.labels import p_positive
from bah_mllm.scoring.parsing import Parser

__all__ = ["Result", "row_result"]


@dataclass(frozen=True, slots=True)
class Result:
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


def row_result(answer: Answer, prompt: RenderedPrompt, parser: Parser) -> Result:
    """Return the result of one prompt on one window.

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
        return Result(status=status, detail=_joined(reason, note))
    if answer.logp is not None:
        try:
            score = p_positive(answer.logp, prompt.labels)
        except EngineError as error:
            return Result(status=Status.ENGINE_ERROR, detail=_joined(error.problem, note))
        logp = {label: float(answer.logp[label]) for label in prompt.labels}
        return Result(p_positive=score.p_positive, detail=note, logp=logp)
    if answer.reply is not None:
        reply = answer.reply.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair cannot be written
        label = parser(reply, prompt.labels)
        status = Status.UNPARSED if label is None else Status.OK
        return Result(label=label, status=status, detail=note, reply=reply)
    return Result(status=Status.ENGINE_ERROR, detail=_joined("The engine gave neither scores nor a reply.", note))


def _joined(reason: str, note: str | None) -> str:
    return f"{reason} ({note})" if note else reason
