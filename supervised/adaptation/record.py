"""What an adaptation leaves besides rows: a result for each target, and the record of all of them.

::

    OUT/adapt.json                          an ``AdaptRecord``
        targets/<participant>/result.json   a ``TargetResult``, written last: a target with a result is done
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from bah_mllm.core.errors import RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.dataset import Dataset
from supervised.adaptation.participants import Adaptable
from supervised.adaptation.request import AdaptRequest
from supervised.adaptation.summary import TRIVIAL, Summary, judge_target, summarise, trivial_answers
from supervised.adaptation.targets import TargetOutcome
from supervised.features.store import FeatureStore, notes_on_features

__all__ = [
    "RECORD",
    "AdaptRecord",
    "DataAdaptedOn",
    "TargetResult",
    "is_done",
    "target_folder",
    "write_record",
    "write_result",
]

RECORD = "adapt.json"
_RESULT = "result.json"
_RANKING = ("ap", "ap_bah", "auroc")


class TargetResult(BaseModel):
    """What became of one target.

    Args:
        participant_id: Who.
        sizes: Frames with (``_ah``) and without (``_n``) A/H in each part, and ``left_out``.
        target_split: How the frames were divided.
        selected_epoch: Epoch whose weights were judged; None where nothing was trained.
        log: What the strategy tells (refreshes of pseudo-labels).
        notes: What a reader should know.
        problem: Why the method failed; None where it did not.
        metrics: System to metric to value, of the test frames; empty where there are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    participant_id: str
    sizes: dict[str, int]
    target_split: str
    selected_epoch: int | None = None
    log: list[dict[str, int | float]] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    problem: str | None = None
    metrics: dict[str, dict[str, float | None]] = Field(default_factory=dict)


class DataAdaptedOn(BaseModel):
    """The data set.

    Args:
        name: As the data set tells.
        edition: Of BAH, where known.
        is_synthetic: Whether it is the demo set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    edition: str | None
    is_synthetic: bool


class AdaptRecord(BaseModel):
    """Metrics by target and over targets.

    Args:
        system: What rows and tables call the method.
        method: Of the recipe.
        target_split: How a target's frames were divided.
        selection: How epochs were selected; ``none`` where nothing is trained.
        seed: Of everything random.
        data: The data set.
        features: Modality to feature set.
        notes: What must stand above every table.
        excluded: Participant to the reason why nothing was adapted to them.
        failed: Participant to the reason why there are no metrics.
        summary: Over the targets that did not fail.
        targets: By participant.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    method: str
    target_split: str
    selection: str
    seed: int
    data: DataAdaptedOn
    features: dict[str, str]
    notes: list[str]
    excluded: dict[str, str]
    failed: dict[str, str]
    summary: Summary
    targets: dict[str, TargetResult]


def target_folder(out: Path, participant_id: str) -> Path:
    """Return where the model and the result of a target lie in a run folder."""
    return out / "targets" / participant_id


def is_done(out: Path, participant_id: str) -> bool:
    """Return whether a target has a result."""
    return (target_folder(out, participant_id) / _RESULT).exists()


def write_result(request: AdaptRequest, outcome: TargetOutcome) -> None:
    """Judge a target's answers, and write its result."""
    answers = {"source_only": outcome.p_source}
    if outcome.p is not None:
        answers[request.recipe.system] = outcome.p
    metrics = {}
    if len(outcome.labels):
        everything = {**answers, **trivial_answers(len(outcome.labels))}
        metrics = {name: judge_target(outcome.labels, p) for name, p in everything.items()}
    result = TargetResult(
        participant_id=outcome.participant_id,
        sizes=outcome.sizes,
        target_split=request.target_split,
        selected_epoch=outcome.fitted.selected_epoch,
        log=outcome.fitted.log,
        notes=outcome.fitted.notes,
        problem=outcome.fitted.problem,
        metrics=metrics,
    )
    folder = target_folder(request.out, outcome.participant_id)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / _RESULT, result)


def write_record(request: AdaptRequest, dataset: Dataset, store: FeatureStore, adaptable: Adaptable) -> AdaptRecord:
    """Write and return metrics by target and over targets; a target that failed, or has nothing to test, is named.

    Args:
        request: What was asked for.
        dataset: Whose participants.
        store: With the features.
        adaptable: Who was adapted to; everybody has a result.

    Raises:
        RunError: A result is damaged.
    """
    results = {one: _read_result(request.out, one) for one in adaptable.ids}
    system = request.recipe.system
    judged = {one: result.metrics for one, result in results.items() if system in result.metrics}
    people = {person.participant_id: person.metadata for person in dataset.participants()}
    systems = list(dict.fromkeys(("source_only", system, *TRIVIAL)))
    record = AdaptRecord(
        system=system,
        method=request.recipe.method,
        target_split=request.target_split,
        selection="none" if request.recipe.loop is None else request.recipe.loop.select,
        seed=request.seed,
        data=DataAdaptedOn(name=dataset.name, edition=dataset.edition, is_synthetic=dataset.is_synthetic),
        features=adaptable.features,
        notes=notes_on_features(store.info(name) for name in adaptable.features.values()),
        excluded=adaptable.excluded,
        failed={one: result.problem or "no test frames" for one, result in results.items() if one not in judged},
        summary=summarise(judged, people, systems),
        targets=results,
    )
    _write(request.out / RECORD, record)
    return record


def _read_result(out: Path, participant_id: str) -> TargetResult:
    path = target_folder(out, participant_id) / _RESULT
    remedy = "Delete it: the same command makes it again from its checkpoint."
    result = read_json_as(path, TargetResult, Refusal(RunError, f"The result {path} is damaged", remedy))
    is_one_class = 0 in (result.sizes["test_ah"], result.sizes["test_n"])
    if not is_one_class:
        return result
    # Rankings of one class say nothing; results of older versions have an average precision of 1 there.
    return result.model_copy(update={"metrics": {name: _unranked(one) for name, one in result.metrics.items()}})


def _unranked(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if name in _RANKING else value for name, value in metrics.items()}


def _write(path: Path, content: BaseModel) -> None:
    text = json.dumps(content.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
