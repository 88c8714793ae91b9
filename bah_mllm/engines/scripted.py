"""The ``scripted`` engine: answers without a model, for dry runs, tests and demonstrations."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bah_mllm.core.engine import Capabilities
from bah_mllm.core.errors import ConfigError, EngineError, OutOfMemoryError
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.core.records import Answer, RenderedPrompt, WindowJob
from bah_mllm.core.saying import one_of
from bah_mllm.engines import ENGINES, EngineOptions
from bah_mllm.engines.batching import Batches, new_counters

__all__ = ["Rule", "Script", "ScriptedEngine"]

# Log of the probability that a label comes at all; the rest goes to replies that are no label, as with real models.
_LOG_COMPLIANCE = math.log(0.5)
_SMALLEST_SHARE = 1e-12  # keeps log-probabilities finite


class Rule(BaseModel):
    """What to answer where it applies; the first rule that applies is taken.

    Args:
        video_id: Only for this video; None for all.
        prompt: Only for the prompt of this name; None for all.
        p_positive: Share of the labels' probability that goes to those with value 1, 0 to 1; None leaves the
            pseudo-random scores.
        reply: Generated text; None leaves the most likely label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_id: str | None = None
    prompt: str | None = None
    p_positive: Annotated[float, Field(ge=0, le=1)] | None = None
    reply: str | None = None

    def applies(self, job: WindowJob, prompt: RenderedPrompt) -> bool:
        """Return whether the rule is meant for a prompt of a window."""
        return self.video_id in (None, job.video_id) and self.prompt in (None, prompt.name)


class Script(BaseModel):
    """How the engine behaves: the content of a JSON file given as ``--model``.

    Args:
        sees_video: It asks for clips, so that videos are decoded.
        frame_size_px: Size of the frames it asks for.
        rules: Answers.
        fail_on: Ids of videos whose windows fail.
        memory_windows: How many windows fit into memory; more at once are done in halves. None for any number.
        seconds_per_job: How long a window takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sees_video: bool = False
    frame_size_px: Annotated[int, Field(ge=1)] = 28
    rules: tuple[Rule, ...] = ()
    fail_on: frozenset[str] = frozenset()
    memory_windows: Annotated[int, Field(ge=0)] | None = None
    seconds_per_job: Annotated[float, Field(ge=0)] = 0.0


class ScriptedEngine:
    """Scores that look random and are the same every time: a digest of video, window, prompt, label and seed.

    Args:
        options: ``model`` is ``text`` (default), ``video`` (asks for clips) or a JSON file with a ``Script``.

    Raises:
        ConfigError: ``model`` is none of these, or the file is not a ``Script``.
    """

    name = "scripted"

    def __init__(self, options: EngineOptions) -> None:
        model = options.model or ENGINES[self.name].default_model
        self.script = Script(sees_video=model == "video") if model in ("text", "video") else _read_script(Path(model))
        self.model = model if model in ("text", "video") else Path(model).stem
        self.capabilities = Capabilities(
            sees_video=self.script.sees_video,
            scores_labels=True,
            generates=True,
            n_frames=options.n_frames if self.script.sees_video else 0,
            frame_size_px=self.script.frame_size_px if self.script.sees_video else 0,
        )
        self.counters = new_counters()
        self._seed = options.seed
        self._batches = Batches(max_windows=options.batch_windows, counters=self.counters)

    def describe(self) -> Mapping[str, object]:
        """Return the script and the seed."""
        return {
            "checkpoint": self.model,
            "revision": None,
            "port": "none",
            "script": self.script.model_dump(mode="json"),
            "seed": self._seed,
        }

    def control_markers(self) -> Sequence[str]:
        """Return the markers of Video-LLaVA, so that a dry run treats untrusted text as a real run does."""
        return ("<video>", "<image>", "<s>", "</s>", "USER:", "ASSISTANT:")

    def score(self, jobs: Sequence[WindowJob]) -> list[list[Answer]]:
        """Return pseudo-random scores, or those of the script; see ``Engine.score``."""
        return self._batches.run(jobs, lambda batch: self._answer(batch, self._score))

    def generate(self, jobs: Sequence[WindowJob], *, max_new_tokens: int) -> list[list[Answer]]:
        """Return the most likely label, or the script's reply, cut after so many words; see ``Engine.generate``."""

        def reply(job: WindowJob, prompt: RenderedPrompt) -> Answer:
            words = self._reply(job, prompt).split()[:max_new_tokens]
            self.counters["tokens_generated"] += len(words)
            return Answer(reply=" ".join(words))

        return self._batches.run(jobs, lambda batch: self._answer(batch, reply))

    def _answer(
        self, jobs: Sequence[WindowJob], answer_one: Callable[[WindowJob, RenderedPrompt], Answer]
    ) -> list[list[Answer]]:
        memory = self.script.memory_windows
        if memory is not None and len(jobs) > memory:
            raise OutOfMemoryError(
                f"The script says that {memory} windows fit into memory, but got {len(jobs)}.",
                remedy="Use a smaller batch.",
            )
        failing = [job.video_id for job in jobs if job.video_id in self.script.fail_on]
        if failing:
            raise EngineError(f"The script says that {failing[0]} fails.", remedy="Change the script.")
        answers = []
        for job in jobs:
            time.sleep(self.script.seconds_per_job)
            answers.append([answer_one(job, prompt) for prompt in job.prompts])
        return answers

    def _score(self, job: WindowJob, prompt: RenderedPrompt) -> Answer:
        self.counters["prompts_scored"] += 1
        return Answer(logp=self._logp(job, prompt))

    def _logp(self, job: WindowJob, prompt: RenderedPrompt) -> dict[str, float]:
        rule = self._rule(job, prompt)
        if rule is not None and rule.p_positive is not None:
            share = {1: max(rule.p_positive, _SMALLEST_SHARE), 0: max(1 - rule.p_positive, _SMALLEST_SHARE)}
            values = list(prompt.labels.values())
            weights = [share[value] / values.count(value) for value in values]
        else:
            weights = [self._weight(job, prompt, label) for label in prompt.labels]
        return {
            label: math.log(weight / sum(weights)) + _LOG_COMPLIANCE
            for label, weight in zip(prompt.labels, weights, strict=True)
        }

    def _weight(self, job: WindowJob, prompt: RenderedPrompt, label: str) -> float:
        window = None if job.window is None else (job.window.start, job.window.stop)
        asked = json.dumps([self._seed, job.video_id, window, prompt.text, label])
        digest = hashlib.blake2b(asked.encode(), digest_size=8).digest()
        return (int.from_bytes(digest) + 1) / 2**64

    def _reply(self, job: WindowJob, prompt: RenderedPrompt) -> str:
        rule = self._rule(job, prompt)
        if rule is not None and rule.reply is not None:
            return rule.reply
        logp = self._logp(job, prompt)
        return max(logp, key=lambda label: logp[label])

    def _rule(self, job: WindowJob, prompt: RenderedPrompt) -> Rule | None:
        return next((rule for rule in self.script.rules if rule.applies(job, prompt)), None)


def _read_script(path: Path) -> Script:
    remedy = f"Give --model text, video, or a JSON file with the fields {one_of(Script.model_fields)}."
    return read_json_as(path, Script, Refusal(ConfigError, f"The script {path}", remedy))
