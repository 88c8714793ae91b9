"""The paper's supervised tables over a data root: a loop over arms, then the table in its layout.

Every arm is trained, predicted and judged by the same code as ``bah-mllm train``, ``predict`` and ``evaluate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import mean, stdev
from typing import Any, NamedTuple

from bah_mllm.core.errors import BahError, ConfigError
from bah_mllm.core.loading import load_object
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.records import Unanswered
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation import Result
from bah_mllm.paper.experiments import Experiment, ExperimentRequest, Outcome
from bah_mllm.paper.fusion_arms import Arm, train_and_predict
from bah_mllm.paper.published import is_the_papers, published_results
from bah_mllm.pipeline.judging import evaluate
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.markup import Table
from bah_mllm.report.numbers import figure, with_deviation
from bah_mllm.report.unanswered import unanswered_line
from supervised.features.store import FeatureStore, notes_on_features
from supervised.fusion.recipe import FusionRecipe

__all__ = ["OUT", "fusion_table", "notes_on", "under_notes"]

OUT = "runs/supervised"  # one folder, so that experiments share what they train

_METRICS = ("f1", "wf1", "ap_bah", "ap", "macro_f1", "auroc")  # the paper's three first
_PAPER = ("f1", "wf1", "ap_bah")


class _Spread(NamedTuple):
    """Mean over seeds and standard deviation (n - 1); None where there is none."""

    mean: float | None
    sd: float | None


@dataclass(frozen=True, slots=True)
class _Line:
    """Results of an arm, one a seed; or why there are none. The paper's values by metric."""

    arm: Arm
    results: Sequence[Result]
    problem: str | None = None
    published: Mapping[str, float] = field(default_factory=dict)

    def spread(self, metric: str) -> _Spread:
        values = [result.metric(metric) for result in self.results]
        known = [value for value in values if value is not None]
        if not known:
            return _Spread(None, None)
        return _Spread(mean(known), stdev(known) if len(known) > 1 else None)

    @property
    def n_unscored(self) -> int:
        counts = self.results[0].counts if self.results else None
        return 0 if counts is None else counts.n_unanswered

    def _intervals(self) -> dict[str, tuple[float, float] | None] | None:
        if len(self.results) != 1:
            return None
        return {metric: self.results[0].metrics[metric].bounds for metric in _METRICS}

    def to_json(self) -> dict[str, Any]:
        return {
            "system": self.arm.label,
            "recipe": self.arm.recipe.name,
            "n_seeds": len(self.results),
            "problem": self.problem,
            "n": self.results[0].counts.n if self.results else 0,
            "n_unscored": self.n_unscored,
            "unanswered": self.results[0].unanswered if self.results else None,
            **{metric: self.spread(metric)._asdict() for metric in _METRICS},
            "ci": self._intervals(),
            "paper": dict(self.published),
        }


@dataclass(frozen=True, slots=True)
class _Judged:
    """All arms, and the anchors on their items."""

    lines: Sequence[_Line]
    anchors: Sequence[Result]
    unanswered: Unanswered


def fusion_table(name: str, experiment: Experiment, request: ExperimentRequest) -> Outcome:
    """Train, predict and judge every arm, and return the table.

    Args:
        name: Of the experiment.
        experiment: Its arms, and how they are judged.
        request: Data, features, seeds and overrides of every recipe.

    Raises:
        BahError: None of its arms can be trained.
    """
    dataset, split = dataset_and_split(request.data, request.split)
    store, out = FeatureStore(request.features), request.out(OUT)
    judged = _judge_arms(experiment, request, store, has_paper=is_the_papers(dataset, split))
    notes = notes_on(dataset, store, [line.arm.recipe for line in judged.lines if line.results])
    record = {
        "experiment": name,
        "title": experiment.title,
        "source": experiment.source,
        "level": experiment.level,
        "unanswered": request.unanswered,
        "rows": [line.to_json() for line in judged.lines],
        "anchors": [
            {"system": anchor.identity.system, **{metric: anchor.metric(metric) for metric in _METRICS}}
            for anchor in judged.anchors
        ],
        "notes": notes,
    }
    return Outcome(folder=out, record=record, markdown=under_notes(notes, _markdown(experiment, judged)))


def notes_on(dataset: Dataset, store: FeatureStore, recipes: Sequence[FusionRecipe]) -> list[str]:
    """Return what must stand above a table of trained models: a synthetic data set, features of random weights."""
    used = dict.fromkeys(feature_set for recipe in recipes for feature_set in recipe.features.values())
    notes = notes_on_features(store.info(feature_set) for feature_set in used)
    return [SYNTHETIC, *notes] if dataset.is_synthetic else notes


def under_notes(notes: Sequence[str], markdown: str) -> str:
    """Return a table with notes in bold above it."""
    return "".join(f"**{note}.**\n\n" for note in notes) + markdown


def _judge_arms(experiment: Experiment, request: ExperimentRequest, store: FeatureStore, *, has_paper: bool) -> _Judged:
    lines: list[_Line] = []
    anchors: Sequence[Result] = ()
    problem: BahError | None = None
    assert experiment.arms is not None
    arms_of = load_object(experiment.arms)
    judge = partial(
        evaluate,
        data=request.data,
        split=request.split,
        level=experiment.level,
        n_draws=request.n_draws,
        unanswered=request.unanswered,
    )
    for arm in arms_of(request, store):
        say(f"--- {arm.label}")
        published = _published(arm, experiment) if has_paper else {}
        try:
            trained = train_and_predict(arm.recipe, request, request.out(OUT))
        except BahError as error:
            say(f"note: {arm.label} is left out: {error.problem}")
            lines.append(_Line(arm, [], error.problem, published))
            problem = error
            continue
        evaluations = [judge(run) for run in trained.runs]
        anchors = evaluations[-1].anchors
        results = [row for one in evaluations for row in one.rows if row.identity.aggregation == experiment.aggregation]
        lines.append(_Line(arm, results, published=published))
    if not any(line.results for line in lines):
        raise problem or ConfigError(
            f"{request.features} has no feature set that this experiment takes.",
            remedy="Run `bah-mllm features` first.",
        )
    return _Judged(lines, anchors, request.unanswered)


def _published(arm: Arm, experiment: Experiment) -> dict[str, float]:
    return {
        cell.metric: cell.value
        for cell in published_results()
        if (cell.edition, cell.source, cell.system) == ("v1", experiment.source, arm.published)
    }


def _markdown(experiment: Experiment, judged: _Judged) -> str:
    shown = _PAPER if any(line.published for line in judged.lines) else ()
    headings = [HEADINGS[metric] for metric in _METRICS]
    rows = [
        [
            line.arm.label,
            str(len(line.results)),
            *(with_deviation(*line.spread(metric)) for metric in _METRICS),
            *(figure(line.published.get(metric)) for metric in shown),
        ]
        for line in judged.lines
    ]
    rows += [
        [
            anchor.identity.system,
            "",
            *(figure(anchor.metric(metric)) for metric in _METRICS),
            *(figure(None) for _ in shown),
        ]
        for anchor in judged.anchors
    ]
    table = Table(["system", "seeds", *headings, *(f"paper {HEADINGS[metric]}" for metric in shown)], rows)
    text = [f"# {experiment.heading}", "", table.to_markdown(), ""]
    text.append("Mean over seeds, with the standard deviation (n - 1). Rows without seeds: what a system has to beat.")
    if experiment.level == "video":
        text.append("Video scores: maximum over the means of 24 frames (paper, appendix E.1).")
    if shown:
        text.append("AP_bah is what the paper calls AP; its single run is of the v1 edition's test split.")
    n_of_line = {line.arm.label: line.n_unscored for line in judged.lines}
    text.append(f"Answers: {unanswered_line(judged.unanswered, n_of_line)} ({experiment.level}s with a label).")
    text += [f"Left out: {line.arm.label}: {line.problem}" for line in judged.lines if line.problem]
    return "\n".join(text) + "\n"
