"""What a run needs before a model is loaded: data set, videos, templates, engine options, folder and identity."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.notes import STAND_IN_MODEL, SYNTHETIC
from bah_mllm.core.records import Level, Variant, Video
from bah_mllm.cues.store import digest_cues
from bah_mllm.dataset import Dataset, dataset_and_split, demo_root
from bah_mllm.engines import ENGINE_FOR_DATA, ENGINE_FOR_DEMO_SET, EngineOptions, find_engine, seeing_engines
from bah_mllm.engines.models import is_stand_in
from bah_mllm.pipeline.config import RunConfig
from bah_mllm.prompting import Need, PromptTemplate, find_prompt
from bah_mllm.scoring import find_parser

__all__ = ["Setup", "engine_options", "prepare"]

# Settings that EngineOptions knows by another name; those it shares with RunConfig have the same one in both.
_SETTING_OF_OPTION = {"batch_windows": "batch", "n_frames": "frames"}
# Settings that change how fast a run goes or where it is written, not what it finds.
_NOT_IDENTITY = {
    *("data", "split", "prompts", "prompts_dirs", "engine"),  # told otherwise: by name, digest or what they come to
    *("device", "batch", "limit", "out", "follow_links"),
}


@dataclass(frozen=True, slots=True)
class Setup:
    """A run that is ready to start.

    Args:
        config: As resolved.
        dataset: Where the videos come from.
        split: Which split, or None where everything is run.
        videos: What is run, in the order of the split.
        templates: The prompts.
        variants: How each prompt is asked.
        engine_name: Key of ``ENGINES``.
        options: How the engine is loaded.
        folder: The run folder.
        identity: What decides about results.
        notes: What the reader of results must know.
    """

    config: RunConfig
    dataset: Dataset
    split: str | None
    videos: tuple[Video, ...]
    templates: tuple[PromptTemplate, ...]
    variants: tuple[Variant, ...]
    engine_name: str
    options: EngineOptions
    folder: Path
    identity: dict[str, Any]
    notes: tuple[str, ...]


def prepare(config: RunConfig) -> Setup:
    """Resolve names and paths of a configuration into a run that is ready to start.

    Raises:
        BahError: A name is unknown, a file is missing or broken, or the settings contradict each other.
    """
    dataset, split = dataset_and_split(config.data, config.split, follow_links=config.follow_links or None)
    videos = dataset.videos(split)[: config.limit]
    if not videos:
        raise ConfigError(f"{dataset.name} holds no videos to run.", remedy="Run `bah-mllm data check` on it.")
    engine_name = config.engine or (ENGINE_FOR_DEMO_SET if config.data is None else ENGINE_FOR_DATA)
    entry = find_engine(engine_name)
    find_parser(config.parser)
    templates = tuple(find_prompt(name, [Path(folder) for folder in config.prompts_dirs]) for name in config.prompts)
    _check_prompts(config, templates)
    if config.control in ("no-video", "black-video") and entry.sees_video is False:
        raise ConfigError(
            f"The engine {engine_name} sees no video, so --control {config.control} would change nothing.",
            remedy=f"Use --control with no-transcript or shuffled-transcript, or {seeing_engines()}.",
        )
    if config.control == "shuffled-cues" and (cues_folder(config) is None or not _reads_cues(engine_name, templates)):
        raise ConfigError(
            "There are no cues to shuffle: none are given, or no prompt names them.",
            remedy="Give --cues shuffled:FOLDER and a prompt with cues; see `bah-mllm prompts list`.",
        )
    if config.level is Level.FRAME and not any(video.path for video in videos):
        raise ConfigError(
            f"No video file of {dataset.name} is there, and windows are cut from videos.",
            remedy="Use --level video with a prompt that reads the transcript.",
        )
    identity = _identity(config, dataset, split, templates, engine_name)
    return Setup(
        config=config,
        dataset=dataset,
        split=split,
        videos=videos,
        templates=templates,
        variants=_variants(config),
        engine_name=engine_name,
        options=engine_options(config),
        folder=_folder(config, dataset, split, engine_name, identity),
        identity=identity,
        notes=_notes(dataset, config, engine_name),
    )


def _check_prompts(config: RunConfig, templates: tuple[PromptTemplate, ...]) -> None:
    if len({template.name for template in templates}) < len(templates):
        raise ConfigError(
            "Two of the prompts have the same name, which names their rows.", remedy="Rename one of the files."
        )
    for template in templates:
        if Need.CUES in template.variables and cues_folder(config) is None:
            raise ConfigError(
                f"The prompt {template.name!r} needs cues, and none are given.",
                remedy="Run `bah-mllm cues extract DATA --out CUES`, then give --cues CUES.",
            )
        if config.level not in template.front.level:
            raise ConfigError(
                f"The prompt {template.name!r} is not made for --level {config.level}.",
                remedy=f"Use --level {' or '.join(template.front.level)}, or another prompt.",
            )
        if config.both_orders and not template.can_swap:
            raise ConfigError(
                f"The prompt {template.name!r} does not list its labels in quotes, so their order cannot be swapped.",
                remedy="Leave out --both-orders, or write the labels as 'First' or 'Second'.",
            )


def cues_folder(config: RunConfig) -> Path | None:
    """Return where the cues of the videos lie: what --cues says, else those that the demo set ships.

    Raises:
        ConfigError: The folder is not there.
    """
    if config.cues is not None:
        folder = Path(config.cues)
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder} with cues.", remedy="Run `bah-mllm cues extract` first.")
        return folder
    shipped = demo_root() / "cues"
    return shipped if config.data is None and shipped.is_dir() else None


def _variants(config: RunConfig) -> tuple[Variant, ...]:
    swapped = (Variant.SWAPPED,) if config.both_orders else ()
    content_free = (Variant.CONTENT_FREE,) if config.content_free else ()
    return (Variant.MAIN, *swapped, *content_free)


def engine_options(config: RunConfig) -> EngineOptions:
    """Return how the engine is loaded: the settings of a run that are also options of engines."""
    names = {option.name: _SETTING_OF_OPTION.get(option.name, option.name) for option in fields(EngineOptions)}
    settings = {option: name for option, name in names.items() if name in RunConfig.model_fields}
    return EngineOptions(**{option: getattr(config, name) for option, name in settings.items()})


def _identity(
    config: RunConfig, dataset: Dataset, split: str | None, templates: tuple[PromptTemplate, ...], engine_name: str
) -> dict[str, Any]:
    folder = cues_folder(config) if _reads_cues(engine_name, templates) else None
    without_use = {"windows", "hop"} if config.level is Level.VIDEO else set()
    settings = config.model_dump(mode="json", exclude=_NOT_IDENTITY | without_use)
    return {
        "data": dataset.name,
        "edition": dataset.edition,
        "split": split,
        "videos": _digest_of_words(dataset.videos(split)),
        "prompts": {template.name: template.digest for template in templates},
        "engine": engine_name,
        **settings,
        "cues_digest": None
        if folder is None
        else digest_cues(folder, [video.video_id for video in dataset.videos(split)]),
    }


def _reads_cues(engine_name: str, templates: tuple[PromptTemplate, ...]) -> bool:
    """Tell whether cues are shown: a prompt names them, or the engine may be one that gets them for the video."""
    return not find_engine(engine_name).sees_video or any(Need.CUES in template.variables for template in templates)


def _digest_of_words(videos: tuple[Video, ...]) -> str:
    """Return a digest of which videos there are and what is said in them.

    Files are left out: a video that was missing or broken may be put right, and the run then goes on.
    """
    digest = hashlib.sha256()
    for video in videos:
        words = video.transcript.text if video.transcript is not None else ""
        digest.update(json.dumps([video.video_id, words]).encode())
    return digest.hexdigest()


def _folder(config: RunConfig, dataset: Dataset, split: str | None, engine_name: str, identity: dict[str, Any]) -> Path:
    if config.out is not None:
        return Path(config.out)
    # The same command finds its own run again; another setting gets another folder.
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    words = (dataset.edition or dataset.kind, split or "all", config.level, engine_name, digest)
    return Path(os.environ.get("BAH_RUNS", "runs")) / "-".join(words)


def _notes(dataset: Dataset, config: RunConfig, engine_name: str) -> tuple[str, ...]:
    notes = []
    if dataset.is_synthetic:
        notes.append(SYNTHETIC)
    if config.cues is None and cues_folder(config) is not None:
        notes.append("cues: those that the demo set ships, in prompts that name them and in place of unseen video")
    if is_stand_in(engine_name, config.model):
        notes.append(STAND_IN_MODEL)
    return tuple(notes)
