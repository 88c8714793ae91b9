"""The cues of one video as a person or a language model sees them: a timeline, or the text of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Video
from bah_mllm.cues.baselines import load_usual
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.rendering import MODALITIES, modality_of, render_cues
from bah_mllm.cues.signals import Signals, SignalSettings, load_signals, signals_file
from bah_mllm.cues.store import Observation, read_cues
from bah_mllm.dataset import Dataset, check_publishable, dataset_and_split
from bah_mllm.report.timeline import Timeline, TimelineEvent
from bah_mllm.report.timeline_picture import draw_timeline
from bah_mllm.report.timeline_text import timeline_text

__all__ = ["rendered_cues", "show_cues"]


def rendered_cues(
    folder: Path,
    video_id: str,
    *,
    start_s: float,
    stop_s: float | None,
    tokens_per_10s: int,
    modalities: Sequence[str] | None,
) -> str:
    """Return the cues of a window as a prompt shows them.

    Args:
        folder: What ``cues extract`` wrote.
        video_id: Which video, as in the data set.
        start_s: Start of the window in seconds.
        stop_s: End of the window; the end of the video where None.
        tokens_per_10s: Budget of a line, about.
        modalities: Which of ``MODALITIES`` to tell; all where None.

    Raises:
        DataError: Nobody looked at that video, or its files are damaged.
        ConfigError: There is no such modality.
    """
    unknown = sorted(set(modalities or ()) - set(MODALITIES))
    if unknown:
        raise ConfigError(f"There is no modality {unknown[0]!r}.", remedy=f"Choose from: {', '.join(MODALITIES)}.")
    known = _cues_of(
        folder,
        video_id,
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
        DataError: Nobody looked at that video, or its files are damaged.
        PrerequisiteError: matplotlib is not installed.
    """
    dataset, _ = dataset_and_split(data, None)
    video = dataset.video(video_id)
    observation, events = _cues_of(folder, video.video_id, remedy="Run `bah-mllm cues extract` on it.")
    if not is_private:
        check_publishable(dataset, video, remedy="Add --private for a picture that only you will see.")
    timeline = _timeline(dataset, video, observation, events, is_private=is_private)
    signals = _kept_signals(folder, video, observation.settings)
    draw_timeline(
        picture,
        timeline,
        tracks={name: (track.t_s, track.values) for name, track in signals.tracks.items()},
        usual={
            name: (one.centre, one.spread)
            for name, one in load_usual(folder, observation.participant_id).items()
            if one.scope == "participant"
        },
    )
    return timeline_text(timeline)


def _cues_of(folder: Path, video_id: str, *, remedy: str) -> tuple[Observation, tuple[CueEvent, ...]]:
    known = read_cues(folder, video_id)
    if known is None:
        raise DataError(f"{folder} holds no cues of {video_id!r}.", remedy=remedy)
    return known


def _timeline(
    dataset: Dataset, video: Video, observation: Observation, events: Sequence[CueEvent], *, is_private: bool
) -> Timeline:
    segments, transcript = dataset.segments(video) or (), dataset.transcript(video)
    return Timeline(
        title=f"{video.video_id}{' (private: not for publication)' if is_private else ''}",
        duration_s=observation.duration_s,
        events=[TimelineEvent(e.code, e.start_s, e.stop_s, e.strength, modality_of(e.code)) for e in events],
        words=[(w.text, w.start_s, w.stop_s) for w in transcript.words] if transcript is not None else [],
        segments=[(s.start_s, s.stop_s) for s in segments if s.start_s is not None and s.stop_s is not None],
    )


def _kept_signals(folder: Path, video: Video, settings: SignalSettings) -> Signals:
    if video.path is None or not (file := signals_file(folder, video.path, settings)).exists():
        return Signals({})
    return load_signals(file)
