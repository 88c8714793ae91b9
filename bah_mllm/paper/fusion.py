"""The paper's supervised tables over a data root: a loop over recipes and overrides, then the table in its layout.

Every arm is trained, predicted and judged by the same code as ``bah-mllm train``, ``predict`` and ``evaluate``, and
kept under its own name, so that Tables 5 and 15, 6 and 16, 7 and 17 share what they train and the same command goes on
where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal, cast

from bah_mllm.core.errors import BahError, ConfigError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.core.saying import say
from bah_mllm.dataset import Dataset, dataset_and_split
from bah_mllm.evaluation import Evaluation, Result
from bah_mllm.paper.context_figure import context_figure
from bah_mllm.paper.cost import cost_table
from bah_mllm.paper.published import published_results
from supervised.features.store import FeatureStore, notes_on_features
from supervised.flows.predict import PredictRequest, predict
from supervised.flows.train import TrainRequest, train
from supervised.reading import FusionRecipe, read_recipe

__all__ = ["EXPERIMENTS", "Arm", "ExperimentRequest", "run_supervised_experiment"]

Judge = Callable[..., Evaluation]

_METRICS = ("f1", "wf1", "ap_bah", "ap", "macro_f1", "auroc")  # the paper's three first
_PAPER = ("f1", "wf1", "ap_bah")
_FUSIONS = ("lfan", "can", "mt", "jmt")
_SUBSETS = (
    ("visual",),
    ("audio",),
    ("text",),
    ("visual", "audio"),
    ("visual", "text"),
    ("audio", "text"),
    ("visual", "audio", "text"),
)
# Windows of figure 12: the paper has 24 to 2,880 in steps of 24; these show the same curve.
_CONTEXT_FRAMES = (24, 48, 96, 192, 384, 696, 1440, 2880)


@dataclass(frozen=True, slots=True)
class ExperimentRequest:
    """What the user asks for.

    Args:
        data: Root of a data set; None is the demo set.
        split: Whose videos are judged; None is ``test``.
        features: Folder that ``bah-mllm features`` wrote.
        out: Folder for all arms of all supervised experiments, and for the tables.
        seeds: At least one.
        overrides: Of every recipe (``--set``).
        windows: Of figure 12; empty for its own.
        n_draws: Bootstrap draws; intervals are shown for single seeds.
    """

    data: str | None
    split: str | None
    features: Path
    out: Path
    seeds: Sequence[int] = (0,)
    overrides: Sequence[str] = ()
    windows: Sequence[int] = ()
    n_draws: int = 0


@dataclass(frozen=True, slots=True)
class Arm:
    """One line of a table.

    Args:
        label: As the table shows it.
        published: The paper's name of the same system, or None.
        recipe: What is trained.
    """

    label: str
    published: str | None
    recipe: FusionRecipe


@dataclass(frozen=True, slots=True)
class _Experiment:
    title: str
    level: Literal["frame", "video"]
    source: str
    arms: Callable[[ExperimentRequest, FeatureStore], list[Arm]]


@dataclass(frozen=True, slots=True)
class _Line:
    """Results of an arm, one a seed; or why there are none."""

    arm: Arm
    results: Sequence[Result]
    problem: str | None = None


def run_supervised_experiment(
    name: str, request: ExperimentRequest, *, judge: Judge, json_path: str | None
) -> dict[str, Any]:
    """Train, predict and judge every arm, print the table and write it as ``NAME.md`` and ``NAME.json``.

    Args:
        name: A key of ``EXPERIMENTS``, ``table14`` or ``figure12``.
        request: What the user asks for.
        judge: ``bah_mllm.evaluate``: run folders to an evaluation.
        json_path: Also write the table as JSON (``-`` for stdout).

    Raises:
        BahError: There is no such experiment, or none of its arms can be trained.
    """
    if name not in NAMES:
        raise ConfigError(f"There is no experiment {name!r}.", remedy=f"Choose one of: {', '.join(NAMES)}.")
    check_json_path(json_path)
    dataset, split = dataset_and_split(request.data, request.split)
    store = FeatureStore(request.features)
    request.out.mkdir(parents=True, exist_ok=True)
    recipes: list[FusionRecipe] = []
    if name == "table14":
        record, markdown = cost_table(_with(request, "lfan"), window_frames=(request.windows or (300,))[0])
    elif name == "figure12":
        arms = [(frames, _trained_at(request, frames)) for frames in request.windows or _CONTEXT_FRAMES]
        record, markdown = context_figure(arms, request, dataset, train_and_predict)
        recipes = [recipe for _, recipe in arms]
    else:
        experiment = EXPERIMENTS[name]
        lines, anchors = _run_arms(experiment, request, store, judge)
        record = _record(name, experiment, lines, anchors, has_paper=_is_the_papers(dataset, split))
        markdown = _markdown(experiment, record)
        recipes = [line.arm.recipe for line in lines if line.results]
    used = dict.fromkeys(feature_set for recipe in recipes for feature_set in recipe.features.values())
    notes = notes_on_features(store.info(feature_set) for feature_set in used)
    if dataset.is_synthetic:
        notes.insert(0, SYNTHETIC)
    record["notes"] = notes
    markdown = "".join(f"**{note}.**\n\n" for note in notes) + markdown
    write_atomically(request.out / f"{name}.md", markdown.encode())
    write_json(record, str(request.out / f"{name}.json"))
    say(f"the table is in {request.out / f'{name}.md'}")
    if json_path is not None:
        write_json(record, json_path)
    else:
        print(markdown)  # noqa: T201 - what the command is asked for
    return record


def _is_the_papers(dataset: Dataset, split: str | None) -> bool:
    """Return whether the paper's numbers are about such videos: BAH in its layout, its test split, real people."""
    return dataset.kind in ("bah", "split-files") and not dataset.is_synthetic and split == "test"


def train_and_predict(recipe: FusionRecipe, request: ExperimentRequest) -> tuple[Path, list[Path]]:
    """Train a recipe with all seeds and predict with it; return its folder and the run folders."""
    settings = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    folder = request.out / f"{recipe.name}-{hashlib.sha256(settings.encode()).hexdigest()[:10]}"
    trained, device = folder / "trained", recipe.loop.device
    train(recipe, TrainRequest(request.data, trained, request.features, None, request.seeds))
    runs: list[Path] = []
    for seed in request.seeds:  # one by one, so that a run lies in the same place whatever seeds are asked for
        run = folder / f"run-{request.split or 'test'}" / f"seed-{seed}"
        asked = PredictRequest(trained, request.data, request.split, run, request.features, None, (seed,), device)
        runs += predict(asked)
    return trained, runs


def _run_arms(
    experiment: _Experiment, request: ExperimentRequest, store: FeatureStore, judge: Judge
) -> tuple[list[_Line], tuple[Result, ...]]:
    lines: list[_Line] = []
    anchors: tuple[Result, ...] = ()
    problem: BahError | None = None
    for arm in experiment.arms(request, store):
        say(f"--- {arm.label}")
        try:
            _, runs = train_and_predict(arm.recipe, request)
        except BahError as error:
            say(f"note: {arm.label} is left out: {error.problem}")
            lines.append(_Line(arm, [], error.problem))
            problem = error
            continue
        results = []
        for run in runs:
            evaluation = judge(
                run, data=request.data, split=request.split, level=experiment.level, n_draws=request.n_draws
            )
            wanted = "coverage" if experiment.level == "frame" else "max24"
            results += [row for row in evaluation.rows if row.identity.aggregation == wanted]
            anchors = evaluation.anchors
        lines.append(_Line(arm, results))
    if not any(line.results for line in lines):
        raise problem or ConfigError(
            f"{request.features} has no feature set that this experiment takes.",
            remedy="Run `bah-mllm features` first.",
        )
    return lines, anchors


def _with(request: ExperimentRequest, recipe: str, *overrides: str) -> FusionRecipe:
    """Return a recipe as the user wants it, but for what makes the arm."""
    return cast("FusionRecipe", read_recipe(recipe, [*request.overrides, *overrides]))


def _backbones(request: ExperimentRequest, store: FeatureStore) -> list[Arm]:
    """Return every visual set of the store, without and with context, in the paper's order of backbones."""
    order = ("apvit", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    names = {"apvit": "APViT", **{name: name.replace("resnet", "ResNet") for name in order[1:]}}

    def backbone(feature_set: str) -> str | None:
        return next((one for one in sorted(order, key=len, reverse=True) if f"-{one}" in feature_set), None)

    sets = [name for name in store.names() if store.info(name).modality == "visual"]
    sets.sort(key=lambda name: (order.index(backbone(name) or "") if backbone(name) else len(order), name))
    arms = []
    for one in sets:
        known = backbone(one)
        for recipe, context in (("frame_visual", "no context"), ("tcn_visual", "TCN")):
            published = None if known is None else f"visual {names[known]} {context}"
            arms.append(Arm(f"{one}, {context}", published, _with(request, recipe, f'features.visual="{one}"')))
    return arms


def _modalities(request: ExperimentRequest, store: FeatureStore) -> list[Arm]:  # noqa: ARG001 - as the others
    whole = _with(request, "lfan")
    return [Arm(" + ".join(some), f"LFAN {'+'.join(some)}", whole.restricted_to(some)) for some in _SUBSETS]


def _fusions(request: ExperimentRequest, store: FeatureStore) -> list[Arm]:  # noqa: ARG001 - as the others
    arms = []
    for variant in ("corrected", "faithful"):
        for name in _FUSIONS:
            recipe = _with(request, name, f'model.variant="{variant}"')
            arms.append(Arm(f"{name.upper()} {variant}", f"fusion {name.upper()}", recipe))
    return arms


def _trained_at(request: ExperimentRequest, frames: int) -> FusionRecipe:
    return _with(
        request,
        "tcn_visual",
        f"data.window_frames={frames}",
        f"data.hop_frames={max(24, frames // 2) if frames > 24 else frames}",
        f"prediction.window_frames={frames}",
    )


EXPERIMENTS: Mapping[str, _Experiment] = {
    "table5": _Experiment("Frame level, visual backbones without and with context", "frame", "Table 5", _backbones),
    "table6": _Experiment("Frame level, modalities (LFAN)", "frame", "Table 6", _modalities),
    "table7": _Experiment("Frame level, fusions", "frame", "Table 7", _fusions),
    "table15": _Experiment("Video level, visual backbones without and with context", "video", "Table 15", _backbones),
    "table16": _Experiment("Video level, modalities (LFAN)", "video", "Table 16", _modalities),
    "table17": _Experiment("Video level, fusions", "video", "Table 17", _fusions),
}
NAMES = (*EXPERIMENTS, "table14", "figure12")


def _record(
    name: str, experiment: _Experiment, lines: Sequence[_Line], anchors: Sequence[Result], *, has_paper: bool
) -> dict[str, Any]:
    rows = []
    for line in lines:
        row: dict[str, Any] = {"system": line.arm.label, "recipe": line.arm.recipe.name, "n_seeds": len(line.results)}
        first = line.results[0] if line.results else None
        row |= {"problem": line.problem, "n": first.counts.n if first else 0}
        row["n_unscored"] = first.counts.n_missing + first.counts.n_failed if first else 0
        row |= {metric: _spread([result.metric(metric) for result in line.results]) for metric in _METRICS}
        row["ci"] = (
            {metric: line.results[0].metrics[metric].bounds for metric in _METRICS} if len(line.results) == 1 else None
        )
        row["paper"] = _published(line.arm, experiment) if has_paper else {}
        rows.append(row)
    return {
        "experiment": name,
        "title": experiment.title,
        "source": experiment.source,
        "level": experiment.level,
        "rows": rows,
        "anchors": [
            {"system": anchor.identity.system, **{metric: anchor.metric(metric) for metric in _METRICS}}
            for anchor in anchors
        ],
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "sd": None}
    return {"mean": mean(known), "sd": stdev(known) if len(known) > 1 else None}


def _published(arm: Arm, experiment: _Experiment) -> dict[str, float]:
    return {
        cell.metric: cell.value
        for cell in published_results()
        if (cell.edition, cell.source, cell.system) == ("v1", experiment.source, arm.published)
    }


def _markdown(experiment: _Experiment, record: Mapping[str, Any]) -> str:
    heads = {"f1": "F1", "wf1": "WF1", "ap_bah": "AP_bah", "ap": "AP", "macro_f1": "macro-F1", "auroc": "AUROC"}
    has_paper = any(row["paper"] for row in record["rows"])
    columns = ["system", "seeds", *heads.values(), *(f"paper {heads[metric]}" for metric in _PAPER if has_paper)]
    lines = [f"# {experiment.source}: {experiment.title}", ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in record["rows"]:
        cells = [row["system"], str(row["n_seeds"]), *(_cell(row[metric]) for metric in heads)]
        cells += [f"{row['paper'][metric]:.4f}" if metric in row["paper"] else "-" for metric in _PAPER if has_paper]
        lines.append("| " + " | ".join(cells) + " |")
    for anchor in record["anchors"]:
        figures = ["-" if anchor[metric] is None else f"{anchor[metric]:.4f}" for metric in heads]
        cells = [f"({anchor['system']})", "", *figures, *("-" for _ in _PAPER if has_paper)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Mean over seeds, with the standard deviation (n - 1). In brackets: what a system has to beat."]
    if experiment.level == "video":
        lines.append("Video scores: maximum over the means of 24 frames (paper, appendix E.1).")
    if has_paper:
        lines.append("AP_bah is what the paper calls AP; its single run is of the v1 edition's test split.")
    lines += [
        f"Without a prediction: {row['system']}: {row['n_unscored']:,} labelled {experiment.level}s, counted nowhere."
        for row in record["rows"]
        if row["n_unscored"]
    ]
    lines += [f"Left out: {row['system']}: {row['problem']}" for row in record["rows"] if row["problem"]]
    return "\n".join(lines) + "\n"


def _cell(spread: Mapping[str, float | None]) -> str:
    if spread["mean"] is None:
        return "-"
    return f"{spread['mean']:.4f}" + (f" ± {spread['sd']:.4f}" if spread["sd"] is not None else "")
