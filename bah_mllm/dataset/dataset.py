"""One face for all sources of videos: who speaks, what is said, what is annotated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Participant, Transcript, Video
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset.annotations import Annotation, labels_of_segments
from bah_mllm.dataset.editions import SplitSize
from bah_mllm.dataset.paths import lookup_key
from bah_mllm.dataset.problems import NOTHING_FOUND, Findings, Problem, alike_participants, split_order

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int8

__all__ = ["Dataset", "Source", "Task", "split_sizes"]


@dataclass(frozen=True, slots=True)
class Task:
    """Something one may want to do with a data set.

    Args:
        name: ``score_transcripts``, ``score_frames`` ...
        is_possible: Whether all it needs is there.
        reason: What is there, or what is missing.
    """

    name: str
    is_possible: bool
    reason: str


class Source(Protocol):
    """What lies behind a data set besides its list of videos; read when it is asked for."""

    def parts(self) -> Mapping[str, bool]:
        """Return the parts that such a source can have, and whether they are there."""
        ...

    def file_sizes(self) -> Mapping[str, int]:
        """Return the sizes in bytes of the files besides videos and splits, by name, for the fingerprint."""
        ...

    def annotation(self, video: Video) -> Annotation | None:
        """Return a video's annotation."""
        ...

    def listed_frames(self, video: Video) -> Int8[np.ndarray, " frames"] | None:
        """Return frame labels from a frame-level split file."""
        ...

    def file_problems(self, videos: Sequence[Video]) -> Iterable[Problem]:
        """Return what is wrong with these files, whether something reads them yet or not."""
        ...

    def spoken(self, video: Video) -> Transcript | None:
        """Return the timed transcript that belongs to a video."""
        ...

    def participants(self) -> Mapping[str, Participant]:
        """Return the participants that metadata describe."""
        ...


def split_sizes(videos: Iterable[Video]) -> dict[str, SplitSize]:
    """Return the size of each split, in reading order; videos outside splits are left out."""
    members: dict[str, list[Video]] = {}
    for video in videos:
        if video.split is not None:
            members.setdefault(video.split, []).append(video)
    sizes = {}
    for split in split_order(members):
        positive = [video for video in members[split] if video.label == 1]
        sizes[split] = SplitSize(
            participants=len({video.participant_id for video in members[split]}),
            participants_ah=len({video.participant_id for video in positive}),
            videos=len(members[split]),
            videos_ah=len(positive),
        )
    return sizes


class Dataset:
    """Videos with what is known about them.

    Args:
        name: The folder's or file's name, or the one that a marker file gives.
        kind: ``bah`` (as distributed), ``split-files`` (of BAH, without videos), ``manifest`` or ``folder``.
        edition: ``v1``, ``iclr2026``, ``demo`` or None.
        root: Folder that the paths are relative to.
        is_synthetic: Nobody in it is real.
        videos: All videos, in order of the splits.
        source: Where annotations, timed words and metadata come from.
        findings: What was noticed while reading.
        follows_links: Links may lead outside of ``root``.
    """

    def __init__(  # noqa: PLR0913 - the facts of a data set, each by its name
        self,
        *,
        name: str,
        kind: str,
        edition: str | None,
        root: Path,
        is_synthetic: bool,
        videos: Sequence[Video],
        source: Source,
        findings: Findings = NOTHING_FOUND,
        follows_links: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.edition = edition
        self.root = root
        self.is_synthetic = is_synthetic
        self.splits = split_order(video.split for video in videos if video.split is not None)
        self.problems = (*findings.problems, *alike_participants(videos))
        self.notes = findings.notes
        self.left_out = findings.left_out
        self.follows_links = follows_links
        self.source = source
        rank = {split: index for index, split in enumerate(self.splits)}
        self._videos = tuple(sorted(videos, key=lambda video: rank.get(video.split or "", len(rank))))

    def __len__(self) -> int:
        return len(self._videos)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, kind={self.kind!r}, edition={self.edition!r}, videos={len(self)})"

    def videos(self, split: str | None = None) -> tuple[Video, ...]:
        """Return the videos of a split, in the order of its file; of all splits where None.

        The records hold what the split files say; segments and word times are read by ``segments`` and ``transcript``.

        Raises:
            DataError: There is no such split.
        """
        if split is None:
            return self._videos
        if split not in self.splits:
            there = f"It has {', '.join(self.splits)}" if self.splits else "It has no splits: leave --split out"
            raise DataError(f"The data set {self.name!r} has no split {split!r}.", remedy=f"Choose another: {there}.")
        return tuple(video for video in self._videos if video.split == split)

    def video(self, name: str) -> Video:
        """Return one video.

        Args:
            name: The video's id, its file name, or its path without leading folder or extension, where unique.

        Raises:
            DataError: No video, or more than one, has that name; says which come near.
        """
        found = self.named(name)
        if len(found) == 1:
            return found[0]
        if found:
            candidates = ", ".join(video.video_id for video in found[:5])
            raise DataError(
                f"{name!r} may be any of {len(found)} videos of {self.name!r}.", remedy=f"Write one of: {candidates}."
            )
        stems = [key for key in self._by_name if "/" not in key]
        near = get_close_matches(PurePosixPath(lookup_key(name)).name, stems, n=3, cutoff=0.75)
        ids = dict.fromkeys(video.video_id for key in near for video in self._by_name[key])
        raise DataError(
            f"There is no video {name!r} in {self.name!r}.",
            remedy=f"Did you mean {' or '.join(ids)}?" if ids else "Run `bah-mllm data check` to see what is there.",
        )

    def named(self, name: str) -> tuple[Video, ...]:
        """Return the videos that a name may mean, as ``video`` takes names: none, one or several."""
        return self._by_name.get(lookup_key(name), ())

    @cached_property
    def _by_name(self) -> dict[str, tuple[Video, ...]]:
        index: dict[str, tuple[Video, ...]] = {}
        for video in self._videos:
            path = PurePosixPath(lookup_key(video.video_id))
            inner = PurePosixPath(*path.parts[1:]) if len(path.parts) > 1 else path
            for key in {
                str(way) for base in (path, inner, PurePosixPath(path.name)) for way in (base, base.with_suffix(""))
            }:
                index[key] = (*index.get(key, ()), video)
        for video in self._videos:  # a full id wins over a name that another video shares
            index[lookup_key(video.video_id)] = (video,)
        return index

    def participants(self) -> tuple[Participant, ...]:
        """Return everybody who answers in a video, in order of first appearance.

        Who has no entry in the metadata, or where there are none, has not agreed to anything.
        """
        known = self.source.participants()
        ids = dict.fromkeys(video.participant_id for video in self._videos)
        return tuple(known.get(participant_id, Participant(participant_id)) for participant_id in ids)

    def participant(self, participant_id: str) -> Participant:
        """Return one participant.

        Raises:
            DataError: Nobody of that id answers in a video.
        """
        people = {person.participant_id: person for person in self.participants()}
        if participant_id not in people:
            near = get_close_matches(participant_id, people, n=3)
            raise DataError(
                f"There is no participant {participant_id!r} in {self.name!r}.",
                remedy=f"Did you mean {' or '.join(near)}?"
                if near
                else "Run `bah-mllm data stats` to see who is there.",
            )
        return people[participant_id]

    def segments(self, video: Video) -> tuple[Segment, ...] | None:
        """Return the annotated segments of a video; None where they are unknown, empty where there are none."""
        if video.segments is not None:
            return video.segments
        annotation = self.source.annotation(video)
        return annotation.segments if annotation is not None else None

    def frame_labels(
        self,
        video: Video,
        *,
        n_frames: int | None = None,
        fps: float | None = None,
        clock: FrameClock | None = None,
    ) -> Int8[np.ndarray, " frames"] | None:
        """Return a label for every frame of a video, 0 or 1, or None where they are unknown.

        From the annotated frames, else from segments in frames, else from segments in seconds; from the frame-level
        split file where the annotations say nothing. Annotated frames are returned as they are: their number is the
        annotators' count of frames, which may differ from ``n_frames``.

        Args:
            video: One of this data set.
            n_frames: Length of the decoded video; needed where only segments are known.
            fps: Frames a second, where they are even; needed where segments are known only in seconds.
            clock: When each frame is shown, as ``probe`` tells; in place of ``fps``.

        Raises:
            DataError: Only segments are known and ``n_frames`` or the frame rate is missing; or the annotation is
                malformed.
        """
        annotation = self.source.annotation(video)
        if annotation is not None and annotation.frame_labels is not None:
            return annotation.frame_labels.copy()
        segments = self.segments(video)
        if segments is None or n_frames is None:
            listed = self.source.listed_frames(video)
            if listed is not None:
                return listed.copy()
            if segments is None:
                return None
            raise DataError(
                f"{video.video_id} has annotated segments but no labels of frames, and its length is unknown.",
                remedy="Keep the video file with the data set: its frames are counted there.",
            )
        clock = FrameClock(fps) if clock is None and fps else clock
        return labels_of_segments(segments, n_frames=n_frames, clock=clock, where=video.video_id)

    def transcript(self, video: Video) -> Transcript | None:
        """Return what is said in a video, with times of chunks or words where files give them.

        The text is the split file's where there is one; its words need not be exactly the timed ones.

        Raises:
            DataError: A file of timed words is malformed.
        """
        spoken = self.source.spoken(video)
        if spoken is None or video.transcript is None:
            found = spoken or video.transcript
            return found if found is not None and found.text else None
        return Transcript(
            text=video.transcript.text,
            language=spoken.language or video.transcript.language,
            chunks=spoken.chunks,
            words=spoken.words,
            notes=spoken.notes,
        )

    @property
    def parts(self) -> Mapping[str, bool]:
        """Which parts are there: those of the source, then ``labels``, ``transcripts`` and ``videos``."""
        return {
            **self.source.parts(),
            "labels": any(video.label is not None for video in self._videos),
            "transcripts": any(video.transcript is not None for video in self._videos),
            "videos": any(video.path is not None for video in self._videos),
        }

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that are not there."""
        return tuple(name for name, is_there in self.parts.items() if not is_there)

    def tasks(self) -> tuple[Task, ...]:
        """Return what can be done with the parts that are there, and what cannot, with the reason."""
        parts = self.parts
        frames = parts.get("annotations", False) or parts.get("split-frames", False) or parts.get("segments", False)
        timed = parts.get("transcription", False)
        needs = {
            "score_transcripts": (("transcripts or transcription", parts["transcripts"] or timed),),
            "score_videos": (("videos", parts["videos"]),),
            "score_windows_with_words": (("videos", parts["videos"]), ("transcription", timed)),
            "evaluate_videos": (("labels", parts["labels"]),),
            "evaluate_frames": (("annotations, split-frames or segments", frames),),
            "evaluate_subgroups": (("meta_data", parts.get("meta_data", False)),),
            "publish_examples": (("meta_data (consent)", parts.get("meta_data", False)),),
        }
        return tuple(
            Task(
                name,
                all(is_there for _, is_there in needed),
                ", ".join(f"{part}: {'there' if is_there else 'missing'}" for part, is_there in needed),
            )
            for name, needed in needs.items()
        )

    def split_sizes(self) -> dict[str, SplitSize]:
        """Return how many participants and videos each split has; videos outside splits are left out."""
        return split_sizes(self._videos)

    def fingerprint(self) -> str:
        """Return a digest of what the data set holds: SHA-256, 64 hexadecimal digits.

        Made from the videos' ids, splits, questions, labels, transcripts, segments and file sizes, and from the sizes
        of the files of annotations, metadata and timed words. Independent of where the folder lies, of its name, of
        file times and of the order of lines; a changed label or word changes it.
        """
        rows = sorted(_digest_row(video) for video in self._videos)
        rows += [f"{name}={size}" for name, size in sorted(self.source.file_sizes().items())]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _digest_row(video: Video) -> str:
    return json.dumps(
        [
            video.video_id,
            video.participant_id,
            video.question,
            video.split,
            video.label,
            video.transcript.text if video.transcript else None,
            [asdict(segment) for segment in video.segments] if video.segments is not None else None,
            video.path.stat().st_size if video.path is not None else None,
        ],
        sort_keys=True,
    )
