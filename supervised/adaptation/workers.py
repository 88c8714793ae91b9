"""All targets of a run, in this process or in several: results do not depend on how many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from shutil import rmtree

import torch

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Video
from bah_mllm.core.workers import worker_processes
from bah_mllm.dataset import Dataset, dataset_and_split
from supervised.adaptation.domains import map_domain, write_domain
from supervised.adaptation.participants import find_targets
from supervised.adaptation.record import target_folder
from supervised.adaptation.request import AdaptRequest
from supervised.adaptation.source import load_source, source_videos
from supervised.adaptation.targets import Setting, TargetOutcome, adapt_target, needs_source_frames, start_model
from supervised.features.store import FeatureStore

__all__ = ["adapt_to_all", "one_thread"]

_FRAMES = "source_frames"


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for sums, so that results do not depend on how many processes share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def adapt_to_all(request: AdaptRequest, participants: Sequence[str]) -> Iterator[TargetOutcome]:
    """Yield what became of each target, in the order in which they end.

    Args:
        request: With a source model in its folder.
        participants: Whom to adapt to.

    Raises:
        DataError: The method needs frames of the source, and there are none.
        RunError: A checkpoint in the folder is damaged.
    """
    if not participants:
        return
    text = request.model_dump_json()
    _context.cache_clear()
    _write_source_frames(request)
    try:
        _context(text)  # once, before several processes would train the same starting model
        if request.workers == 1:
            for participant in participants:
                yield _adapt_one(text, participant)
        else:
            _context.cache_clear()
            yield from _by_workers(request, text, participants)
    finally:
        _context.cache_clear()
        rmtree(request.out / _FRAMES, ignore_errors=True)


def _by_workers(request: AdaptRequest, text: str, participants: Sequence[str]) -> Iterator[TargetOutcome]:
    workers = min(request.workers, len(participants))
    with worker_processes(workers, torch.set_num_threads, 1) as pool:
        for future in as_completed([pool.submit(_adapt_one, text, participant) for participant in participants]):
            yield future.result()


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """What all targets of a process share."""

    request: AdaptRequest
    dataset: Dataset
    store: FeatureStore
    targets: Mapping[str, list[Video]]
    setting: Setting


@lru_cache(maxsize=1)
def _context(request_json: str) -> _Context:
    request = AdaptRequest.model_validate_json(request_json)
    recipe = request.recipe
    dataset, split = dataset_and_split(request.data, request.split)
    store = FeatureStore(request.features)
    source = load_source(request.out / "source")
    frames = map_domain(request.out / _FRAMES) if needs_source_frames(recipe.method) else None
    start = start_model(recipe, source, frames, request.out / "subject_stage", seed=request.seed)
    setting = Setting(
        recipe=recipe,
        source=source,
        source_frames=frames,
        start=start,
        target_split=request.target_split,
        seed=request.seed,
    )
    return _Context(request, dataset, store, find_targets(dataset, split, None), setting)


def _write_source_frames(request: AdaptRequest) -> None:
    """Write the frames of the source that a method needs, for all processes to map: of BAH, a GB or so.

    Raises:
        DataError: There are none.
    """
    if not needs_source_frames(request.recipe.method):
        return
    dataset, _ = dataset_and_split(request.data, request.split)
    videos = source_videos(request.recipe, dataset)
    how = load_source(request.out / "source").representation
    frames = how.read(FeatureStore(request.features), dataset, videos, is_valid_only=True).domain
    if len(frames) < 2:
        raise DataError(
            f"The method {request.recipe.method} needs frames of the source, but there are {len(frames)}.",
            remedy="Give a data set with a training split and its features, or a source-free method (shot, nrc).",
        )
    write_domain(request.out / _FRAMES, frames)


def _adapt_one(request_json: str, participant: str) -> TargetOutcome:
    """Adapt to one target, in any process."""
    shared = _context(request_json)
    how, videos = shared.setting.source.representation, shared.targets[participant]
    has_two_views = shared.request.recipe.method == "sub_based"
    return adapt_target(
        shared.setting,
        how.read(shared.store, shared.dataset, videos, flipped=has_two_views),
        participant_id=participant,
        folder=target_folder(shared.request.out, participant),
    )
