"""What a data set holds, what is missing or broken in it, and its numbers."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import BahError, MediaError
from bah_mllm.core.records import Video
from bah_mllm.dataset.dataset import Dataset, Task
from bah_mllm.dataset.editions import SplitSize, nearest_edition, published_sizes
from bah_mllm.dataset.paths import other_spelling
from bah_mllm.dataset.problems import Problem

__all__ = [
    "DataReport",
    "DataStats",
    "ProbeVideo",
    "Probed",
    "QuestionPrior",
    "SplitReport",
    "check_dataset",
    "stats_dataset",
]

_HOUR_S = 3600.0


class Probed(Protocol):
    """What decoding tells about a video file."""

    @property
    def n_frames(self) -> int:
        """Frames that can be decoded."""
        ...

    @property
    def clock(self) -> FrameClock | None:
        """When each frame is shown."""
        ...

    @property
    def duration_s(self) -> float | None:
        """Length in seconds."""
        ...


ProbeVideo = Callable[[Path], Probed]


@dataclass(frozen=True, slots=True)
class SplitReport:
    """A split beside its published size.

    Args:
        split: Its name.
        found: What is there.
        published: What the edition's publication says; None where it says nothing.
        differences: Found minus published, of every count that both know and that differs.
    """

    split: str
    found: SplitSize
    published: SplitSize | None
    differences: dict[str, float]


@dataclass(frozen=True, slots=True)
class DataReport:
    """What ``check_dataset`` found.

    Args:
        name: The data set's.
        kind: Its kind.
        edition: The edition recognised, or None.
        compared_with: The edition that the published sizes are of: the recognised one, else the nearest.
        is_synthetic: Nobody in it is real.
        fingerprint: See ``Dataset.fingerprint``.
        parts: Which parts are there.
        splits: Each split beside its published size.
        n_videos: All videos, in splits or not.
        n_without_file: Videos whose media file is missing.
        n_without_transcript: Videos without a word.
        n_without_label: Videos whose label is unknown.
        n_participants: Everybody who answers.
        n_may_publish: Of them, those who agreed to publication.
        n_may_challenge: Of them, those who agreed to challenges.
        n_probed: Video files that were decoded for this report.
        tasks: What can be done with the data set, and what cannot.
        problems: Every file, entry or video that is broken or contradicts another, with the reason.
        notes: What was left out while reading.
        left_out: Files that look like media and are no videos: suffix -> how many.
    """

    name: str
    kind: str
    edition: str | None
    compared_with: str | None
    is_synthetic: bool
    fingerprint: str
    parts: dict[str, bool]
    splits: tuple[SplitReport, ...]
    n_videos: int
    n_without_file: int
    n_without_transcript: int
    n_without_label: int
    n_participants: int
    n_may_publish: int
    n_may_challenge: int
    n_probed: int
    tasks: tuple[Task, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    left_out: Mapping[str, int]

    def as_dict(self) -> dict[str, object]:
        """Return plain lists, dicts, texts and numbers, for JSON."""
        return asdict(self)


@dataclass(slots=True)
class _Findings:
    """What looking at every video adds up to."""

    problems: list[Problem] = field(default_factory=list)
    n_frames: dict[str, tuple[int, int]] = field(default_factory=dict)  # video id -> frames, positive frames
    duration_s: dict[str, float] = field(default_factory=dict)
    n_probed: int = 0
    n_without_transcript: int = 0

    def add(self, video: Video, what: str) -> None:
        self.problems.append(Problem(video.video_id, what))

    def add_error(self, video: Video, error: BahError) -> None:
        """Add what an error says, once and without folders: a file that serves many videos fails for each of them."""
        what = error.problem if video.path is None else error.problem.replace(str(video.path), video.path.name)
        if all(problem.what != what for problem in self.problems):
            self.add(video, what)


def check_dataset(dataset: Dataset, *, probe_video: ProbeVideo | None = None) -> DataReport:
    """Return a report on a data set, having read every file of it but the videos.

    Args:
        dataset: As ``open_dataset`` returns it.
        probe_video: Decodes a video file, raising MediaError where it cannot; None leaves the files unread.
    """
    findings = _Findings(problems=[*dataset.problems, *dataset.source.file_problems(dataset.videos())])
    parts = dict(dataset.parts)
    for video in dataset.videos():
        _check_video(dataset, video, findings, parts=parts, probe_video=probe_video)
    try:
        people = dataset.participants()
    except BahError:  # told above
        people = ()
    sizes = {
        split: _with_frames(size, dataset.videos(split), findings) for split, size in dataset.split_sizes().items()
    }
    compared_with = dataset.edition if dataset.edition in published_sizes() else None
    if compared_with is None and dataset.edition is None and dataset.kind in ("bah", "split-files"):
        compared_with = nearest_edition(sizes)
    published = published_sizes().get(compared_with or "", {})
    videos = dataset.videos()
    return DataReport(
        name=dataset.name,
        kind=dataset.kind,
        edition=dataset.edition,
        compared_with=compared_with,
        is_synthetic=dataset.is_synthetic,
        fingerprint=dataset.fingerprint(),
        parts=parts,
        splits=tuple(_beside(split, size, published.get(split)) for split, size in sizes.items()),
        n_videos=len(videos),
        n_without_file=sum(video.path is None for video in videos),
        n_without_transcript=findings.n_without_transcript,
        n_without_label=sum(video.label is None for video in videos),
        n_participants=len({video.participant_id for video in videos}),
        n_may_publish=sum(person.may_publish for person in people),
        n_may_challenge=sum(person.may_challenge for person in people),
        n_probed=findings.n_probed,
        tasks=dataset.tasks(),
        problems=tuple(findings.problems),
        notes=dataset.notes,
        left_out=dataset.left_out,
    )


def _check_video(
    dataset: Dataset,
    video: Video,
    findings: _Findings,
    *,
    parts: Mapping[str, bool],
    probe_video: ProbeVideo | None,
) -> None:
    # Where the whole part is missing, one line says so (the report's parts); a gap in it is a problem of the video.
    if video.path is None and parts["videos"]:
        other = other_spelling(dataset.root, video.video_id)
        findings.add(video, "its video file is missing" + (f", but {other!r} is there" if other else ""))
    probed = None
    if video.path is not None and probe_video is not None:
        findings.n_probed += 1
        try:
            probed = probe_video(video.path)
        except MediaError as error:
            findings.add_error(video, error)
    if probed is not None and probed.duration_s is not None:
        findings.duration_s[video.video_id] = probed.duration_s
    try:
        findings.n_without_transcript += dataset.transcript(video) is None
    except BahError as error:
        findings.add_error(video, error)
    try:
        _check_labels(dataset, video, findings, is_annotated=parts.get("annotations", False), probed=probed)
    except BahError as error:
        findings.add_error(video, error)


def _check_labels(
    dataset: Dataset, video: Video, findings: _Findings, *, is_annotated: bool, probed: Probed | None
) -> None:
    annotation = dataset.source.annotation(video)
    if is_annotated and annotation is None and video.label is not None:
        findings.add(video, "has no entry in the annotations")
    if annotation is not None and None not in (annotation.label, video.label) and annotation.label != video.label:
        findings.add(video, f"label {video.label} in the split file, {annotation.label} in the annotations")
    segments = dataset.segments(video)
    listed = dataset.source.listed_frames(video)
    if (
        segments is not None
        and probed is None
        and listed is None
        and (annotation is None or annotation.frame_labels is None)
    ):
        return  # only decoding tells how many frames the segments are out of
    labels = dataset.frame_labels(
        video, n_frames=probed.n_frames if probed else None, clock=probed.clock if probed else None
    )
    if labels is None:
        return
    findings.n_frames[video.video_id] = (len(labels), int(labels.sum()))
    if video.label is not None and bool(labels.any()) != bool(video.label):
        findings.add(video, f"label {video.label}, but {int(labels.sum())} positive frames")
    if probed is not None and len(labels) != probed.n_frames:
        findings.add(video, f"{len(labels)} frames are annotated, {probed.n_frames} can be decoded")
    if listed is not None and listed.tobytes() != labels.tobytes():
        findings.add(video, "annotations and frame-level split file disagree on frame labels")
    last = max((segment.stop_frame or 0 for segment in segments or ()), default=0)
    if last > len(labels):
        findings.add(video, f"a segment ends at frame {last}, after the last of {len(labels)} frames")


def _with_frames(size: SplitSize, videos: Sequence[Video], findings: _Findings) -> SplitSize:
    """Return the size with frames and hours, where they are known of every video of the split."""
    frames = [findings.n_frames.get(video.video_id) for video in videos]
    known = [pair for pair in frames if pair is not None]
    if len(known) == len(videos):
        size = replace(size, frames=sum(n for n, _ in known), frames_ah=sum(positive for _, positive in known))
    durations = [findings.duration_s[video.video_id] for video in videos if video.video_id in findings.duration_s]
    if len(durations) == len(videos):
        size = replace(size, hours=sum(durations) / _HOUR_S)
    return size


def _beside(split: str, found: SplitSize, published: SplitSize | None) -> SplitReport:
    differences = {}
    if published is not None:
        there, expected = asdict(found), asdict(published)
        for name, value in expected.items():
            # Hours are published with two decimals.
            if there[name] is not None and abs(there[name] - value) >= (0.01 if name.startswith("hours") else 1):
                differences[name] = there[name] - value
    return SplitReport(split, found, published, differences)


@dataclass(frozen=True, slots=True)
class QuestionPrior:
    """How often the answers to a question hold ambivalence or hesitancy, among the labelled videos of a split."""

    split: str | None
    question: int | None
    n_videos: int
    n_positive: int

    @property
    def prior(self) -> float:
        """Share of positives, 0 to 1."""
        return self.n_positive / self.n_videos


@dataclass(frozen=True, slots=True)
class DataStats:
    """The numbers of a data set.

    Args:
        name: The data set's.
        edition: Its edition, or None.
        is_synthetic: Nobody in it is real.
        splits: Size of each split.
        prevalence: Share of positive videos among the labelled ones of each split, 0 to 1; None where none is.
        questions: Per split and question; unlabelled videos are left out.
        videos_per_participant: Number of videos -> participants who have as many.
        words: Fewest, median and most words of a transcript; None without transcripts.
        durations_s: Shortest, mean and longest video in seconds; None where no video was decoded.
    """

    name: str
    edition: str | None
    is_synthetic: bool
    splits: dict[str, SplitSize]
    prevalence: dict[str, float | None]
    questions: tuple[QuestionPrior, ...]
    videos_per_participant: dict[int, int]
    words: tuple[float, float, float] | None
    durations_s: tuple[float, float, float] | None

    def as_dict(self) -> dict[str, object]:
        """Return plain lists, dicts, texts and numbers, for JSON; questions with their ``prior``."""
        return {
            **asdict(self),
            "questions": [{**asdict(question), "prior": question.prior} for question in self.questions],
        }


def stats_dataset(dataset: Dataset, *, probe_video: ProbeVideo | None = None) -> DataStats:
    """Return the numbers of a data set.

    Args:
        dataset: As ``open_dataset`` returns it.
        probe_video: Decodes a video file for its duration; files that it cannot decode are left out.
    """
    videos = dataset.videos()
    counts: Counter[tuple[str | None, int | None]] = Counter()
    positives: Counter[tuple[str | None, int | None]] = Counter()
    for video in videos:
        if video.label is not None:
            counts[video.split, video.question] += 1
            positives[video.split, video.question] += video.label
    order = {split: index for index, split in enumerate(dataset.splits)}
    keys = sorted(counts, key=lambda key: (order.get(key[0] or "", len(order)), key[1] or 0))
    words = [len(video.transcript.text.split()) for video in videos if video.transcript is not None]
    durations = [] if probe_video is None else _durations(videos, probe_video)
    per_participant = Counter(Counter(video.participant_id for video in videos).values())
    return DataStats(
        name=dataset.name,
        edition=dataset.edition,
        is_synthetic=dataset.is_synthetic,
        splits=dataset.split_sizes(),
        prevalence={split: _prevalence(dataset.videos(split)) for split in dataset.splits},
        questions=tuple(QuestionPrior(*key, counts[key], positives[key]) for key in keys),
        videos_per_participant=dict(sorted(per_participant.items())),
        words=(min(words), statistics.median(words), max(words)) if words else None,
        durations_s=(min(durations), statistics.fmean(durations), max(durations)) if durations else None,
    )


def _prevalence(videos: Sequence[Video]) -> float | None:
    labels = [video.label for video in videos if video.label is not None]
    return sum(labels) / len(labels) if labels else None


def _durations(videos: Sequence[Video], probe_video: ProbeVideo) -> list[float]:
    durations = []
    for video in videos:
        if video.path is None:
            continue
        try:
            duration_s = probe_video(video.path).duration_s
        except MediaError:
            continue
        if duration_s is not None:
            durations.append(duration_s)
    return durations
