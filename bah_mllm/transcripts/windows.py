"""The words spoken inside a window."""

from __future__ import annotations

from collections.abc import Sequence

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Chunk, Transcript, Word

__all__ = ["timed_words", "words_in"]

_WORDS_PER_S = 2.5  # 150 words a minute, a common rate of conversation: only for a last chunk whose end is unknown


def words_in(transcript: Transcript, start_s: float, stop_s: float) -> str:
    """Return the words spoken during ``[start_s, stop_s)``, joined by blanks; empty where nobody speaks.

    A word belongs to the window that holds the middle of it, so that adjacent windows share no word and lose none.
    Without word times, the words of a chunk are spread over it in proportion to their lengths in characters: good to
    about a second, and enough for windows of several.

    Args:
        transcript: With word times, or chunks with times.
        start_s: Start of the window, in seconds from the start of the video.
        stop_s: End of the window.

    Raises:
        DataError: The transcript has a text, but no times.

    >>> said = Transcript("I do and I do not", chunks=(Chunk("I do", 0.0, 2.0), Chunk("and I do not", 2.0, 6.0)))
    >>> words_in(said, 0.0, 3.5), words_in(said, 3.5, 60.0)
    ('I do and', 'I do not')
    """
    return " ".join(
        word.text for word in timed_words(transcript) if start_s <= (word.start_s + word.stop_s) / 2 < stop_s
    )


def timed_words(transcript: Transcript) -> tuple[Word, ...]:
    """Return the timed words of a transcript, made from its chunks where it has none; see ``words_in``.

    Raises:
        DataError: The transcript has a text, but no times.
    """
    if transcript.words:
        return transcript.words
    words: list[Word] = []
    for index, chunk in enumerate(transcript.chunks):
        if chunk.start_s is not None:
            words += _spread(chunk, start_s=chunk.start_s, stop_s=_end_of(transcript.chunks, index))
    if transcript.text and not words:
        raise DataError(
            f"A transcript of {len(transcript.text.split())} words has no times: the words of a window are unknown.",
            remedy="Run `bah-mllm transcribe` for word times, or use a prompt with the whole transcript.",
        )
    return tuple(words)


def _end_of(chunks: Sequence[Chunk], index: int) -> float:
    chunk = chunks[index]
    start_s = chunk.start_s or 0.0
    if chunk.stop_s is not None:
        return max(start_s, chunk.stop_s)
    following = next((later.start_s for later in chunks[index + 1 :] if later.start_s is not None), None)
    return max(start_s, following) if following is not None else start_s + len(chunk.text.split()) / _WORDS_PER_S


def _spread(chunk: Chunk, *, start_s: float, stop_s: float) -> list[Word]:
    texts = chunk.text.split()
    n_characters = sum(map(len, texts))
    words = []
    n_before = 0
    for text in texts:
        begin_s = start_s + (stop_s - start_s) * n_before / n_characters
        n_before += len(text)
        words.append(Word(text, begin_s, start_s + (stop_s - start_s) * n_before / n_characters))
    return words
