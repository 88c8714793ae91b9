"""Who may be shown to others: what participants agreed to.

Nobody is shown who has not said yes: a participant without metadata, and everybody in a data set without any, counts
as having refused. Every output that shows people goes through this module: ``check_publishable`` for one video,
``publishable`` and ``submittable`` for several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Video
from bah_mllm.dataset.dataset import Dataset

__all__ = ["Consented", "check_publishable", "publishable", "submittable"]


class Consented(NamedTuple):
    """The videos that may be shown, and how much was left out."""

    videos: tuple[Video, ...]
    n_videos_left_out: int
    n_participants_left_out: int


def check_publishable(dataset: Dataset, video: Video, *, remedy: str) -> None:
    """Refuse to show a video whose participant did not agree to publication.

    Args:
        dataset: Knows what participants said.
        video: What would be shown.
        remedy: What a user can do who wants to look at it alone.

    Raises:
        ConfigError: The participant is not known to have agreed.
    """
    if not publishable(dataset, [video]).videos:
        raise ConfigError(
            f"Participant {video.participant_id} is not known to have agreed to publication.", remedy=remedy
        )


def publishable(dataset: Dataset, videos: Sequence[Video]) -> Consented:
    """Return the videos whose participants agreed to publication: figures, example texts, HTML, exports for others."""
    return _keep(videos, {person.participant_id for person in dataset.participants() if person.may_publish})


def submittable(dataset: Dataset, videos: Sequence[Video]) -> Consented:
    """Return the videos whose participants agreed to challenges: submission files."""
    return _keep(videos, {person.participant_id for person in dataset.participants() if person.may_challenge})


def _keep(videos: Sequence[Video], agreed: set[str]) -> Consented:
    kept = tuple(video for video in videos if video.participant_id in agreed)
    left_out = {video.participant_id for video in videos} - agreed
    return Consented(kept, len(videos) - len(kept), len(left_out))
