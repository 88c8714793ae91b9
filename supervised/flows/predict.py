"""The main flow of prediction: a trained folder and a data set to run folders that ``bah-mllm evaluate`` judges.

Read ``predict`` from top to bottom. What differs by kind of recipe: ``supervised.kinds`` and the ``predict.py`` of the
kind; rows: ``supervised.training.predicting``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bah_mllm.core.errors import ConfigError, RunError
from bah_mllm.core.files import digest_file
from bah_mllm.core.loading import load_object
from bah_mllm.core.notes import learnt_from
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from supervised.features.store import notes_on_features
from supervised.kinds import KINDS
from supervised.reading import parse_recipe
from supervised.training.predicting import RunAbout, write_predictions
from supervised.training.recipe import TrainingRecipe
from supervised.training.record import RECORD, TrainRecord, read_record, seed_folder
from supervised.training.requests import Predictor, PredictRequest

__all__ = ["predict"]


def predict(request: PredictRequest) -> list[Path]:
    """Write the rows of every seed's model, go on where an earlier start ended, and return the run folders.

    Raises:
        BahError: The folder holds nothing trained, or data and features do not go with it.
    """
    if request.device not in ("auto", "cpu"):
        raise ConfigError(f"There is no device {request.device!r}.", remedy="Use --device auto or cpu.")
    record = read_record(request.trained)
    recipe = parse_recipe(record.recipe, where=str(request.trained / RECORD))
    kind = KINDS[recipe.kind]
    if kind.predict is None or not isinstance(recipe, TrainingRecipe):
        raise ConfigError(f"A recipe of {recipe.kind} predicts nothing.", remedy="Give a folder of `bah-mllm train`.")
    predictor_of = load_object(kind.predict)
    dataset, split = dataset_and_split(request.data, request.split)
    seeds, notes = _seeds(request, record), _notes(recipe, record, dataset, split)
    for note in notes:
        say(f"note: {note}")
    folders = []
    for seed in seeds:
        folder = seed_folder(request.trained, seed)
        predictor: Predictor = predictor_of(recipe, record, request, dataset, folder)
        out = request.out if len(seeds) == 1 else request.out / f"seed-{seed}"
        model: dict[str, Any] = {
            "recipe": record.recipe,
            "features": [one.made_by() for one in record.features.sets],
            "seed": seed,
            "weights": [digest_file(folder / kind.weights)],  # rows of other weights are never gone on with
        }
        if recipe.published_way is not None:
            model["published_way"] = recipe.published_way
        about = RunAbout(recipe.system, predictor.level, request.data, split, model, notes)
        n_rows = write_predictions(out, dataset, dataset.videos(split), predictor.predict, about)
        say(f"{about.system}, seed {seed}: {', '.join(f'{n:,} {status}' for status, n in n_rows.items())} -> {out}")
        folders.append(out)
    return folders


def _seeds(request: PredictRequest, record: TrainRecord) -> list[int]:
    trained = list(record.validation)
    wanted = trained if request.seeds is None else list(request.seeds)
    missing = sorted(set(wanted) - set(trained))
    if missing or not wanted:
        raise RunError(
            f"{request.trained} has no finished model of seed {missing[0] if missing else 0}.",
            remedy="Run the same `bah-mllm train` command again: it goes on where it stopped.",
        )
    return wanted


def _notes(recipe: TrainingRecipe, record: TrainRecord, dataset: Dataset, split: str | None) -> list[str]:
    """Return what must stand above every table of these rows."""
    notes = [*notes_on_features(record.features.sets), *recipe.prediction_notes]
    if record.data.is_synthetic:
        notes.append("trained on the demo set (synthetic)")
    learnt = (*recipe.train_splits, *recipe.validation_splits)
    if dataset.name == record.data.name and (split is None or split in learnt):
        notes.append(learnt_from(split or "some of these videos"))
    return notes
