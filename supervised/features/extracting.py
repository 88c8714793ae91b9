"""From videos to feature sets on disk: what is missing is made, in parallel over videos, and nothing is made twice.

Rows are kept under the digest of what was read and of how, so a second start, a killed run and a video that is there
twice all go on from what is on disk. What fails for one video is written as its problem; the others go on.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from bah_mllm.core.errors import ConfigError, DataError, MediaError
from bah_mllm.core.files import digest_file, make_folder, remove_leftovers
from bah_mllm.core.saying import say
from bah_mllm.core.workers import worker_processes
from bah_mllm.dataset import Dataset, open_dataset
from bah_mllm.media import DAMAGED
from bah_mllm.report.progress import Progress
from supervised.features.crops import find_shipped
from supervised.features.extractors import Extractor, open_extractors
from supervised.features.request import FeatureRequest
from supervised.features.store import FeatureStore
from supervised.features.videos import Content, Reading, Rows

__all__ = ["Extraction", "SetCounts", "extract_features"]


@dataclass(slots=True)
class SetCounts:
    """What a set holds of the videos that were asked for.

    Args:
        n_videos: With features.
        n_frames: Rows of these.
        n_reused: Videos of these that were there already.
        problems: Videos without features, and why.
        damaged: Videos of which only a part seems to decode, and the note of their features.
    """

    n_videos: int = 0
    n_frames: int = 0
    n_reused: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction did.

    Args:
        sets: By name.
        seconds: By what they were spent on, summed over workers.
        wall_s: From start to end.
    """

    sets: dict[str, SetCounts]
    seconds: dict[str, float]
    wall_s: float

    @property
    def n_problems(self) -> int:
        """Videos that lack features in at least one set."""
        return len({video_id for counts in self.sets.values() for video_id in counts.problems})


@dataclass(frozen=True, slots=True)
class _Job:
    """A video and the sets that lack it, with the digests of the rows to come."""

    content: Content
    digests: dict[str, str]


@dataclass(slots=True)
class _Plan:
    """What is to be done: jobs, and then videos that share the rows of one of them."""

    jobs: list[_Job] = field(default_factory=list)
    twins: list[_Job] = field(default_factory=list)
    reused: Counter[str] = field(default_factory=Counter)


def extract_features(
    target: Path, out: Path, request: FeatureRequest, *, split: str | None = None, workers: int = 1
) -> Extraction:
    """Make the feature sets of a data set, as far as they are not there, and say what there is then.

    Args:
        target: Root of a data set, or a manifest.
        out: Folder of the feature store.
        request: What to extract, and how.
        split: Only this split.
        workers: Processes that work on videos at the same time, at least 1.

    Raises:
        ConfigError: The data set holds no video, or there is no such backbone or detector.
        DataError: The data set cannot be opened, or weights cannot be read.
        PrerequisiteError: Weights or a package are missing.
        RunError: A set of one of these names was made otherwise.
    """
    started = perf_counter()
    dataset, store = open_dataset(target), FeatureStore(out)
    extractors = open_extractors(request)
    make_folder(store.root)
    remove_leftovers(store.root)
    for extractor in extractors:
        for info in extractor.sets.values():
            store.create(info)
    contents = list(_contents(dataset, split))
    if not contents:
        raise ConfigError(f"{target} holds no video.", remedy="Name a data set with videos.")
    say(f"{len(contents):,} videos; looking up what is there already")
    plan = _planned(contents, extractors, store)
    if len(plan.jobs) < len(contents):
        say(f"{len(contents) - len(plan.jobs):,} of {len(contents):,} videos have all these features, or share them")
    seconds = _work_off(plan.jobs, extractors, store, request, workers)
    for twin in plan.twins:
        for name, digest in twin.digests.items():
            store.share(name, twin.content.video_id, digest)
    names = [name for extractor in extractors for name in extractor.sets]
    sets = {name: _counted(store, name, contents, plan.reused[name]) for name in names}
    return Extraction(sets, dict(seconds), perf_counter() - started)


def _contents(dataset: Dataset, split: str | None) -> Iterator[Content]:
    for video in dataset.videos(split):
        transcript, problem = None, "there is no transcript"
        try:
            transcript = dataset.transcript(video)
        except DataError as error:  # that of one video keeps no other one from being read
            problem = error.problem
        crops = find_shipped(dataset.root, video.video_id)
        yield Content(video.video_id, video.path, crops, transcript, problem)


def _planned(contents: Sequence[Content], extractors: Sequence[Extractor], store: FeatureStore) -> _Plan:
    plan = _Plan()
    planned: set[str] = set()
    for content in contents:
        content_digest = _content_digest(content)
        fresh, shared = {}, {}
        for extractor in extractors:
            for name in extractor.sets:
                digest = extractor.digest(name, content, content_digest)
                if store.share(name, content.video_id, digest):
                    plan.reused[name] += store.problem(name, content.video_id) is None
                elif digest in planned:
                    shared[name] = digest
                else:
                    fresh[name] = digest
                    planned.add(digest)
        if fresh:
            plan.jobs.append(_Job(content, fresh))
        if shared:
            plan.twins.append(_Job(content, shared))
    return plan


def _content_digest(content: Content) -> bytes:
    if content.path is None:
        return b""
    try:
        return bytes.fromhex(digest_file(content.path))
    except OSError as error:  # nobody may read it, say: then reading it will be its problem
        return type(error).__name__.encode()


def _work_off(
    jobs: Sequence[_Job],
    extractors: Sequence[Extractor],
    store: FeatureStore,
    request: FeatureRequest,
    workers: int,
) -> dict[str, float]:
    """Do the jobs and return seconds by what they were spent on."""
    seconds: dict[str, float] = {}
    started, n_frames = perf_counter(), 0
    with Progress("features of", total=len(jobs), unit="videos", says_lines=True) as progress:
        for spent, n_new in _done(jobs, extractors, store, request, workers):
            for what, some_s in spent.items():
                seconds[what] = seconds.get(what, 0.0) + some_s
            n_frames += n_new
            progress.advance(note=f"{n_frames / (perf_counter() - started):.0f} frames/s")
    return seconds


def _done(
    jobs: Sequence[_Job],
    extractors: Sequence[Extractor],
    store: FeatureStore,
    request: FeatureRequest,
    workers: int,
) -> Iterator[tuple[dict[str, float], int]]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield _extract(job, extractors, store)
        return
    workers = min(workers, len(jobs))
    n_threads = max(1, (os.cpu_count() or 1) // workers)
    with worker_processes(workers, _start, request, store.root, n_threads) as pool:
        for future in as_completed([pool.submit(_extract_in_worker, job) for job in jobs]):
            yield future.result()


_worker: dict[str, Any] = {}  # of this process: its extractors and its store


def _start(request: FeatureRequest, root: Path, n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    with redirect_stderr(io.StringIO()):  # warnings about weights were given by the parent
        _worker.update(extractors=open_extractors(request), store=FeatureStore(root))


def _extract_in_worker(job: _Job) -> tuple[dict[str, float], int]:
    return _extract(job, _worker["extractors"], _worker["store"])


def _extract(job: _Job, extractors: Sequence[Extractor], store: FeatureStore) -> tuple[dict[str, float], int]:
    """Make and write the rows of one video; return seconds by what they were spent on, and its frames."""
    reading, n_frames = Reading(job.content), 0
    for extractor in extractors:
        names = [name for name in extractor.sets if name in job.digests]
        if not names:
            continue
        try:
            rows = extractor.extract(reading, names)
        except (MediaError, DataError) as error:
            for name in names:
                store.fail(name, job.content.video_id, _reason(error, job.content), digest=job.digests[name])
            continue
        for name in names:
            _write(store, name, job, rows[name].noted(reading.damage))
            n_frames = len(rows[name].is_valid)
    return dict(reading.watch.seconds), n_frames


def _write(store: FeatureStore, name: str, job: _Job, rows: Rows) -> None:
    video_id, digest = job.content.video_id, job.digests[name]
    try:
        store.add(
            name,
            video_id,
            rows.values,
            rows.is_valid,
            fps=rows.fps,
            flipped=rows.flipped,
            digest=digest,
            note=rows.note,
        )
    except DataError as error:  # NaN or infinity
        store.fail(name, video_id, _reason(error, job.content), digest=digest)


def _reason(error: MediaError | DataError, content: Content) -> str:
    """Return what went wrong without paths of this machine, as the end of a sentence."""
    problem = error.problem if content.path is None else error.problem.replace(str(content.path), content.path.name)
    return problem.rstrip(".")


def _counted(store: FeatureStore, name: str, contents: Sequence[Content], n_reused: int) -> SetCounts:
    counts = SetCounts(n_reused=n_reused)
    for content in contents:
        problem = store.problem(name, content.video_id)
        if problem is None:
            counts.n_videos += 1
            counts.n_frames += store.n_frames(name, content.video_id)
            note = store.note(name, content.video_id)
            if DAMAGED in note:
                counts.damaged[content.video_id] = note
        else:
            counts.problems[content.video_id] = problem
    return counts
