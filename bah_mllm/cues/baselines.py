"""What is usual for a person: signals pooled over that person's videos, and kept beside the cues.

Cues are defined against a person's usual behaviour. Centre and spread are a median and a median absolute deviation, so
that the cues themselves hardly count. In short, expressive videos they count after all: the spread becomes so large
that plain smiles vanish. It is therefore clamped to a range found over people.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from bah_mllm.core.errors import DataError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.cues import body, face, sound
from bah_mllm.cues.records import Baseline, Scope, Track, Usual
from bah_mllm.cues.signals import Signals

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "CLAMPS",
    "MINIMUM_S",
    "POPULATION",
    "is_own",
    "load_usual",
    "pool",
    "pool_signals",
    "save_baseline",
    "scopes_of_figures",
    "usual_figures",
]

CLAMPS: Mapping[str, tuple[float, float]] = MappingProxyType(face.CLAMPS | body.CLAMPS | sound.CLAMPS)
"""Signal to the range of its robust spread over people."""
POPULATION: Mapping[str, Usual] = MappingProxyType(face.POPULATION | body.POPULATION | sound.POPULATION)
"""Signal to what takes its place where too little is known of a person."""

MINIMUM_S = 12.5  # 300 frames at BAH's 24 a second: below that a signal says too little about a person
_FIGURES: Mapping[str, tuple[str, Callable[[float], float], int]] = MappingProxyType(
    {  # figure -> signal, how it is told, decimals
        "pitch_hz": ("pitch", sound.pitch_hz, 1),
        "rate_syl_s": ("syllable_rate", float, 2),
        "pause_s": ("gap", math.exp, 2),
        "blinks_per_min": ("blink_rate", float, 1),
    }
)
_FACE_SIGNAL = "head_yaw"  # known exactly where a face is
_MAD_TO_SD = 1.4826  # of a normal distribution
_LONGEST_STEP_S = 1.0  # what one sample may stand for, whatever the times say


def pool(
    participant_id: str,
    videos: Sequence[Mapping[str, Track]],
    clamps: Mapping[str, tuple[float, float]],
    population: Mapping[str, Usual],
    *,
    percentiles: Mapping[str, float] = MappingProxyType(face.PERCENTILES),
    minima_s: Mapping[str, float] = MappingProxyType({}),
    speech_s: float = 0.0,
) -> Baseline:
    """Return what is usual for a person, from all of that person's videos and no labels.

    Signals that are known for too short a time take the population's value, or are left out where there is none.

    Args:
        participant_id: Whose videos these are.
        videos: The tracks of each video, by name of the signal.
        clamps: Range of the spread of each signal; signals without one are left out.
        population: What to take where too little is known of the person.
        percentiles: Which percentile of a signal is its centre, where not the median.
        minima_s: Seconds for which a signal must be known, where not ``MINIMUM_S`` (sound: 20 s of speech).
        speech_s: Seconds of speech in the videos, for the record.

    Returns:
        Baseline; each of its signals says whether it is the person's own.

    References:
        Spread: 1.4826 times the median absolute deviation; plain, it failed on short expressive clips.
    """
    usual: dict[str, Usual] = {}
    for name, (lowest, highest) in clamps.items():
        tracks = [video[name] for video in videos if name in video]
        if sum(_known_s(track) for track in tracks) >= minima_s.get(name, MINIMUM_S):
            known = np.concatenate([track.values[np.isfinite(track.values)] for track in tracks])
            usual[name] = _usual(known, lowest, highest, percentile=percentiles.get(name, 50))
        elif name in population:
            usual[name] = replace(population[name], scope="population")
    faces = [video[_FACE_SIGNAL].values for video in videos if _FACE_SIGNAL in video]
    return Baseline(
        participant_id=participant_id,
        usual=usual,
        n_videos=len(videos),
        n_frames=sum(int(np.isfinite(values).sum()) for values in faces),
        speech_s=speech_s,
    )


def _usual(known: Float[np.ndarray, " samples"], lowest: float, highest: float, *, percentile: float) -> Usual:
    spread = _MAD_TO_SD * float(np.median(np.abs(known - np.median(known))))
    return Usual(float(np.percentile(known, percentile)), min(max(spread, lowest), highest))


def _known_s(track: Track) -> float:
    """Return for how many seconds a signal is known."""
    if len(track.t_s) < 2:
        return 0.0
    step_s = min(float(np.median(np.diff(track.t_s))), _LONGEST_STEP_S)
    return step_s * float(np.isfinite(track.values).sum())


def pool_signals(participant_id: str, videos: Sequence[Signals]) -> Baseline:
    """Return what is usual for a person, from the signals of all of that person's videos; see ``pool``."""
    return pool(
        participant_id,
        [video.tracks for video in videos],
        CLAMPS,
        POPULATION,
        minima_s=sound.MINIMA_S,
        speech_s=sum(stop_s - start_s for video in videos for start_s, stop_s in video.speech),
    )


def is_own(baseline: Baseline, name: str) -> bool:
    """Return whether what is usual for a signal was found on this very person, and not on the population."""
    usual = baseline.usual.get(name)
    return usual is not None and usual.scope == "participant"


def usual_figures(usual: Mapping[str, Usual]) -> dict[str, float]:
    """Return what ``Observation.usual`` tells of some signals, as far as they are known."""
    return {
        figure: round(in_unit(usual[name].centre), decimals)
        for figure, (name, in_unit, decimals) in _FIGURES.items()
        if name in usual
    }


def scopes_of_figures(usual: Mapping[str, Usual]) -> dict[str, Scope]:
    """Return whose each figure of ``usual_figures`` is."""
    return {figure: usual[name].scope for figure, (name, *_) in _FIGURES.items() if name in usual}


class _Usual(BaseModel):
    """What is usual for one signal, in the file; earlier files do not say whose it is."""

    model_config = ConfigDict(extra="forbid")

    centre: float
    spread: float
    scope: Scope | None = None


class _Kept(BaseModel):
    """The file of a person, as far as anybody reads it again; earlier files have one scope for all signals."""

    usual: dict[str, _Usual]
    scope: Scope = "participant"


def save_baseline(folder: Path, baseline: Baseline) -> None:
    """Write what is usual for a person below a folder of cues."""
    file = _file(folder, baseline.participant_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, (json.dumps(asdict(baseline), indent=1, sort_keys=True) + "\n").encode())


def load_usual(folder: Path, participant_id: str) -> dict[str, Usual]:
    """Return signal to what was usual for a person when cues were extracted into a folder; empty where nobody looked.

    Raises:
        DataError: The file is damaged.
    """
    file = _file(folder, participant_id)
    if not file.exists():
        return {}
    refusal = Refusal(DataError, str(file), "Delete the file and run `bah-mllm cues extract` again.")
    kept = read_json_as(file, _Kept, refusal)
    return {
        name: Usual(one.centre, one.spread, one.scope or _scope_in_earlier_files(name, one, kept.scope))
        for name, one in kept.usual.items()
    }


def _scope_in_earlier_files(name: str, one: _Usual, of_all: Scope) -> Scope:
    fixed = POPULATION.get(name)
    return "population" if fixed is not None and (one.centre, one.spread) == (fixed.centre, fixed.spread) else of_all


def _file(folder: Path, participant_id: str) -> Path:
    # A participant of a foreign data set may have any name; a file may not.
    is_plain = all(letter.isalnum() or letter in "-_" for letter in participant_id)
    name = participant_id if is_plain else hashlib.sha256(participant_id.encode()).hexdigest()[:16]
    return folder / "baselines" / f"{name}.json"
