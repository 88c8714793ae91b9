# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""What all engines that run a language model here do with it: prompts to tokens, scores and replies to answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from bah_mllm.core.errors import EngineError
from bah_mllm.core.records import Answer, RenderedPrompt, Status
from bah_mllm.engines.batching import describe_failure
from bah_mllm.engines.loading import context_length, end_tokens
from bah_mllm.engines.packed import PackedPrompt, check_packing, score_packed

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

    from bah_mllm.engines.wording import Wording

__all__ = ["LanguageModel"]


class LanguageModel:
    """A language model with its tokenizer and wrapper.

    Args:
        model: Causal language model of transformers, with or without a vision part.
        tokenizer: Its tokenizer.
        wording: How prompts and labels become tokens.
        max_packed_tokens: Tokens in one packed pass at most.
        counters: The engine's.

    Raises:
        EngineError: Prompts cannot be scored in packs with this model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        wording: Wording,
        *,
        max_packed_tokens: int,
        counters: dict[str, int],
    ) -> None:
        check_packing(model)
        self.model = model
        self.wording = wording
        self.context_length = context_length(model.config)
        self._max_packed_tokens = max_packed_tokens
        self._counters = counters
        self._end_tokens = end_tokens(model, tokenizer)
        pad = tokenizer.pad_token_id
        self._pad_token: int = pad if pad is not None else (self._end_tokens or [0])[0]

    def pack(self, prompt: RenderedPrompt, *, n_cached: int = 0) -> PackedPrompt | Answer:
        """Return a prompt with its labels in tokens, or why it cannot be asked.

        Args:
            prompt: With its labels.
            n_cached: Tokens in the cached prefix before the prompt.
        """
        try:
            packed = self.wording.encode_labels(prompt.text, list(prompt.labels))
        except EngineError as error:
            return Answer(failure=(Status.ENGINE_ERROR, describe_failure(error)))
        return self._too_long(n_cached + packed.n_tokens_fed) or packed

    def encode(self, prompt: RenderedPrompt, *, n_reserved: int) -> list[int] | Answer:
        """Return a prompt in tokens, or why it cannot be asked.

        Args:
            prompt: Its labels do not matter.
            n_reserved: Tokens to leave room for: those before the prompt, and the reply.
        """
        try:
            tokens = self.wording.encode(prompt.text)
        except EngineError as error:
            return Answer(failure=(Status.ENGINE_ERROR, describe_failure(error)))
        return self._too_long(n_reserved + len(tokens)) or tokens

    def score(
        self, rows: Sequence[Sequence[tuple[RenderedPrompt, PackedPrompt]]], *, cache: Cache | None = None
    ) -> list[list[Answer]]:
        """Return an answer with the log-probability of every label, in the order of rows and prompts."""
        scores = score_packed(
            self.model,
            [[packed for _, packed in row] for row in rows],
            cache=cache,
            max_packed_tokens=self._max_packed_tokens,
            counters=self._counters,
        )
        return [
            [_answer(prompt, values) for (prompt, _), values in zip(row, row_scores, strict=True)]
            for row, row_scores in zip(rows, scores, strict=True)
        ]

    def reply(
        self,
        rows: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        embed: Callable[[Any], Any] | None = None,
    ) -> list[Answer]:
        """Return greedy replies.

        Args:
            rows: Tokens of each prompt, as many rows as go through the model at once.
            max_new_tokens: Length of a reply at most; it ends earlier at an end token.
            embed: Makes input embeddings, shape (rows, tokens, width), from tokens padded on the left, shape
                (rows, tokens); the model's own where None.
        """
        width = max(map(len, rows))
        tokens = torch.tensor([[self._pad_token] * (width - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        tokens, mask = tokens.to(self.model.device), mask.to(self.model.device)
        with torch.inference_mode():
            inputs = {"input_ids": tokens} if embed is None else {"inputs_embeds": embed(tokens)}
            output = self.model.generate(
                **inputs,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=self._end_tokens or None,
                pad_token_id=self._pad_token,
            )
        new = output if embed is not None else output[:, width:]  # with embeddings, only new tokens come back
        self._counters["tokens_generated"] += int(new.numel())
        return [Answer(reply=self.wording.decode(row)) for row in new.tolist()]

    def _too_long(self, n_tokens: int) -> Answer | None:
        if self.context_length is None or n_tokens <= self.context_length:
            return None
        reason = f"prompt has {n_tokens} tokens, the model takes {self.context_length}"
        return Answer(failure=(Status.TOO_LONG, reason))


def _answer(prompt: RenderedPrompt, values: Sequence[float]) -> Answer:
    if any(math.isnan(value) for value in values):  # float16 overflows in some models
        return Answer(failure=(Status.ENGINE_ERROR, "the scores are not numbers; another dtype may help"))
    return Answer(logp=dict(zip(prompt.labels, values, strict=True)))
