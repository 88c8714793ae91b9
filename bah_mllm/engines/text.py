# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""The ``text`` engine: any causal language model, reading transcript and cues as text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from transformers import AutoModelForCausalLM

from bah_mllm.core.engine import Capabilities
from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Answer, RenderedPrompt, WindowJob
from bah_mllm.engines import ENGINES
from bah_mllm.engines.batching import Batches, fill_in, new_counters
from bah_mllm.engines.language_model import LanguageModel
from bah_mllm.engines.loading import describe_model, find_checkpoint, load_model, load_tokenizer
from bah_mllm.engines.lru import Lru
from bah_mllm.engines.wording import Wording, Wrapper, chat_wrapper

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bah_mllm.engines import EngineOptions

__all__ = ["TextEngine"]

Asked = TypeVar("Asked")  # a prompt in tokens, in the form that its task takes

_N_REMEMBERED_PROMPTS = 4096


class TextEngine:
    """A causal language model of transformers that answers prompts without pixels.

    Prompts that were asked before are answered from memory (all windows of a video without timed words ask the
    same), which ``prompts_reused`` counts.

    Args:
        options: ``model`` is a folder with safetensors, a ``.gguf`` file or a hub id; SmolLM2-135M-Instruct where None.

    Raises:
        ConfigError: A wrapper is asked for, which is Video-LLaVA's.
        PrerequisiteError: Weights, a package or the device are not there.
        EngineError: The checkpoint is not a causal language model whose prompts can be scored in packs.
    """

    name = "text"

    def __init__(self, options: EngineOptions) -> None:
        if options.wrapper is not None:
            raise ConfigError(
                f"The engine 'text' has no wrapper {options.wrapper!r}.",
                remedy="Choose with --chat-template: auto, chat or raw.",
            )
        self._options = options
        self._checkpoint = find_checkpoint(options.model or ENGINES[self.name].default_model, revision=options.revision)
        self.model = self._checkpoint.name
        self.capabilities = Capabilities(sees_video=False, scores_labels=True, generates=True)
        self.counters = new_counters()
        tokenizer = load_tokenizer(self._checkpoint)
        self._language_model = LanguageModel(
            load_model(AutoModelForCausalLM, self._checkpoint, options),
            tokenizer,
            Wording(tokenizer, _choose_wrapper(tokenizer, options.chat_template)),
            max_packed_tokens=options.max_packed_tokens,
            counters=self.counters,
        )
        self._batches = Batches(max_windows=options.batch_windows, counters=self.counters)
        self._known: Lru[bytes, Answer] = Lru(max_size=_N_REMEMBERED_PROMPTS)

    def describe(self) -> Mapping[str, object]:
        """Return what a stranger needs to run the same model again."""
        wrapper = self._language_model.wording.wrapper
        return describe_model(self._language_model.model, self._checkpoint, self._options) | {
            "wrapper": wrapper.name,
            "wrapper_before": wrapper.before,
            "wrapper_after": wrapper.after,
        }

    def control_markers(self) -> Sequence[str]:
        """Return special tokens of the tokenizer and role markers of the wrapper."""
        return self._language_model.wording.control_markers()

    def score(self, jobs: Sequence[WindowJob]) -> list[list[Answer]]:
        """Return the log-probability of every label; see ``Engine.score``."""
        return self._batches.run(jobs, self._score_batch)

    def generate(self, jobs: Sequence[WindowJob], *, max_new_tokens: int) -> list[list[Answer]]:
        """Return greedy replies; see ``Engine.generate``."""
        return self._batches.run(jobs, lambda batch: self._generate_batch(batch, max_new_tokens))

    def _score_batch(self, jobs: Sequence[WindowJob]) -> list[list[Answer]]:
        return self._answer_distinct(jobs, "score", self._language_model.pack, self._language_model.score)

    def _generate_batch(self, jobs: Sequence[WindowJob], max_new_tokens: int) -> list[list[Answer]]:
        def reply(rows: list[list[tuple[RenderedPrompt, list[int]]]]) -> list[list[Answer]]:
            tokens = [tokens for row in rows for _, tokens in row]
            replies: list[Answer] = []
            for start in range(0, len(tokens), self._batches.max_windows):
                part = tokens[start : start + self._batches.max_windows]
                replies += self._language_model.reply(part, max_new_tokens=max_new_tokens)
            return fill_in(rows, replies)

        encode = partial(self._language_model.encode, n_reserved=max_new_tokens)
        return self._answer_distinct(jobs, f"generate {max_new_tokens}", encode, reply)

    def _answer_distinct(
        self,
        jobs: Sequence[WindowJob],
        task: str,
        prepare: Callable[[RenderedPrompt], Asked | Answer],
        ask: Callable[[list[list[tuple[RenderedPrompt, Asked]]]], list[list[Answer]]],
    ) -> list[list[Answer]]:
        """Answer each distinct prompt of a batch once, and none that was answered before.

        Args:
            jobs: The batch.
            task: What is asked; part of what makes prompts distinct.
            prepare: Tokenises a prompt, or says why it cannot be asked.
            ask: Answers rows of prompts, one row a window.
        """
        keys = [[_key_of(prompt, task) for prompt in job.prompts] for job in jobs]
        found: dict[bytes, Answer] = {}
        rows: list[dict[bytes, tuple[RenderedPrompt, Asked]]] = []
        for job, job_keys in zip(jobs, keys, strict=True):
            rows.append({})
            for key, prompt in zip(job_keys, job.prompts, strict=True):
                known = found.get(key) or self._known.get(key)
                is_waiting = any(key in row for row in rows)
                if known is not None or is_waiting:
                    self.counters["prompts_reused"] += 1
                prepared = None if is_waiting else known or prepare(prompt)
                if isinstance(prepared, Answer):
                    found[key] = prepared
                elif prepared is not None:
                    rows[-1][key] = (prompt, prepared)
        rows = [row for row in rows if row]
        for row, answers in zip(rows, ask([list(row.values()) for row in rows]), strict=True):
            for key, answer in zip(row, answers, strict=True):
                found[key] = answer
                self._known.put(key, answer)
        return [[found[key] for key in job_keys] for job_keys in keys]


def _choose_wrapper(tokenizer: PreTrainedTokenizerBase, chat_template: str) -> Wrapper:
    if chat_template == "raw" or (chat_template == "auto" and not tokenizer.chat_template):
        return Wrapper("raw", before="", after="")
    if not tokenizer.chat_template:
        raise ConfigError(
            "The model's tokenizer has no chat template.", remedy="Use --chat-template raw, or a model made for chats."
        )
    return chat_wrapper(tokenizer)


def _key_of(prompt: RenderedPrompt, task: str) -> bytes:
    """Digest of what the answer depends on; transcripts themselves are not kept in memory."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (task, prompt.text, *prompt.labels):
        digest.update(part.encode() + b"\0")
    return digest.digest()
