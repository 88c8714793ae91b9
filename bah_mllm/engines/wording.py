"""From a prompt and its labels to tokens: the wrapper around a prompt, and labels as its continuations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bah_mllm.core.errors import EngineError
from bah_mllm.engines.packed import PackedPrompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Wording", "Wrapper", "chat_wrapper"]

# Stands in for the prompt while a chat template is rendered; no template changes or looks for it.
_PLACEHOLDER = "@@prompt@@"


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What a model wants around a prompt.

    Args:
        name: For the record.
        before: Text before the prompt.
        after: Text after it; the reply follows.
        adds_bos: The tokenizer's begin-of-sequence token comes first (a chat template writes its own).
    """

    name: str
    before: str
    after: str
    adds_bos: bool = True


def chat_wrapper(tokenizer: PreTrainedTokenizerBase) -> Wrapper:
    """Return a tokenizer's chat template as a wrapper: one message of the user, then the model's turn.

    Raises:
        EngineError: The template does not take a single message of the user as it is.
    """
    try:
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PLACEHOLDER}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # reasoning models would think before the label; other templates do not read it
        )
        before, after = rendered.split(_PLACEHOLDER)
    except Exception as error:  # templates are programs of strangers and raise what they like
        raise EngineError(
            f"The chat template of the model cannot be used ({type(error).__name__}).",
            remedy="Give the prompt as it is: --chat-template raw.",
        ) from error
    return Wrapper("chat", before, after, adds_bos=False)


class Wording:
    """Tokenises prompts and labels for one model.

    A label is tokenised together with the prompt it follows, not by itself, because that is how the model would write
    it: after ``ASSISTANT:`` it continues `` Ambivalent``, with the space inside the first token. Between prompt and
    label stands a space, unless the prompt ends in white space or a special token. Two things are made sure of:

    * The tokens of prompt and label begin with the tokens of the prompt. Otherwise what is read off would not be the
      probability of the label given the prompt, so such a label is refused.
    * No label is the beginning of another one in tokens. Otherwise the shorter one would also collect the
      probability of the longer one; then the end token is appended to all labels of the prompt.

    Special tokens in a prompt's text are tokenised as ordinary text (on top of what the caller makes harmless).

    Args:
        tokenizer: Of the model.
        wrapper: Around each prompt.
        cached_up_to: A special token in the wrapper, before the prompt: what comes up to it is the same for all
            prompts, is found in ``cached_prefix``, and is left out of the prompts' tokens.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, wrapper: Wrapper, *, cached_up_to: int | None = None
    ) -> None:
        self.wrapper = wrapper
        self._tokenizer = tokenizer
        self._special_ids = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special} | set(
            tokenizer.all_special_ids
        )
        # The unknown token stands for any text, so it says nothing about markers.
        self._special_ids.discard(tokenizer.unk_token_id)
        if cached_up_to is not None:  # some tokenizers hold it as an ordinary added token
            self._special_ids.add(cached_up_to)
        bos = tokenizer.bos_token_id
        self._bos = [bos] if wrapper.adds_bos and bos is not None and bos in tokenizer("").input_ids else []
        around = self._tokenise(wrapper.before + wrapper.after)
        self._n_special = self._count_special(self._bos + around)
        n_cached = around.index(cached_up_to) + 1 if cached_up_to is not None else 0
        self.cached_prefix = (*self._bos, *around[:n_cached]) if n_cached else ()

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a prompt in its wrapper, without ``cached_prefix``.

        Raises:
            EngineError: The text holds a special token that cannot be taken as text.
        """
        return self._encode(text, self.wrapper.after)

    def encode_labels(self, text: str, labels: Sequence[str]) -> PackedPrompt:
        """Return the tokens of a prompt in its wrapper, and of each label after it.

        Raises:
            EngineError: A label cannot be scored as a continuation, or two labels are the same in tokens.
        """
        prompt = self.encode(text)
        separator = self._separator(prompt)
        endings = []
        for label in labels:
            both = self._encode(text, self.wrapper.after + separator + label)
            if len(both) <= len(prompt) or both[: len(prompt)] != prompt:
                raise EngineError(
                    f"This model's tokenizer merges the label {label!r} with the end of the prompt.",
                    remedy="Choose another wrapper (--wrapper, --chat-template), or let the model reply instead: "
                    "--answer generate.",
                )
            endings.append(tuple(both[len(prompt) :]))
        return PackedPrompt(tokens=tuple(prompt), labels=self._prefix_free(endings, labels))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return a reply as text, without special tokens and surrounding white space."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.strip()

    def control_markers(self) -> tuple[str, ...]:
        """Return special tokens, other added tokens in angle or square brackets, and role markers of the wrapper."""
        added = self._tokenizer.added_tokens_decoder.values()
        markers = {token.content for token in added if token.special or re.fullmatch(r"<.+>|\[.+\]", token.content)}
        markers |= set(self._tokenizer.all_special_tokens)
        # Role markers: words with a colon (USER:), and what templates put in brackets ([INST], <|user|>).
        around = f"{self.wrapper.before}\n{self.wrapper.after}"
        markers |= set(
            re.findall(r"\b[A-Z][A-Za-z]+:|\[/?[A-Z_]+\]|<[^<>\s]+>|<<\S+>>|^#+ \w+:", around, flags=re.MULTILINE)
        )
        return tuple(sorted(marker for marker in markers if marker.strip()))

    def _encode(self, text: str, after: str) -> list[int]:
        whole = self._bos + self._tokenise(self.wrapper.before + text + after)
        if self._count_special(whole) == self._n_special:
            return self._without_prefix(whole)
        # The text holds a special token. Only then is it tokenised by itself: at its borders the pieces may differ.
        plain = self._tokenise(text, split_special_tokens=True)
        if self._count_special(plain):
            raise EngineError(
                "The prompt holds a special token of this model, which its tokenizer cannot take as text.",
                remedy="Remove the model's control markers from prompt and transcript.",
            )
        before, ending = self._tokenise(self.wrapper.before), self._tokenise(after)
        return self._without_prefix(self._bos + before + plain + ending)

    def _without_prefix(self, tokens: list[int]) -> list[int]:
        n_cached = len(self.cached_prefix)
        if tuple(tokens[:n_cached]) != self.cached_prefix:
            # Cannot happen with tokenizers that split texts at special tokens first, as all of transformers do.
            raise EngineError(
                "This model's tokenizer merges the prompt with what comes before it.", remedy="Choose another wrapper."
            )
        return tokens[n_cached:]

    def _tokenise(self, text: str, *, split_special_tokens: bool = False) -> list[int]:
        if not text:
            return []
        tokens = self._tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)
        return list(tokens.input_ids)

    def _count_special(self, tokens: Sequence[int]) -> int:
        return sum(token in self._special_ids for token in tokens)

    def _separator(self, prompt: Sequence[int]) -> str:
        after = self.wrapper.after
        if after and after[-1].isspace():
            return ""
        return "" if prompt and prompt[-1] in self._special_ids else " "

    def _prefix_free(self, endings: list[tuple[int, ...]], labels: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        if len(set(endings)) < len(endings):
            raise EngineError(
                f"Two of the labels {', '.join(labels)} are the same tokens for this model.",
                remedy="Give the prompt labels that differ in more than case or spacing.",
            )
        if not any(a != b and b[: len(a)] == a for a in endings for b in endings):
            return tuple(endings)
        end: Any = self._tokenizer.eos_token_id
        if end is None:
            raise EngineError(
                f"One of the labels {', '.join(labels)} begins another, and the model has no end token to tell them "
                "apart.",
                remedy="Give the prompt labels of which none begins another.",
            )
        return tuple((*ending, end) for ending in endings)
