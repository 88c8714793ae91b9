"""Rows of predictions: what the source model and the adapted one say of a target's test frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bah_mllm.core.records import Level, Status, Video
from bah_mllm.predictions import PredictionRow
from supervised.adaptation.targets import TargetOutcome

__all__ = ["rows_of_target", "rows_without_features"]


def rows_of_target(outcome: TargetOutcome, *, system: str) -> list[PredictionRow]:
    """Return the rows of a target's test frames; a row that says why for each of its videos where the method failed.

    Args:
        outcome: What became of the target.
        system: Name of the method; the source model is ``source_only``.
    """
    answers = {"source_only": outcome.p_source} | ({} if outcome.p is None else {system: outcome.p})
    rows = [
        PredictionRow(
            system=name,
            video_id=video,
            participant_id=outcome.participant_id,
            level=Level.FRAME,
            start_frame=int(frame),
            stop_frame=int(frame) + 1,
            p_positive=float(p),
        )
        for name, probabilities in answers.items()
        for video, frame, p in zip(outcome.video_ids, outcome.frames, probabilities, strict=True)
    ]
    if outcome.p is None:
        detail = outcome.fitted.problem or ""
        rows += [
            _failure(system, video, outcome.participant_id, Status.ENGINE_ERROR, detail)
            for video in dict.fromkeys(outcome.video_ids)
        ]
    return rows


def rows_without_features(
    targets: Mapping[str, Sequence[Video]], left_out: Mapping[str, str], *, system: str
) -> list[PredictionRow]:
    """Return a row of both systems for every video that has no features.

    Args:
        targets: Participant to their videos.
        left_out: Video to the reason why it has none.
        system: Name of the method.
    """
    videos = [video for videos in targets.values() for video in videos if video.video_id in left_out]
    return [
        _failure(name, video.video_id, video.participant_id, Status.NO_FEATURES, left_out[video.video_id])
        for name in dict.fromkeys(("source_only", system))
        for video in videos
    ]


def _failure(system: str, video: str, participant: str, status: Status, detail: str) -> PredictionRow:
    return PredictionRow(
        system=system, video_id=video, participant_id=participant, level=Level.FRAME, status=status, detail=detail
    )
