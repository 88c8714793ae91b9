"""The main flow of adaptation: a recipe, a data set and a source model to predictions of every participant.

Read ``adapt`` from top to bottom; its steps are in ``supervised.adaptation``.

::

    OUT/run.json, predictions.jsonl, predictions.parquet   rows of the test frames: `bah-mllm evaluate OUT`
        adapt.json                                         metrics by target, means, wins, subgroups
        source/                                            the source model
        source_frames/                                     while it runs, where the method needs them
        targets/<participant>/                             the adapted model, and result.json once it is done
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.saying import say
from bah_mllm.dataset import dataset_and_split
from bah_mllm.predictions import DataSeen, RunStore
from bah_mllm.report.progress import Progress
from supervised.adaptation.identity import describe_run
from supervised.adaptation.participants import find_adaptable, find_targets
from supervised.adaptation.predict import rows_of_target, rows_without_features
from supervised.adaptation.recipe import METHODS, AdaptationRecipe
from supervised.adaptation.record import AdaptRecord, is_done, write_record, write_result
from supervised.adaptation.request import AdaptRequest
from supervised.adaptation.source import make_source, source_features
from supervised.adaptation.workers import adapt_to_all, one_thread
from supervised.features.store import FeatureStore
from supervised.reading import read_recipe

__all__ = ["adapt", "make_request"]


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


def adapt(request: AdaptRequest) -> AdaptRecord:
    """Adapt to every target, go on where an earlier start ended, and return the record of it all.

    Raises:
        ConfigError: Somebody who is named is not in the split, or the source is no model over features of frames.
        DataError: The data set, features or labels that are needed are not there; or there is nobody to adapt to.
        PrerequisiteError: The source's model is missing or damaged.
        RunError: The folder holds another run, another process writes it, or what it holds is damaged.
    """
    dataset, split = dataset_and_split(request.data, request.split)
    store = FeatureStore(request.features)
    targets = find_targets(dataset, split, request.targets)
    about = describe_run(request, dataset, store, split, targets)
    ids = [video.video_id for video in dataset.videos()]
    run = RunStore(request.out, config=about.config, identity=about.identity, notes=about.notes, videos=ids)
    with one_thread(), run:
        run.manifest.data = DataSeen.of(dataset)
        source = make_source(
            request.recipe,
            dataset=dataset,
            store=store,
            checkpoint=request.source,
            folder=request.out / "source",
            seed=request.seed,
        )
        adaptable = find_adaptable(dataset, store, source.representation.features, targets)
        for participant, reason in adaptable.excluded.items():
            say(f"{participant} is left out: {reason}")
        waiting = [one for one in adaptable.ids if not is_done(request.out, one)]
        if len(waiting) < len(adaptable.ids):
            say(f"{len(adaptable.ids) - len(waiting)} of {len(adaptable.ids)} targets were done before")
        with Progress(f"{request.recipe.name}:", total=len(waiting), unit="targets", says_lines=True) as progress:
            for outcome in adapt_to_all(request, waiting):
                run.append(rows_of_target(outcome, system=request.recipe.system))
                write_result(request, outcome)
                progress.advance(note=outcome.participant_id)
        run.append(rows_without_features(targets, adaptable.left_out, system=request.recipe.system))
        record = write_record(request, dataset, store, adaptable)
        run.complete()
    return record
