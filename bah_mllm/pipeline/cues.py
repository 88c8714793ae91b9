"""From videos to cues on disk: signals of each video, what is usual for each person, then events.

Signals are the slow part: they are kept under the digest of the video's content and of the settings, so that a second
start, or better detectors, decode nothing anew. What is usual is pooled over all videos of a participant.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bah_mllm.core.engine import Engine
from bah_mllm.core.errors import ConfigError, DataError, MediaError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.records import Transcript, Video
from bah_mllm.core.saying import say
from bah_mllm.cues import body, face, sound
from bah_mllm.cues.clashes import clash_events
from bah_mllm.cues.codes import CODES, undetectable
from bah_mllm.cues.comb import COMB_CODES, comb_events, comb_prompt
from bah_mllm.cues.language import language_events
from bah_mllm.cues.perception import Perceived, Sampling, perceive, timed
from bah_mllm.cues.records import Baseline, CueEvent, Track
from bah_mllm.cues.rendering import MODALITIES, modality_of, render_cues
from bah_mllm.cues.sound_events import sound_events
from bah_mllm.cues.store import Observation, read_cues, write_cues
from bah_mllm.cues.tasks_backend import TaskModels, TasksBackend
from bah_mllm.cues.usual import pool
from bah_mllm.cues.visual_events import visual_events
from bah_mllm.dataset import Dataset, dataset_and_split, open_dataset
from bah_mllm.media import read_audio
from bah_mllm.report.timeline import TimelineEvent, draw_timeline, timeline_text

__all__ = ["Signals", "extract_cues", "load_signals", "rendered", "show_cues"]

NOT_DETECTABLE = "not_detectable.json"
"""File beside the cues: code to the reason why nothing looks for it."""

_VERSION = 3  # counts up when signals change, so that kept ones are made anew
_MIN_ABSENT_S = 1.0
_CLAMPS = {**face.CLAMPS, **body.CLAMPS, **sound.CLAMPS}
_POPULATION = {**face.POPULATION, **body.POPULATION, **sound.POPULATION}


@dataclass(frozen=True, slots=True)
class Signals:
    """All that perception says about one video.

    Args:
        tracks: Of face, body and sound, by name; empty for a video that cannot be read.
        speech: When somebody speaks, in seconds.
        duration_s: Length of the video.
        has_sound: There is a stream of sound.
        problem: Why the video cannot be read, or None.
        backend: Who looked.
        seconds: How long each stage took: those of ``Perceived``, and ``sound``.
    """

    tracks: Mapping[str, Track]
    speech: tuple[tuple[float, float], ...] = ()
    duration_s: float = 0.0
    has_sound: bool = False
    problem: str | None = None
    backend: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


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
        out: Folder for events, kept signals and what is usual for each person.
        split: Only this split; what is usual is pooled over all videos of its participants.
        sampling: How often to look.
        models: Model files of mediapipe Tasks to look with; None takes the models in mediapipe's package.
        workers: Processes that look at videos at the same time.
        reader: A language model that finds statements for and against change in the transcripts; None leaves these
            out. Its answers are kept, so that it reads each transcript once.

    Raises:
        BahError: The data set cannot be opened, or holds no video file; a model file is none.
    """
    dataset, videos = _videos(target, split)
    look = _Look(sampling or Sampling(), models)
    files = _look_at_all([video.path for video in videos if video.path is not None], out, look, workers)
    of_person: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        of_person[video.participant_id].append(video)
    n_unreadable = 0
    for person, own in of_person.items():
        signals = {video.video_id: load_signals(files[video.path]) for video in own if video.path in files}
        baseline = _baseline(person, list(signals.values()))
        _write_baseline(out, baseline)
        for video in own:
            if video.video_id in signals:
                seen = signals[video.video_id]
                n_unreadable += seen.problem is not None
                transcript = _transcript(dataset, video)
                stated = _statements(video, transcript, reader, out) if reader is not None else ()
                events = _events(seen, baseline, transcript, stated)
                about = _observation(video, seen, baseline, look, has_words=transcript is not None)
                write_cues(out, about, events)
    _write_not_detectable(out, has_reader=reader is not None)
    say(f"cues of {len(files):,} videos of {len(of_person):,} participants in {out}; {n_unreadable:,} cannot be read")
    return n_unreadable


def _transcript(dataset: Dataset, video: Video) -> Transcript | None:
    try:
        return dataset.transcript(video)
    except DataError as error:
        say(f"note: {video.video_id} has no words that can be read: {error.problem}")
        return None


def _write_not_detectable(out: Path, *, has_reader: bool) -> None:
    """Write which rows of the codebook were not looked for and why, so that nobody takes them for absent."""
    rows = {code: why for code, why in undetectable().items() if not (has_reader and code in COMB_CODES)}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / NOT_DETECTABLE, (json.dumps(rows, indent=1) + "\n").encode())
    say(f"not looked for: {len(rows)} of {len(CODES)} codes ({NOT_DETECTABLE} says why)")


def _videos(target: Path, split: str | None) -> tuple[Dataset, list[Video]]:
    if target.is_file() and target.suffix.lower() not in (".csv", ".parquet"):
        dataset = open_dataset(target.parent)
        videos = [replace(dataset.video(target.name))]
    else:
        dataset = open_dataset(target)
        videos = [video for video in dataset.videos(split) if video.path is not None]
    if not videos:
        raise ConfigError(f"{target} holds no video file.", remedy="Name a video, or a data set with its videos.")
    return dataset, videos


@dataclass(frozen=True, slots=True)
class _Look:
    """How videos are looked at; what decides about their signals, besides their content."""

    sampling: Sampling
    models: TaskModels | None = None

    def settings(self) -> dict[str, str | float | int | None]:
        models = None if self.models is None else self.models.digest()
        return {"version": _VERSION, "models": models, **asdict(self.sampling)}

    def perceive(self, path: Path) -> Perceived:
        if self.models is None:
            return perceive(path, sampling=self.sampling)
        with TasksBackend(self.models) as backend:
            return perceive(path, backend=backend, sampling=self.sampling)


def _look_at_all(paths: Sequence[Path], out: Path, look: _Look, workers: int) -> dict[Path | None, Path]:
    """Make the signals that are not kept yet; return the file of each video's signals."""
    settings = look.settings()
    files: dict[Path | None, Path] = {path: _signals_file(path, out, settings) for path in paths}
    missing = [(path, file) for path, file in files.items() if path is not None and not file.exists()]
    if len(missing) < len(paths):
        say(f"{len(paths) - len(missing):,} of {len(paths):,} videos were looked at before")
    started = perf_counter()
    for number, _ in enumerate(_looks(missing, look, workers), start=1):
        say(f"looked at {number:,} of {len(missing):,} videos")
    if missing:
        say(_speed([load_signals(file) for _, file in missing], perf_counter() - started))
    return files


def _looks(missing: Sequence[tuple[Path, Path]], look: _Look, workers: int) -> Iterator[None]:
    """Look at videos, as many at a time as there are workers; yield after each."""
    if workers == 1:
        for path, file in missing:
            _look(path, file, look)
            yield
        return
    # Fresh processes: mediapipe and its threads do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool_:
        futures = [pool_.submit(_look, path, file, look) for path, file in missing]
        yield from (future.result() for future in as_completed(futures))


def _speed(signals: Sequence[Signals], passed_s: float) -> str:
    """Return how much video was looked at in how much time, and in which stages."""
    video_s = sum(one.duration_s for one in signals)
    seconds: dict[str, float] = defaultdict(float)
    for one in signals:
        for stage, stage_s in one.seconds.items():
            seconds[stage] += stage_s
    shares = ", ".join(f"{stage} {100 * stage_s / sum(seconds.values()):.0f} %" for stage, stage_s in seconds.items())
    return f"{video_s:,.0f} s of video in {passed_s:,.0f} s ({video_s / passed_s:.1f} times as fast): {shares}"


def _signals_file(path: Path, out: Path, settings: Mapping[str, object]) -> Path:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return out / "signals" / f"{digest.hexdigest()}.npz"


def _look(path: Path, file: Path, look: _Look) -> None:
    """Look at and listen to one video, and keep its signals."""
    try:
        seen = look.perceive(path)
    except MediaError as error:
        # The video is named by its id elsewhere; a path of this machine is nobody's business.
        _save(Signals({}, problem=error.problem.replace(str(path), path.name)), file)
        return
    seconds = dict(seen.seconds)
    signals = Signals(seen.tracks, duration_s=round(seen.duration_s, 3), backend=seen.backend, seconds=seconds)
    try:
        with timed(seconds, "sound"):
            heard = sound.sound_signals(read_audio(path))
    except MediaError:
        _save(signals, file)
        return
    _save(replace(signals, tracks={**seen.tracks, **heard.tracks}, speech=heard.speech, has_sound=True), file)


def _save(signals: Signals, file: Path) -> None:
    about = {key: value for key, value in asdict(replace(signals, tracks={})).items() if key != "tracks"}
    arrays = {
        f"{name}/{axis}": getattr(track, axis) for name, track in signals.tracks.items() for axis in ("t_s", "values")
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, buffer.getvalue())


def load_signals(file: Path) -> Signals:
    """Read what ``extract_cues`` kept of a video."""
    with np.load(file, allow_pickle=False) as archive:
        about: dict[str, Any] = json.loads(str(archive["about"]))
        names = sorted({key.rpartition("/")[0] for key in archive.files} - {""})
        tracks = {name: Track(archive[f"{name}/t_s"], archive[f"{name}/values"]) for name in names}
    about["speech"] = tuple((start_s, stop_s) for start_s, stop_s in about["speech"])
    return Signals(tracks, **about)


def _baseline(person: str, videos: Sequence[Signals]) -> Baseline:
    return pool(
        person,
        [video.tracks for video in videos],
        _CLAMPS,
        _POPULATION,
        minima_s=sound.MINIMA_S,
        speech_s=sum(stop_s - start_s for video in videos for start_s, stop_s in video.speech),
    )


def _write_baseline(out: Path, baseline: Baseline) -> None:
    file = _baseline_file(out, baseline.participant_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, (json.dumps(asdict(baseline), indent=1, sort_keys=True) + "\n").encode())


def _baseline_file(out: Path, participant_id: str) -> Path:
    # A participant of a foreign data set may have any name; a file may not.
    is_plain = all(letter.isalnum() or letter in "-_" for letter in participant_id)
    name = participant_id if is_plain else hashlib.sha256(participant_id.encode()).hexdigest()[:16]
    return out / "baselines" / f"{name}.json"


def _statements(video: Video, transcript: Transcript | None, reader: Engine, out: Path) -> tuple[CueEvent, ...]:
    """Return what a language model finds in a transcript, from what is kept where it read the same words before."""
    if transcript is None:
        return ()
    asked = [comb_prompt().digest, reader.name, reader.model, transcript.text, [asdict(w) for w in transcript.words]]
    file = out / "statements" / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()}.json"
    if not file.exists():
        result = comb_events(transcript, reader, video_id=video.video_id)
        if result.problem is not None or result.n_rejected:
            reason = f": {result.problem}" if result.problem is not None else ""
            say(f"note: {video.video_id}: {result.n_rejected} statements of the model are rejected{reason}")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps([asdict(event) for event in result.events]).encode())
    return tuple(CueEvent(**event) for event in json.loads(file.read_text(encoding="utf-8")))


def _events(
    signals: Signals, baseline: Baseline, transcript: Transcript | None, stated: Sequence[CueEvent]
) -> list[CueEvent]:
    words = transcript.words if transcript is not None else ()
    heard = sound_events(signals.tracks, signals.speech, words, baseline) if signals.has_sound else []
    breaths = [(event.start_s, event.stop_s) for event in heard if event.code == "audio.breath"]
    seen = visual_events(signals.tracks, baseline, signals.speech, breaths=breaths)
    said = language_events(transcript) if transcript is not None else []
    events = [*heard, *seen, *said, *stated]
    return [*events, *clash_events(events, words)]


def _observation(video: Video, signals: Signals, baseline: Baseline, look: _Look, *, has_words: bool) -> Observation:
    whole = [(0.0, signals.duration_s)] if signals.duration_s else []
    absent = {
        "face": _unknown_spans(signals.tracks.get("head_yaw"), signals.duration_s),
        "body": _unknown_spans(signals.tracks.get("shoulder_width"), signals.duration_s),
        "voice": [] if signals.has_sound else whole,
        "words": [] if has_words else whole,
    }
    return Observation(
        video_id=video.video_id,
        participant_id=video.participant_id,
        duration_s=signals.duration_s,
        absent={modality: spans for modality, spans in absent.items() if spans},
        usual=dict(_usual_figures(baseline)),
        scope=baseline.scope,
        problem=signals.problem,
        settings={"backend": signals.backend, **look.settings()},
    )


def _unknown_spans(track: Track | None, duration_s: float) -> list[tuple[float, float]]:
    """Return the spans of a second or more in which a signal is unknown."""
    if track is None or not len(track.t_s):
        return [(0.0, duration_s)] if duration_s else []
    spans: list[tuple[float, float]] = []
    start_s: float | None = None
    for t_s, is_known in zip([*track.t_s, duration_s], [*np.isfinite(track.values), True], strict=True):
        if not is_known and start_s is None:
            start_s = float(t_s)
        elif is_known and start_s is not None:
            if t_s - start_s >= _MIN_ABSENT_S:
                spans.append((round(start_s, 3), round(float(t_s), 3)))
            start_s = None
    return spans


def _usual_figures(baseline: Baseline) -> Iterator[tuple[str, float]]:
    """Yield what the header of rendered cues tells of a person."""
    usual = baseline.usual
    if "pitch" in usual:
        yield "pitch_hz", round(_pitch_hz(usual["pitch"].centre), 1)
    if "syllable_rate" in usual:
        yield "rate_syl_s", round(usual["syllable_rate"].centre, 2)
    if "gap" in usual:
        yield "pause_s", round(math.exp(usual["gap"].centre), 2)
    if "blink_rate" in usual:
        yield "blinks_per_min", round(usual["blink_rate"].centre, 1)


def _pitch_hz(semitones: float) -> float:
    """Return a pitch in hertz; the signal counts semitones from 100 Hz."""
    return float(100 * 2 ** (semitones / 12))


def rendered(
    folder: Path,
    video_id: str,
    *,
    start_s: float,
    stop_s: float | None,
    tokens_per_10s: int,
    modalities: Sequence[str] | None,
) -> str:
    """Return the cues of a window as a prompt shows them.

    Raises:
        DataError: Nobody looked at that video.
        ConfigError: There is no such modality.
    """
    unknown = sorted(set(modalities or ()) - set(MODALITIES))
    if unknown:
        raise ConfigError(f"There is no modality {unknown[0]!r}.", remedy=f"Choose from: {', '.join(MODALITIES)}.")
    known = read_cues(folder, video_id)
    if known is None:
        raise DataError(
            f"{folder} holds no cues of {video_id!r}.",
            remedy="Give the id as in the data set (BAH: Videos/.../NAME.mp4), or run `bah-mllm cues extract` on it.",
        )
    return render_cues(
        *known, start_s=start_s, stop_s=stop_s, tokens_per_10s=tokens_per_10s, modalities=modalities or MODALITIES
    )


def show_cues(folder: Path, video_id: str, *, data: str | None, picture: Path, is_private: bool) -> str:
    """Draw one video's timeline into a PNG and return it as text for a terminal.

    Args:
        folder: What ``cues extract`` wrote.
        video_id: Which video, as in the data set.
        data: Data set with words and segments; None is the demo set.
        picture: File to write.
        is_private: The picture is for the user alone: it may show somebody who did not agree to publication, and says
            so in its heading.

    Raises:
        ConfigError: The person did not agree to publication, and the picture is not private.
        DataError: Nobody looked at that video.
    """
    dataset, _ = dataset_and_split(data, None)
    video = dataset.video(video_id)
    known = read_cues(folder, video.video_id)
    if known is None:
        raise DataError(f"{folder} holds no cues of {video.video_id!r}.", remedy="Run `bah-mllm cues extract` on it.")
    if not dataset.participant(video.participant_id).may_publish and not is_private:
        raise ConfigError(
            f"Participant {video.participant_id} is not known to have agreed to publication.",
            remedy="Add --private for a picture that only you will see.",
        )
    observation, events = known
    signals = Signals({})
    if video.path is not None:
        asked = {key: value for key, value in observation.settings.items() if key != "backend"}
        kept = _signals_file(video.path, folder, asked)
        signals = load_signals(kept) if kept.exists() else signals
    segments = dataset.segments(video) or ()
    spans = [(s.start_s, s.stop_s) for s in segments if s.start_s is not None and s.stop_s is not None]
    transcript = dataset.transcript(video)
    bars = [TimelineEvent(e.code, e.start_s, e.stop_s, e.strength, modality_of(e.code)) for e in events]
    title = f"{video.video_id}{' (private: not for publication)' if is_private else ''}"
    draw_timeline(
        picture,
        title=title,
        duration_s=observation.duration_s,
        tracks={name: (track.t_s, track.values) for name, track in signals.tracks.items()},
        usual=_kept_usual(folder, observation.participant_id),
        events=bars,
        words=[(w.text, w.start_s, w.stop_s) for w in transcript.words] if transcript is not None else [],
        segments=spans,
    )
    return timeline_text(title=title, duration_s=observation.duration_s, events=bars, segments=spans)


def _kept_usual(folder: Path, participant_id: str) -> dict[str, tuple[float, float]]:
    file = _baseline_file(folder, participant_id)
    if not file.exists():
        return {}
    usual = json.loads(file.read_text(encoding="utf-8"))["usual"]
    return {name: (float(one["centre"]), float(one["spread"])) for name, one in usual.items()}
