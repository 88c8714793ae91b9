"""The signals of one video, all that perception says about it, and how they are kept.

Signals are the slow part: they are kept under the digest of the video's content and of the settings, so that a second
start, or better detectors, decode nothing anew.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from bah_mllm.core.arrays import DAMAGED_ARRAYS
from bah_mllm.core.errors import DataError, MediaError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal, parse_json
from bah_mllm.core.stretches import TimeSpan, stretches_between
from bah_mllm.cues.perception import Perceived, Sampling, perceive
from bah_mllm.cues.records import Track
from bah_mllm.cues.sound import sound_signals
from bah_mllm.cues.tasks_backend import TaskModels, TasksBackend
from bah_mllm.media import read_audio
from bah_mllm.report.progress import Stopwatch

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SignalSettings", "Signals", "load_signals", "measure_signals", "save_signals", "signals_file"]

_VERSION = 4  # counts up when signals change, so that kept ones are made anew


class SignalSettings(BaseModel):
    """What decides about the signals of a video, besides its content; as it stands in the files of older releases.

    Args:
        backend: Who looked; no part of the key under which signals are kept.
        version: Of the measuring; counts up when signals change.
        models: Digest of model files of mediapipe Tasks; None for the models in mediapipe's package.
        face_hz: Looks at the face a second.
        body_hz: Looks at shoulders and hands a second.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = ""
    version: int | None = None
    models: str | None = None
    face_hz: float | None = None
    body_hz: float | None = None

    @classmethod
    def of(cls, sampling: Sampling, models: TaskModels | None) -> SignalSettings:
        """Return the settings of looking now."""
        digest = None if models is None else models.digest()
        return cls(version=_VERSION, models=digest, face_hz=sampling.face_hz, body_hz=sampling.body_hz)

    def by(self, backend: str) -> SignalSettings:
        """Return the same settings with the name of who looked."""
        return SignalSettings(backend=backend, **self._key())

    def _key(self) -> dict[str, Any]:
        # Older releases had fewer settings: one that was not written is no part of their key.
        return self.model_dump(exclude={"backend"}, exclude_unset=True)

    def digest_with(self, video: Path) -> str:
        """Return a digest of the settings and of what is in a file, 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self._key(), sort_keys=True).encode())
        with video.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


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
    speech: tuple[TimeSpan, ...] = ()
    duration_s: float = 0.0
    has_sound: bool = False
    problem: str | None = None
    backend: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    def spans_without(self, name: str, *, min_s: float) -> list[TimeSpan]:
        """Return the spans of at least so many seconds in which a signal is unknown; the whole video without it."""
        track = self.tracks.get(name)
        if track is None or not len(track.t_s):
            return [(0.0, self.duration_s)] if self.duration_s else []
        until_s: Float[np.ndarray, " samples"] = np.append(track.t_s[1:], self.duration_s)
        found = stretches_between(track.t_s, until_s, ~np.isfinite(track.values), min_s=min_s)
        return [(round(one.start_s, 3), round(one.stop_s, 3)) for one in found]


def measure_signals(video: Path, *, sampling: Sampling, models: TaskModels | None = None) -> Signals:
    """Look at and listen to one video; one that cannot be read has a problem instead of signals.

    Args:
        video: A video file.
        sampling: How often to look.
        models: Model files of mediapipe Tasks to look with; None takes the models in mediapipe's package.

    Raises:
        ConfigError: A model file is none.
        PrerequisiteError: A package of the extra ``cues`` is not installed.
    """
    try:
        seen = _seen(video, sampling, models)
    except MediaError as error:
        # The video is named by its id elsewhere; a path of this machine is nobody's business.
        return Signals({}, problem=error.problem.replace(str(video), video.name))
    signals = Signals(seen.tracks, duration_s=round(seen.duration_s, 3), backend=seen.backend, seconds=seen.seconds)
    watch = Stopwatch()
    try:
        with watch.spent_on("sound"):
            heard = sound_signals(read_audio(video))
    except MediaError:
        return signals
    return replace(
        signals,
        tracks={**seen.tracks, **heard.tracks},
        speech=heard.speech,
        has_sound=True,
        seconds={**seen.seconds, **watch.seconds},
    )


def _seen(video: Path, sampling: Sampling, models: TaskModels | None) -> Perceived:
    if models is None:
        return perceive(video, sampling=sampling)
    with TasksBackend(models) as backend:
        return perceive(video, backend=backend, sampling=sampling)


def signals_file(folder: Path, video: Path, settings: SignalSettings) -> Path:
    """Return the file of a video's signals in a folder of cues, there or not."""
    return folder / "signals" / f"{settings.digest_with(video)}.npz"


def save_signals(signals: Signals, file: Path) -> None:
    """Write the signals of a video; the folder is made where missing."""
    about = {key: value for key, value in asdict(replace(signals, tracks={})).items() if key != "tracks"}
    arrays = {
        f"{name}/{axis}": getattr(track, axis) for name, track in signals.tracks.items() for axis in ("t_s", "values")
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, buffer.getvalue())


def load_signals(file: Path) -> Signals:
    """Return the signals that ``save_signals`` wrote.

    Raises:
        DataError: The file is damaged.
    """
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            refusal = Refusal(
                DataError, f"The kept signals {file}", "Delete the file and run `bah-mllm cues extract` again."
            )
            about: dict[str, Any] = parse_json(str(archive["about"]), refusal)
            names = sorted({key.rpartition("/")[0] for key in archive.files} - {""})
            tracks = {name: Track(archive[f"{name}/t_s"], archive[f"{name}/values"]) for name in names}
        about["speech"] = tuple((start_s, stop_s) for start_s, stop_s in about["speech"])
        return Signals(tracks, **about)
    except DAMAGED_ARRAYS as error:
        raise DataError(
            f"The kept signals {file} are damaged ({type(error).__name__}).",
            remedy="Delete the file and run `bah-mllm cues extract` again.",
        ) from error
