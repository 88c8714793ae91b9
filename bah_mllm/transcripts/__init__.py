"""Transcripts: files of timed words, and the words spoken inside a window."""

from bah_mllm.dataset.spoken import read_words, repair_chunk_times, write_words
from bah_mllm.transcripts.windows import timed_words, words_in

__all__ = ["read_words", "repair_chunk_times", "timed_words", "words_in", "write_words"]
