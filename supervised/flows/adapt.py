"""The main flow of adaptation: a recipe, a data set and a source model to predictions of every participant.

Read ``adapt`` from top to bottom. One target: ``supervised.adaptation.targets``; the source model:
``supervised.adaptation.source``; the table: ``supervised.adaptation.summary``.

::

    OUT/run.json, predictions.jsonl, predictions.parquet   rows of the test frames: `bah-mllm evaluate OUT`
        adapt.json                                         metrics by target, means, wins, subgroups
        source/                                            the source model
        source_frames/                                     while it runs, where the method needs them
        targets/<participant>/                             the adapted model, and result.json once it is done
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from shutil import rmtree
from threading import Thread
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Level, Status, Video
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.predictions import PredictionRow, RunStore
from supervised.adaptation.domains import map_domain, write_domain
from supervised.adaptation.protocol import TargetSplitName
from supervised.adaptation.recipe import METHODS, AdaptationRecipe
from supervised.adaptation.source import load_source, make_source, source_digest, source_features
from supervised.adaptation.summary import TRIVIAL, judge_target, summarise, trivial_answers
from supervised.adaptation.targets import Setting, TargetOutcome, adapt_target, needs_source_frames, start_model
from supervised.features.store import FeatureStore, notes_on_features
from supervised.reading import read_recipe
from supervised.training.data import load_videos

__all__ = ["RECORD", "AdaptRequest", "adapt", "make_request"]

RECORD = "adapt.json"
_RESULT = "result.json"
_FRAMES = "source_frames"


class AdaptRequest(BaseModel):
    """What is adapted, to whom, from what.

    Args:
        recipe: The method.
        data: Root of a data set; None is the demo set.
        out: Run folder.
        features: Folder that ``bah-mllm features`` wrote.
        source: Folder of a trained model; None trains one as the recipe says.
        split: Split whose participants are the targets.
        target_split: How a target's frames are divided: ``frame`` as in the paper, ``segment`` or ``video``.
        targets: Participants; None is everybody in the split.
        seed: Of everything random.
        workers: Processes; results do not depend on their number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: AdaptationRecipe
    data: str | None = None
    out: Path
    features: Path
    source: Path | None = None
    split: str | None = None
    target_split: TargetSplitName = "frame"
    targets: tuple[str, ...] | None = None
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=1, ge=1)


def make_request(recipe: str, overrides: Sequence[str], **settings: Any) -> AdaptRequest:  # noqa: ANN401
    """Return a request for a recipe by name or file, with single values replaced.

    Args:
        recipe: Name of a shipped recipe, or a TOML file.
        overrides: ``key.key=value``.
        settings: The other fields of ``AdaptRequest``.

    Raises:
        ConfigError: The recipe is not one of adaptation, or a setting is impossible.
    """
    found = read_recipe(recipe, overrides)
    if not isinstance(found, AdaptationRecipe):
        raise ConfigError(
            f"The recipe {recipe!r} is for `bah-mllm train`, not for adaptation.",
            remedy=f"Choose one of: {', '.join(METHODS)}.",
        )
    source = settings.get("source")
    if source is not None and any(override.strip().startswith("features") for override in overrides):
        there = source_features(source)
        if there != found.features:
            raise ConfigError(
                f"The source model takes the features {there}, but --set asks for {found.features}.",
                remedy="Leave --set features out, or give another --source.",
            )
    try:
        return AdaptRequest(recipe=found, **settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise ConfigError(f"{where} is {first['input']!r}: {first['msg']}.", remedy="Choose another value.") from None


def adapt(request: AdaptRequest) -> dict[str, Any]:
    """Adapt to every target, go on where an earlier start ended, and return the record of it all.

    Raises:
        BahError: Data, features, source and recipe do not go together, or the folder holds another run.
    """
    dataset, split = dataset_and_split(request.data, request.split)
    store = FeatureStore(request.features)
    targets = _targets(dataset, split, request.targets)
    with _one_thread(), RunStore(request.out, **_about(request, dataset, store, split, targets)) as run:
        run.manifest.data = {"name": dataset.name, "edition": dataset.edition, "fingerprint": dataset.fingerprint()}
        make_source(
            request.recipe,
            dataset=dataset,
            store=store,
            checkpoint=request.source,
            folder=request.out / "source",
            seed=request.seed,
        )
        adaptable = _adaptable(request, dataset, store, targets)
        for participant, reason in adaptable.excluded.items():
            say(f"{participant} is left out: {reason}")
        waiting = [one for one in adaptable.ids if not _result_file(request.out, one).exists()]
        if len(waiting) < len(adaptable.ids):
            say(f"{len(adaptable.ids) - len(waiting)} of {len(adaptable.ids)} targets were done before")
        for number, outcome in enumerate(_outcomes(request, waiting), start=1):
            _write_target(request, run, outcome)
            say(f"{request.recipe.name}: {number} of {len(waiting)} targets done ({outcome.participant_id})")
        run.append(_rows_without_features(request, targets, adaptable.left_out))
        record = _record(request, dataset, store, adaptable)
        write_atomically(request.out / RECORD, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
        run.complete()
    return record


def _targets(dataset: Dataset, split: str | None, chosen: Sequence[str] | None) -> dict[str, list[Video]]:
    """Return the videos of every target, in order of first appearance."""
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


def _about(
    request: AdaptRequest, dataset: Dataset, store: FeatureStore, split: str | None, targets: Mapping[str, list[Video]]
) -> dict[str, Any]:
    """Return what the run folder tells besides its rows.

    Raises:
        BahError: Features that are needed are not there, or the source is no model over features.
    """
    names = (request.recipe.features if request.source is None else source_features(request.source)).values()
    of_source = [video for name in _source_splits(request.recipe, dataset) for video in dataset.videos(name)]
    videos = [*of_source, *(video for several in targets.values() for video in several)]
    held = "\n".join(f"{name},{one.video_id},{store.digest(name, one.video_id)}" for name in names for one in videos)
    sets = [store.info(name) for name in names]
    identity = {
        "level": Level.FRAME.value,
        "system": _system(request.recipe),
        "split": split,
        "recipe": _comparable(request.recipe),
        "feature_sets": [one.made_by() for one in sets],
        "features_held": hashlib.sha256(held.encode()).hexdigest(),
        "source": None if request.source is None else source_digest(request.source),
        "target_split": request.target_split,
        "targets": None if request.targets is None else list(request.targets),
        "seed": request.seed,
        "fingerprint": dataset.fingerprint(),
    }
    notes = [f"target split by {request.target_split}: rows are of the test part of each target's frames alone"]
    if request.target_split == "frame":
        notes.append("test frames have neighbours among the training frames, as in the paper: results are optimistic")
    n_known = len({video.participant_id for video in of_source} & targets.keys())
    if n_known:
        notes.append(f"{n_known} participants are targets and in the source: the source model knows their labels")
    if dataset.is_synthetic:
        notes.insert(0, SYNTHETIC)
    notes += notes_on_features(sets)
    config = {**request.model_dump(mode="json", exclude={"workers"}), "split": split, "level": Level.FRAME.value}
    return {"config": config, "identity": identity, "notes": notes}


def _source_splits(recipe: AdaptationRecipe, dataset: Dataset) -> list[str]:
    return [name for name in recipe.source_splits if name in dataset.splits]


def _comparable(recipe: AdaptationRecipe) -> dict[str, Any]:
    plain: dict[str, Any] = recipe.model_dump(mode="json")
    for loop in (plain["loop"], plain["source_training"]["loop"], (plain["subject_stage"] or {}).get("loop")):
        if loop is not None:
            del loop["device"], loop["tensorboard"]
    return plain


def _system(recipe: AdaptationRecipe) -> str:
    return f"{recipe.name} faithful" if recipe.faithful else recipe.name


@dataclass(frozen=True, slots=True)
class _Adaptable:
    """Who can be adapted to.

    Args:
        ids: Participants, in order.
        excluded: Participant to the reason why they are left out.
        left_out: Video to the reason why it has no features.
    """

    ids: list[str]
    excluded: dict[str, str]
    left_out: dict[str, str]


def _adaptable(
    request: AdaptRequest, dataset: Dataset, store: FeatureStore, targets: Mapping[str, list[Video]]
) -> _Adaptable:
    """Tell who can be adapted to: the paper leaves out who has no positive frames (appendix E.3)."""
    features = load_source(request.out / "source").representation.features
    found = _Adaptable([], {}, {})
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


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for sums, so that results do not depend on how many processes share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _outcomes(request: AdaptRequest, participants: Sequence[str]) -> Iterator[TargetOutcome]:
    """Yield what became of each target, in the order in which they end."""
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
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        futures = [pool.submit(_adapt_one, text, participant) for participant in participants]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _start_worker() -> None:
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed, or two processes would write a target once the run is resumed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
    setting = Setting(recipe, source, frames, start, request.target_split, request.seed)
    return _Context(request, dataset, store, _targets(dataset, split, None), setting)


def _write_source_frames(request: AdaptRequest) -> None:
    """Write the frames of the source that a method needs, for all processes to map: of BAH, a GB or so.

    Raises:
        DataError: There are none.
    """
    if not needs_source_frames(request.recipe.method):
        return
    dataset, _ = dataset_and_split(request.data, request.split)
    videos = [video for name in _source_splits(request.recipe, dataset) for video in dataset.videos(name)]
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
        folder=_result_file(shared.request.out, participant).parent,
    )


def _result_file(out: Path, participant: str) -> Path:
    return out / "targets" / participant / _RESULT


def _write_target(request: AdaptRequest, run: RunStore, outcome: TargetOutcome) -> None:
    """Write a target's rows, then its result: a target with a result is done."""
    system = _system(request.recipe)
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
        rows += [
            _failure(system, video, outcome.participant_id, Status.ENGINE_ERROR, outcome.problem or "")
            for video in dict.fromkeys(outcome.video_ids)
        ]
    run.append(rows)
    result: dict[str, Any] = {
        "participant_id": outcome.participant_id,
        "sizes": outcome.sizes,
        "target_split": request.target_split,
        "selected_epoch": outcome.selected_epoch,
        "log": outcome.log,
        "notes": outcome.notes,
        "problem": outcome.problem,
        "metrics": {},
    }
    if len(outcome.labels):
        everything = {**answers, **trivial_answers(len(outcome.labels))}
        result["metrics"] = {name: judge_target(outcome.labels, p) for name, p in everything.items()}
    path = _result_file(request.out, outcome.participant_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())


def _failure(system: str, video: str, participant: str, status: Status, detail: str) -> PredictionRow:
    return PredictionRow(
        system=system, video_id=video, participant_id=participant, level=Level.FRAME, status=status, detail=detail
    )


def _rows_without_features(
    request: AdaptRequest, targets: Mapping[str, list[Video]], left_out: Mapping[str, str]
) -> list[PredictionRow]:
    videos = [video for videos in targets.values() for video in videos if video.video_id in left_out]
    systems = dict.fromkeys(("source_only", _system(request.recipe)))
    return [
        _failure(system, video.video_id, video.participant_id, Status.NO_FEATURES, left_out[video.video_id])
        for system in systems
        for video in videos
    ]


def _record(request: AdaptRequest, dataset: Dataset, store: FeatureStore, adaptable: _Adaptable) -> dict[str, Any]:
    """Return metrics by target and over targets; a target that failed, or that has nothing to test, is named."""
    results = {one: json.loads(_result_file(request.out, one).read_text(encoding="utf-8")) for one in adaptable.ids}
    system = _system(request.recipe)
    judged = {one: result for one, result in results.items() if system in result["metrics"]}
    problems = {one: result["problem"] or "no test frames" for one, result in results.items() if one not in judged}
    people = {person.participant_id: person.metadata for person in dataset.participants()}
    systems = list(dict.fromkeys(("source_only", system, *TRIVIAL)))
    features = load_source(request.out / "source").representation.features
    return {
        "system": system,
        "method": request.recipe.method,
        "target_split": request.target_split,
        "selection": "none" if request.recipe.loop is None else request.recipe.loop.select,
        "seed": request.seed,
        "data": {"name": dataset.name, "edition": dataset.edition, "is_synthetic": dataset.is_synthetic},
        "features": features,
        "notes": notes_on_features(store.info(name) for name in features.values()),
        "excluded": adaptable.excluded,
        "failed": problems,
        "summary": summarise({one: result["metrics"] for one, result in judged.items()}, people, systems),
        "targets": results,
    }
