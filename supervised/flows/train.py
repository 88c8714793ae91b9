"""The main flow of training: a recipe and a data set to trained models on disk, one a seed.

Read ``train`` from top to bottom. What differs by kind of recipe: ``supervised.kinds``, and ``train.py`` of each kind;
steps and checkpoints: ``supervised.training.loop``; what is kept about it all, and what may be gone on with:
``supervised.training.record``.
"""

from __future__ import annotations

from contextlib import nullcontext

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.files import hold_folder, make_folder
from bah_mllm.core.loading import load_object
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split, shared_participants
from supervised.kinds import KINDS
from supervised.training.processes import Processes
from supervised.training.recipe import Recipe, TrainingRecipe
from supervised.training.record import TrainRecord, describe_training, go_on_with, seed_folder, write_record
from supervised.training.requests import TrainRequest

__all__ = ["train"]


def train(recipe: Recipe, request: TrainRequest) -> TrainRecord:
    """Train a recipe with every seed, go on where an earlier start ended, and return the record of it all.

    Raises:
        BahError: Data, features and recipe do not go together, or the folder holds something else.
    """
    path = KINDS[recipe.kind].train
    if path is None or not isinstance(recipe, TrainingRecipe):
        raise ConfigError(
            f"The recipe is one of {recipe.kind}, not of training.",
            remedy="Use `bah-mllm adapt`, or choose another --recipe.",
        )
    train_seed = load_object(path)
    dataset = None if recipe.has_own_data else dataset_and_split(request.data, None)[0]
    is_first = Processes.current(recipe.device).is_first  # of the processes, and the only one that writes and speaks
    if is_first and dataset is not None and dataset.is_synthetic:
        say("demo set (synthetic): what is trained here shows that everything works, and nothing about A/H.")
    if is_first and dataset is not None:
        _warn_of_leaks(dataset)
    record = describe_training(recipe, request, dataset)
    make_folder(request.out)
    with hold_folder(request.out, doing="training into") if is_first else nullcontext():
        if is_first:
            record = go_on_with(request.out, record)
            write_record(request.out, record)
        for seed in request.seeds:
            folder = seed_folder(request.out, seed)
            if is_first:
                say(f"{recipe.name}, seed {seed} -> {folder}")
            record = record.with_seed(seed, train_seed(recipe, request, dataset, folder, seed))
            if is_first:
                write_record(request.out, record)
    if is_first:
        _tell(recipe.name, record)
    return record


def _warn_of_leaks(dataset: Dataset) -> None:
    shared = shared_participants(dataset.videos())
    if shared:
        first = shared[0]
        say(
            f"warning: {len(shared)} participant(s) answer in more than one split, so that scores look better than "
            f"they are; {first.where} {first.what}"
        )


def _tell(name: str, record: TrainRecord) -> None:
    figures = [
        f"{metric} {found.mean:.4f}" + (f" (sd {found.sd:.4f})" if found.sd is not None else "")
        for metric, found in record.summary.items()
    ]
    if figures:
        say(f"{name}, {len(record.validation)} seed(s): {', '.join(figures)}")
