"""Made-up features whose labels can be learnt, to see that a model can learn at all."""

from __future__ import annotations

from typing import Literal

import numpy as np

from supervised.records import VideoFeatures

__all__ = ["MADE_UP_DIMS", "made_up_videos"]

MADE_UP_DIMS = {"visual": 12, "audio": 8, "text": 6}
_SPELL_FRAMES = 8  # how long a state lasts


def made_up_videos(
    n: int,
    *,
    seed: int,
    planted: Literal["visual", "audio", "text", "conjunction"] = "text",
    n_frames: int | None = None,
    shuffled: bool = False,
) -> list[VideoFeatures]:
    """Return videos in which each modality is in one of two states that last 8 frames, told by its first dimension.

    Args:
        n: How many, each of a participant of its own.
        seed: Decides about everything.
        planted: The modality whose state is the label; ``conjunction``: both audio and text must be in theirs.
        n_frames: Length of every video; 40 to 89 where None.
        shuffled: Labels are mixed up within each video, so that there is nothing to learn.
    """
    rng = np.random.default_rng(seed)
    videos = []
    for number in range(n):
        length = n_frames or int(rng.integers(40, 90))
        n_spells = length // _SPELL_FRAMES + 1
        states = {modality: rng.random(n_spells) < 0.5 for modality in MADE_UP_DIMS}
        label_states = states["audio"] & states["text"] if planted == "conjunction" else states[planted]
        if shuffled:
            label_states = rng.permutation(label_states)
        labels = np.repeat(label_states, _SPELL_FRAMES)[:length]
        features = {modality: rng.normal(size=(length, dim)) for modality, dim in MADE_UP_DIMS.items()}
        for modality, state in states.items():
            features[modality][:, 0] += np.repeat(np.where(state, 2.0, -2.0), _SPELL_FRAMES)[:length]
        videos.append(
            VideoFeatures(
                video_id=f"made-up-{seed}-{number}",
                participant_id=f"p{number}",
                question=1 + number % 7,
                split="train",
                n_frames=length,
                features={modality: values.astype(np.float32) for modality, values in features.items()},
                is_valid={modality: np.ones(length, bool) for modality in MADE_UP_DIMS},
                frame_labels=labels.astype(np.int8),
                label=int(labels.any()),
            )
        )
    return videos
