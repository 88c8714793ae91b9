"""Speech recognition over a data set: words with times, in the plain format that the data set reads back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bah_mllm.core.errors import ConfigError, MediaError
from bah_mllm.core.files import make_folder, remove_leftovers
from bah_mllm.core.records import Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, open_dataset
from bah_mllm.engines.models import cache_root
from bah_mllm.media import read_audio
from bah_mllm.report.progress import Progress
from bah_mllm.transcripts import write_words
from bah_mllm.transcripts.recognition import Recogniser, transcribe_cached

__all__ = ["Transcribed", "transcribe_videos"]


@dataclass(frozen=True, slots=True)
class Transcribed:
    """How many videos were heard.

    Args:
        n_written: Files of words written by this call.
        n_kept: Videos that had one already, and were left alone.
        n_silent: Videos written without a word: silence, noise, or no sound at all.
        n_unreadable: Videos that cannot be read.
    """

    n_written: int
    n_kept: int
    n_silent: int
    n_unreadable: int


def transcribe_videos(
    target: Path,
    recogniser: Recogniser,
    *,
    split: str | None = None,
    language: str | None = None,
    overwrite: bool = False,
) -> Transcribed:
    """Write ``<video>.words.json`` for each video of a data set, where the data set looks for it.

    In BAH's layout that is the folder ``transcription``, elsewhere beside the video. What was heard is cached by
    content of the sound, so that a second start, or a moved video, hears nothing anew.

    Args:
        target: Root of a data set, a manifest, or a folder of videos.
        recogniser: Hears the words.
        split: Only this split.
        language: ISO 639-1 code or name; None lets the model choose among all that it knows.
        overwrite: Replace words that are there already, a person's corrections included.

    Raises:
        BahError: The data set cannot be opened, or the model cannot be loaded.
    """
    dataset = open_dataset(target)
    videos = [video for video in dataset.videos(split) if video.path is not None]
    if not videos:
        raise ConfigError(f"{target} holds no video file.", remedy="Name a data set with its videos.")
    _prepare_folders(dataset, videos)
    n = dict.fromkeys(("n_written", "n_kept", "n_silent", "n_unreadable"), 0)
    for video in Progress("looked at", total=len(videos), unit="videos", says_lines=True).over(videos):
        outcome = _transcribe(dataset, video, recogniser, language=language, overwrite=overwrite)
        n[outcome] += 1
        if outcome == "n_silent":
            n["n_written"] += 1
    return Transcribed(**n)


def _prepare_folders(dataset: Dataset, videos: Sequence[Video]) -> None:
    """Make the folders of words for their owner alone; those of the data set itself stay as they are."""
    heard = _heard_before()
    make_folder(heard)
    remove_leftovers(heard)
    if dataset.kind == "bah":
        make_folder(dataset.root / "transcription")
        remove_leftovers(dataset.root / "transcription")
        return
    for folder in {words_path(dataset, video).parent for video in videos}:
        remove_leftovers(folder, "*.words.json.*")


def _heard_before() -> Path:
    return cache_root() / "transcripts"


def _transcribe(
    dataset: Dataset, video: Video, recogniser: Recogniser, *, language: str | None, overwrite: bool
) -> str:
    path = words_path(dataset, video)
    if path.exists() and not overwrite:
        return "n_kept"
    assert video.path is not None
    try:
        audio = read_audio(video.path)
    except MediaError as error:
        say(f"note: {video.video_id} has no sound that can be read: {error.problem.replace(str(video.path), '')}")
        return "n_unreadable"
    transcript = transcribe_cached(recogniser, audio, cache=_heard_before(), language=language)
    for note in transcript.notes:
        say(f"note: {video.video_id}: {note}")
    write_words(path, transcript, source=recogniser.source)
    return "n_written" if transcript.words else "n_silent"


def words_path(dataset: Dataset, video: Video) -> Path:
    """Return where a data set looks for the timed words of a video."""
    assert video.path is not None
    if dataset.kind == "bah":
        return dataset.root / "transcription" / video.video_id / f"{Path(video.video_id).stem}.words.json"
    return video.path.with_suffix(".words.json")
