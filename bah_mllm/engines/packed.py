# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""Exact log-probabilities of labels for many prompts in one forward pass.

All prompts of a window, each followed by each of its labels, share most of their tokens. They are laid out as one tree
of tokens: a prefix that several share is a single path. An attention mask lets a token see its ancestors only (and the
cached prefix of the window, the video), and position ids give it the place it has in its own sequence. So every token
gets the hidden state that it would have in a pass of its own, and

    log P(label | prompt) = sum over the label's tokens of log P(token | prompt, label tokens before)

is read off without approximation. Only logits at parents of label tokens are computed; the last token of a label is
not fed at all, as nothing follows it.

Rows of a batch hold different trees and are padded on the right with tokens that see only themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bah_mllm.core.errors import EngineError

if TYPE_CHECKING:
    from jaxtyping import Bool
    from transformers import Cache, PreTrainedModel

__all__ = ["PackedPrompt", "check_packing", "score_packed"]


@dataclass(frozen=True, slots=True)
class PackedPrompt:
    """One prompt in tokens.

    Args:
        tokens: The prompt, without what is in the cached prefix; at least one token.
        labels: Tokens of each label as a continuation of the prompt; each at least one token.
    """

    tokens: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]

    @property
    def n_tokens_fed(self) -> int:
        """Length of the longest sequence that the model sees: prompt and label without its last token."""
        return len(self.tokens) + max(map(len, self.labels)) - 1


@dataclass(slots=True)
class _Tree:
    """Token sequences with shared prefixes merged. Parents come before their children; the root is -1."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    children: dict[tuple[int, int], int] = field(default_factory=dict)
    # Per prompt (its index in the row) and label: pairs (parent node, label token), whose log-probabilities add up.
    reads: list[tuple[int, list[list[tuple[int, int]]]]] = field(default_factory=list)

    def add(self, index: int, prompt: PackedPrompt) -> None:
        end = -1
        for token in prompt.tokens:
            end = self._child(end, token)
        label_reads = []
        for label in prompt.labels:
            node, pairs = end, []
            for position, token in enumerate(label):
                pairs.append((node, token))
                if position < len(label) - 1:
                    node = self._child(node, token)
            label_reads.append(pairs)
        self.reads.append((index, label_reads))

    def n_new_nodes(self, prompt: PackedPrompt) -> int:
        """How many nodes ``add`` would make, counting paths that labels share once for each."""
        node: int | None = -1
        n_shared = 0
        for token in prompt.tokens:
            node = self.children.get((-1 if node is None else node, token))
            if node is None:
                break
            n_shared += 1
        return len(prompt.tokens) - n_shared + sum(len(label) - 1 for label in prompt.labels)

    def _child(self, parent: int, token: int) -> int:
        node = self.children.get((parent, token))
        if node is None:
            node = len(self.tokens)
            self.children[parent, token] = node
            self.tokens.append(token)
            self.parents.append(parent)
            self.depths.append(0 if parent < 0 else self.depths[parent] + 1)
        return node

    def ancestors(self) -> Bool[np.ndarray, "nodes nodes"]:
        """Which nodes each node sees: its ancestors and itself."""
        sees = np.zeros((len(self.tokens), len(self.tokens)), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                sees[node] = sees[parent]
            sees[node, node] = True
        return sees

    def order(self) -> tuple[np.ndarray, int]:
        """Order of the nodes in the pass, and how many of the first ones need logits.

        The mask carries the structure, so that any order is right; with the readable nodes first, rows of a batch
        need logits at the same few places however different their trees are.
        """
        read = sorted({node for _, labels in self.reads for pairs in labels for node, _ in pairs})
        rest = sorted(set(range(len(self.tokens))) - set(read))
        return np.array(read + rest, dtype=np.int64), len(read)


def score_packed(
    model: PreTrainedModel,
    rows: Sequence[Sequence[PackedPrompt]],
    *,
    cache: Cache | None = None,
    max_packed_tokens: int = 1024,
    counters: dict[str, int] | None = None,
) -> list[list[tuple[float, ...]]]:
    """Return the log-probability of every label of every prompt of every row.

    Args:
        model: A causal language model of transformers whose attention takes 4-D masks (see ``check_packing``).
        rows: Prompts of each window.
        cache: Keys and values of the prefix that all prompts of a row follow: one batch entry a row, no padding. It
            is left as it was found. None where there is no prefix.
        max_packed_tokens: Prompts are spread over several passes so that none exceeds this; one prompt that alone
            exceeds it has a pass of its own.
        counters: ``forward_passes``, ``tokens_fed`` and ``prompts_scored`` are counted here.

    Returns:
        Natural-log probabilities, nested as rows, prompts and labels are given.

    Raises:
        EngineError: A prompt or a label has no tokens.
    """
    trees = [_plant(row, max_packed_tokens) for row in rows]
    scores: list[dict[int, tuple[float, ...]]] = [{} for _ in rows]
    for step in range(max(map(len, trees), default=0)):
        # Without a cache, rows that are done are left out; with one, its batch entries need something to go with them.
        active = [row for row in range(len(rows)) if cache is not None or step < len(trees[row])]
        forest = [trees[row][step] if step < len(trees[row]) else _Tree() for row in active]
        for row, values in zip(active, _score_trees(model, forest, cache), strict=True):
            scores[row].update(values)
        if counters is not None:
            counters["forward_passes"] += 1
            counters["tokens_fed"] += sum(len(tree.tokens) for tree in forest)
            counters["prompts_scored"] += sum(len(tree.reads) for tree in forest)
    return [[scores[row][index] for index in range(len(rows[row]))] for row in range(len(rows))]


def _plant(prompts: Sequence[PackedPrompt], max_tokens: int) -> list[_Tree]:
    """Spread the prompts of a row over trees; sorted, so that those that share a beginning share a tree."""
    trees: list[_Tree] = []
    for index in sorted(range(len(prompts)), key=lambda index: prompts[index].tokens):
        prompt = prompts[index]
        if not prompt.tokens or not all(prompt.labels):
            raise EngineError(
                "A prompt or a label without tokens cannot be scored.", remedy="Check the prompt's text and labels."
            )
        if not trees or len(trees[-1].tokens) + trees[-1].n_new_nodes(prompt) > max_tokens:
            trees.append(_Tree())
        trees[-1].add(index, prompt)
    return trees


def _score_trees(
    model: PreTrainedModel, forest: Sequence[_Tree], cache: Cache | None
) -> list[dict[int, tuple[float, ...]]]:
    n_past = cache.get_seq_length() if cache is not None else 0
    width = max(len(tree.tokens) for tree in forest)
    tokens = np.zeros((len(forest), width), dtype=np.int64)
    positions = np.zeros((len(forest), width), dtype=np.int64)
    sees = np.zeros((len(forest), 1, width, n_past + width), dtype=bool)
    sees[:, 0, np.arange(width), n_past + np.arange(width)] = True  # padding sees itself: no row of the mask is empty
    places: list[np.ndarray] = []
    n_read = 1
    for row, tree in enumerate(forest):
        order, n_read_here = tree.order()
        n, n_read = len(order), max(n_read, n_read_here)
        tokens[row, :n] = np.array(tree.tokens, dtype=np.int64)[order]
        positions[row, :n] = n_past + np.array(tree.depths, dtype=np.int64)[order]
        sees[row, 0, :n, :n_past] = True
        sees[row, 0, :n, n_past : n_past + n] = tree.ancestors()[np.ix_(order, order)]
        places.append(np.argsort(order))
    logits = _forward(model, tokens, positions, sees, n_read=n_read, cache=cache)
    log_total = logits.float().logsumexp(dim=-1)

    scores = []
    for row, tree in enumerate(forest):
        values = {}
        for index, labels in tree.reads:
            sums = []
            for pairs in labels:
                at = torch.as_tensor(places[row][[node for node, _ in pairs]], device=logits.device)
                label = torch.as_tensor([token for _, token in pairs], device=logits.device)
                sums.append(float((logits[row, at, label].float() - log_total[row, at]).sum()))
            values[index] = tuple(sums)
        scores.append(values)
    return scores


def _forward(
    model: PreTrainedModel,
    tokens: np.ndarray,
    positions: np.ndarray,
    sees: np.ndarray,
    *,
    n_read: int,
    cache: Cache | None,
) -> Any:  # noqa: ANN401 - a tensor of shape (rows, n_read, vocabulary)
    embedding = model.get_input_embeddings().weight  # of the dtype that runs through the model, also where quantised
    device, dtype = embedding.device, embedding.dtype
    visible = torch.as_tensor(sees, device=device)
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    with torch.inference_mode(), _restored(cache):
        return model(
            input_ids=torch.as_tensor(tokens, device=device),
            position_ids=torch.as_tensor(positions, device=device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=torch.arange(n_read, device=device),
        ).logits


@contextmanager
def _restored(cache: Cache | None) -> Iterator[None]:
    """Give a cache back as it was, also after an error halfway through the layers."""
    if cache is None:
        yield
        return
    n_before = cache.get_seq_length()
    try:
        yield
    finally:
        for layer in cache.layers:
            # transformers 5.23 takes the number of tokens to drop, as a negative number, and refuses a target length.
            layer.crop(min(0, n_before - layer.get_seq_length()))


def check_packing(model: PreTrainedModel) -> None:
    """Check on a few tokens that a packed pass gives what single passes give.

    Some architectures ignore masks or positions (recurrent states, ALiBi): scoring them in packs would be wrong
    without any sign of it.

    Raises:
        EngineError: The scores differ, or the model takes no such mask.
    """
    ids = [int(token) for token in np.random.default_rng(0).integers(0, model.config.get_text_config().vocab_size, 10)]
    prompts = [
        PackedPrompt(tokens=tuple(ids[:4]), labels=((ids[6], ids[7]), (ids[8], ids[9]))),
        PackedPrompt(tokens=(*ids[:2], ids[5], ids[4]), labels=((ids[8], ids[7]), (ids[6], ids[9]))),
    ]
    name = type(model).__name__
    remedy = "Choose another model for this engine, one with plain attention (Llama, Qwen, Mistral ...)."
    try:
        packed = score_packed(model, [prompts])[0]
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise EngineError(f"{name} cannot score prompts in packs ({type(error).__name__}).", remedy=remedy) from error
    sequences = torch.tensor([[*prompt.tokens, *label] for prompt in prompts for label in prompt.labels])
    with torch.inference_mode():
        logits = model(input_ids=sequences.to(model.get_input_embeddings().weight.device), use_cache=False).logits
    logp = logits.float().log_softmax(-1)
    single = [float(sum(logp[i, t - 1, int(sequences[i, t])] for t in (4, 5))) for i in range(len(sequences))]
    difference = max(abs(a - b) for a, b in zip([value for row in packed for value in row], single, strict=True))
    # Half precision moved log-probabilities by up to 0.022 on a small model and quantisation by more.
    tolerance = 1e-3 if model.dtype == torch.float32 and not getattr(model, "is_quantized", False) else 0.3
    if not difference <= tolerance:
        raise EngineError(
            f"{name} scores prompts in packs by up to {difference:.2g} differently from one by one.", remedy=remedy
        )
