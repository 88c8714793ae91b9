"""What is usual for a person: signals pooled over that person's videos.

Cues are defined against a person's usual behaviour. Centre and spread are a median and a median absolute deviation, so
that the cues themselves hardly count. In short, expressive videos they count after all: the spread becomes so large
that plain smiles vanish. It is therefore clamped to a range found over people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.cues.face import PERCENTILES
from bah_mllm.cues.records import Baseline, Track, Usual

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MINIMUM_S", "pool"]

MINIMUM_S = 12.5  # 300 frames at BAH's 24 a second: below that a signal says too little about a person
_FACE_SIGNAL = "head_yaw"  # known exactly where a face is
_MAD_TO_SD = 1.4826  # of a normal distribution
_LONGEST_STEP_S = 1.0  # what one sample may stand for, whatever the times say


def pool(
    participant_id: str,
    videos: Sequence[Mapping[str, Track]],
    clamps: Mapping[str, tuple[float, float]],
    population: Mapping[str, Usual],
    *,
    percentiles: Mapping[str, float] = MappingProxyType(PERCENTILES),
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
        Baseline; its scope is ``participant`` where at least one signal is the person's own.

    References:
        Spread: 1.4826 times the median absolute deviation; plain, it failed on short expressive clips.
    """
    usual: dict[str, Usual] = {}
    n_own = 0
    for name, (lowest, highest) in clamps.items():
        tracks = [video[name] for video in videos if name in video]
        if sum(_known_s(track) for track in tracks) >= minima_s.get(name, MINIMUM_S):
            known = np.concatenate([track.values[np.isfinite(track.values)] for track in tracks])
            usual[name] = _usual(known, lowest, highest, percentile=percentiles.get(name, 50))
            n_own += 1
        elif name in population:
            usual[name] = population[name]
    faces = [video[_FACE_SIGNAL].values for video in videos if _FACE_SIGNAL in video]
    return Baseline(
        participant_id=participant_id,
        usual=usual,
        n_videos=len(videos),
        n_frames=sum(int(np.isfinite(values).sum()) for values in faces),
        speech_s=speech_s,
        scope="participant" if n_own else "population",
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
