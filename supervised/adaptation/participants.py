"""Who is adapted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Video
from bah_mllm.dataset import Dataset
from supervised.features.store import FeatureStore
from supervised.training.data import load_videos

__all__ = ["Adaptable", "find_adaptable", "find_targets"]


def find_targets(dataset: Dataset, split: str | None, chosen: Sequence[str] | None) -> dict[str, list[Video]]:
    """Return the videos of every target, in order of first appearance.

    Args:
        dataset: Whose participants.
        split: Whose videos; None is all.
        chosen: Participants; None is everybody.

    Raises:
        ConfigError: Somebody who is chosen is not in the split.
    """
    people: dict[str, list[Video]] = {}
    for video in dataset.videos(split):
        people.setdefault(video.participant_id, []).append(video)
    unknown = sorted(set(chosen or ()) - set(people))
    if unknown:
        raise ConfigError(
            f"There is no participant {unknown[0]!r} in the split {split!r}.",
            remedy=f"Choose from: {', '.join(list(people)[:10])}.",
        )
    return {one: videos for one, videos in people.items() if chosen is None or one in chosen}


@dataclass(frozen=True, slots=True)
class Adaptable:
    """Who can be adapted to.

    Args:
        features: Modality to the name of the feature set that they need.
        ids: Participants, in order.
        excluded: Participant to the reason why they are left out.
        left_out: Video to the reason why it has no features.
    """

    features: dict[str, str]
    ids: list[str] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def find_adaptable(
    dataset: Dataset, store: FeatureStore, features: Mapping[str, str], targets: Mapping[str, list[Video]]
) -> Adaptable:
    """Tell who can be adapted to.

    Args:
        dataset: With the labels.
        store: With the features.
        features: Modality to the name of the feature set that the source model takes.
        targets: Participant to their videos.

    Raises:
        DataError: Nobody can.

    References:
        BAH paper, appendix E.3: who has no positive frames is left out.
    """
    found = Adaptable(dict(features))
    for participant, videos in targets.items():
        loaded = load_videos(store, features, dataset, videos)
        found.left_out.update(loaded.left_out)
        labels = [video.frame_labels for video in loaded.videos if video.frame_labels is not None]
        if not loaded.videos:
            found.excluded[participant] = "no features"
        elif not any((one >= 0).any() for one in labels):
            found.excluded[participant] = "no labelled frames"
        elif not any((one == 1).any() for one in labels):
            found.excluded[participant] = "no positives"
        else:
            found.ids.append(participant)
    if not found.ids:
        raise DataError(
            f"There is nobody to adapt to: none of {len(targets)} participants has features and frames with A/H.",
            remedy="Choose another --split, or run `bah-mllm features` on its videos.",
        )
    return found
