"""From videos to cues on disk: signals of each video, what is usual for each person, then events.

What is usual is pooled over all videos of a participant, so that all of them are looked at first.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bah_mllm.core.engine import Engine
from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.files import make_folder, remove_leftovers, write_atomically
from bah_mllm.core.records import Transcript, Video
from bah_mllm.core.saying import say
from bah_mllm.core.workers import worker_processes
from bah_mllm.cues.baselines import pool_signals, save_baseline, scopes_of_figures, usual_figures
from bah_mllm.cues.codes import CODES, undetectable
from bah_mllm.cues.comb import COMB_CODES
from bah_mllm.cues.events import find_events
from bah_mllm.cues.language import why_not_looked_for
from bah_mllm.cues.perception import Sampling
from bah_mllm.cues.records import Baseline, CueEvent
from bah_mllm.cues.signals import Signals, SignalSettings, load_signals, measure_signals, save_signals, signals_file
from bah_mllm.cues.statements import read_statements
from bah_mllm.cues.store import Observation, write_cues
from bah_mllm.cues.tasks_backend import TaskModels
from bah_mllm.dataset import Dataset, open_dataset
from bah_mllm.report.progress import Progress

__all__ = ["extract_cues"]

NOT_DETECTABLE = "not_detectable.json"
"""File beside the cues: code to the reason why nothing looks for it."""

_MIN_ABSENT_S = 1.0


def extract_cues(
    target: Path,
    out: Path,
    *,
    split: str | None = None,
    sampling: Sampling | None = None,
    models: TaskModels | None = None,
    workers: int = 1,
    reader: Engine | None = None,
) -> int:
    """Extract the cues of a video, or of all videos of a data set, and return how many videos could not be read.

    Args:
        target: A video file, or the root of a data set.
        out: Folder for events, kept signals and what is usual for each person; made for its owner alone.
        split: Only this split; what is usual is pooled over all videos of its participants.
        sampling: How often to look.
        models: Model files of mediapipe Tasks to look with; None takes the models in mediapipe's package.
        workers: Processes that look at videos at the same time.
        reader: A language model that finds statements for and against change in the transcripts; None leaves these
            out. Its answers are kept, so that it reads each transcript once.

    Raises:
        BahError: The data set cannot be opened, or holds no video file; a model file is none.
    """
    dataset, videos = _videos_of(target, split)
    make_folder(out)
    remove_leftovers(out)
    sampling = sampling or Sampling()
    settings = SignalSettings.of(sampling, models)
    looks = {
        video.video_id: _Look(video.path, signals_file(out, video.path, settings), sampling, models)
        for video in videos
        if video.path is not None
    }
    _measure_what_is_not_kept(list(looks.values()), workers)
    by_person: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_person[video.participant_id].append(video)
    n_unreadable = 0
    for person, own in by_person.items():
        signals = {video.video_id: load_signals(looks[video.video_id].file) for video in own if video.video_id in looks}
        baseline = pool_signals(person, list(signals.values()))
        save_baseline(out, baseline)
        for video in own:
            if (seen := signals.get(video.video_id)) is None:
                continue
            n_unreadable += seen.problem is not None
            transcript = _transcript(dataset, video)
            stated: tuple[CueEvent, ...] = ()
            if reader is not None and transcript is not None:
                stated = read_statements(out, transcript, reader, video_id=video.video_id)
            events = find_events(seen, baseline, transcript, stated=stated)
            write_cues(out, _observation(video, seen, baseline, settings, transcript), events)
    _write_not_detectable(out, has_reader=reader is not None)
    say(f"cues of {len(looks):,} videos of {len(by_person):,} participants in {out}; {n_unreadable:,} cannot be read")
    return n_unreadable


def _videos_of(target: Path, split: str | None) -> tuple[Dataset, list[Video]]:
    if target.is_file() and target.suffix.lower() not in (".csv", ".parquet"):
        dataset = open_dataset(target.parent)
        videos = [dataset.video(target.name)]
    else:
        dataset = open_dataset(target)
        videos = [video for video in dataset.videos(split) if video.path is not None]
    if not videos:
        raise ConfigError(f"{target} holds no video file.", remedy="Name a video, or a data set with its videos.")
    return dataset, videos


# --- signals: the slow part


@dataclass(frozen=True, slots=True)
class _Look:
    """How one video is looked at, and the file in which its signals are kept."""

    video: Path
    file: Path
    sampling: Sampling
    models: TaskModels | None


def _measure_what_is_not_kept(looks: Sequence[_Look], workers: int) -> None:
    """Make the signals that are not kept yet; the same file under two names is looked at once."""
    unseen = list({one.file: one for one in looks if not one.file.exists()}.values())
    if n_before := sum(one.file.exists() for one in looks):
        say(f"{n_before:,} of {len(looks):,} videos were looked at before")
    if not unseen:
        return
    started = perf_counter()
    with Progress("looked at", total=len(unseen), unit="videos", says_lines=True) as progress:
        for _ in _measured(unseen, workers):
            progress.advance()
    say(_speed([load_signals(one.file) for one in unseen], perf_counter() - started))


def _measured(unseen: Sequence[_Look], workers: int) -> Iterator[None]:
    """Look at videos, as many at a time as there are workers; yield after each."""
    if workers == 1:
        for one in unseen:
            _measure(one)
            yield
        return
    with worker_processes(workers) as pool:
        futures = [pool.submit(_measure, one) for one in unseen]
        yield from (future.result() for future in as_completed(futures))


def _measure(one: _Look) -> None:
    save_signals(measure_signals(one.video, sampling=one.sampling, models=one.models), one.file)


def _speed(signals: Sequence[Signals], passed_s: float) -> str:
    """Return how much video was looked at in how much time, and in which stages."""
    video_s = sum(one.duration_s for one in signals)
    seconds: dict[str, float] = defaultdict(float)
    for one in signals:
        for stage, stage_s in one.seconds.items():
            seconds[stage] += stage_s
    shares = ", ".join(f"{stage} {100 * stage_s / sum(seconds.values()):.0f} %" for stage, stage_s in seconds.items())
    return f"{video_s:,.0f} s of video in {passed_s:,.0f} s ({video_s / passed_s:.1f} times as fast): {shares}"


# --- what goes with the events of a video


def _transcript(dataset: Dataset, video: Video) -> Transcript | None:
    try:
        return dataset.transcript(video)
    except DataError as error:
        say(f"note: {video.video_id} has no words that can be read: {error.problem}")
        return None


def _observation(
    video: Video, signals: Signals, baseline: Baseline, settings: SignalSettings, transcript: Transcript | None
) -> Observation:
    why_not = None if transcript is None else why_not_looked_for(transcript)
    whole = [(0.0, signals.duration_s)] if signals.duration_s else []
    absent = {
        "face": signals.spans_without("head_yaw", min_s=_MIN_ABSENT_S),
        "body": signals.spans_without("shoulder_width", min_s=_MIN_ABSENT_S),
        "voice": [] if signals.has_sound else whole,
        "words": [] if transcript is not None else whole,
    }
    return Observation(
        video_id=video.video_id,
        participant_id=video.participant_id,
        duration_s=signals.duration_s,
        absent={modality: spans for modality, spans in absent.items() if spans},
        not_looked_for={} if why_not is None else {"words": why_not},
        usual=usual_figures(baseline.usual),
        usual_scope=scopes_of_figures(baseline.usual),
        scope=baseline.scope,
        problem=signals.problem,
        settings=settings.by(signals.backend),
    )


def _write_not_detectable(out: Path, *, has_reader: bool) -> None:
    """Write which rows of the codebook were not looked for and why, so that nobody takes them for absent."""
    rows = {code: why for code, why in undetectable().items() if not (has_reader and code in COMB_CODES)}
    write_atomically(out / NOT_DETECTABLE, (json.dumps(rows, indent=1) + "\n").encode())
    say(f"not looked for: {len(rows)} of {len(CODES)} codes ({NOT_DETECTABLE} says why)")
