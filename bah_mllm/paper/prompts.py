"""Tables of the paper over a data root: one resumable run, then the table in the paper's layout.

The paper's values of both editions stand beside ours, and the anchors below; see ``EXPERIMENTS`` for what is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.json_output import write_json
from bah_mllm.core.records import Level
from bah_mllm.core.saying import say
from bah_mllm.engines import ENGINE_FOR_DATA, ENGINES
from bah_mllm.evaluation import Evaluation, Result
from bah_mllm.paper.published import published_beside, published_results
from bah_mllm.pipeline.config import load_run_config
from bah_mllm.pipeline.gathering import gather
from bah_mllm.pipeline.judging import judge, print_judged
from bah_mllm.pipeline.zero_shot import run

__all__ = ["EXPERIMENTS", "Experiment", "run_experiment"]

_PROMPTS = ("simple", "def1", "def2", "transcript_def1", "transcript_def2")
_OURS = ("f1", "wf1", "macro_f1", "ap", "ap_bah", "auroc")
_PAPER = (("v1", "f1"), ("v1", "wf1"), ("iclr2026", "macro_f1"))  # what each edition reports


@dataclass(frozen=True, slots=True)
class Experiment:
    """What an experiment runs and how its table reads.

    Args:
        title: Heading of the table.
        level: Frame or video.
        prompts: Prompts asked; None where the user names them.
        windows: Windows in frames; empty where the user names them, or at video level.
        source: Table of the paper, or None for one of our own.
    """

    title: str
    level: Level | None
    prompts: tuple[str, ...] | None
    windows: tuple[str, ...]
    source: str | None


EXPERIMENTS: Mapping[str, Experiment] = {
    "table19": Experiment("Frame level, by prompt (windows of 8 frames)", Level.FRAME, _PROMPTS, ("8",), "Table 19"),
    "table20": Experiment(
        "Frame level, by window",
        Level.FRAME,
        ("transcript_def1",),
        ("8", "24", "48", "80", "120", "192"),  # 8 is Table 19's row of the same prompt
        "Table 20",
    ),
    "table21": Experiment(
        "Video level, by prompt (8 frames of the whole video)", Level.VIDEO, _PROMPTS, (), "Table 21"
    ),
    "prompts": Experiment("Prompts of your own", None, None, (), None),
}


def run_experiment(
    name: str, flags: Mapping[str, Any], *, config_file: Path | None, n_draws: int, json_path: str | None
) -> bool:
    """Run or resume everything that an experiment needs, then print its table and write it beside the rows.

    Args:
        name: A key of ``EXPERIMENTS``.
        flags: As for ``bah-mllm run``; an experiment of the paper fixes prompts, windows and level.
        config_file: As for ``bah-mllm run``.
        n_draws: Bootstrap draws.
        json_path: Also write the table as JSON (``-`` for stdout).

    Returns:
        Whether any row failed.

    Raises:
        ConfigError: There is no such experiment, or a flag contradicts it.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f"There is no experiment {name!r}.", remedy=f"Choose one of: {', '.join(EXPERIMENTS)}.")
    experiment = EXPERIMENTS[name]
    flags = _with_fixed(experiment, name, flags)
    if experiment.source and load_run_config(flags, config_file).data is None and flags.get("engine") is None:
        # The paper's prompts ask about pixels, and nobody wants 15 GB of weights for the demo set.
        model = flags.get("model") or ENGINES[ENGINE_FOR_DATA].trial_model
        say(f"No data set and no engine are given: this is the demo set with the model {model}.")
        flags |= {"engine": ENGINE_FOR_DATA, "model": model}
    config = load_run_config(flags, config_file)
    summary = run(config)
    gathered = gather([summary.folder])
    evaluation = judge(gathered, n_draws=n_draws)
    if gathered.dataset.is_synthetic:
        experiment = replace(experiment, source=None)  # the paper's numbers are about people
    table = _table(experiment, evaluation)
    markdown = _markdown(experiment, table, gathered.notes, evaluation)
    write_atomically(summary.folder / f"{name}.md", markdown.encode())
    record = {"experiment": name, "table": table, "data_notes": list(gathered.notes), **evaluation.to_json()}
    write_json(record, str(summary.folder / f"{name}.json"))
    say(f"the table is in {summary.folder / f'{name}.md'}")
    if json_path is not None:
        write_json(record, json_path)
    else:
        print_judged(evaluation, gathered, published=published_beside(gathered.dataset.edition))
    return summary.n_failed > 0


def _with_fixed(experiment: Experiment, name: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    fixed: dict[str, Any] = {}
    if experiment.level is not None:
        fixed["level"] = experiment.level.value
    if experiment.prompts is not None:
        fixed["prompts"] = list(experiment.prompts)
    if experiment.windows:
        fixed["windows"] = list(experiment.windows)
    if experiment.level is Level.VIDEO and flags.get("windows"):
        raise ConfigError(
            f"The experiment {name} asks about whole videos, but --window {flags['windows'][0]} is given.",
            remedy="Leave --window out.",
        )
    for field, value in fixed.items():
        given = flags.get(field)
        if given not in (None, [], value):
            raise ConfigError(
                f"The experiment {name} has {field} = {value}, but {given} is asked for.",
                remedy="Leave that flag out, or use `bah-mllm experiment prompts`.",
            )
    return {**flags, **fixed}


def _table(experiment: Experiment, evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return a line per system in the paper's order, then the anchors."""
    main = "coverage" if evaluation.rows and evaluation.rows[0].identity.level == Level.FRAME else "video"
    order = {prompt: index for index, prompt in enumerate(experiment.prompts or ())}
    rows = sorted(
        (row for row in evaluation.rows if row.identity.aggregation == main),
        key=lambda row: (order.get(_prompt(row), len(order)), row.identity.window_frames or 0, row.identity.system),
    )
    return [_line(row, experiment) for row in rows] + [_line(anchor, None) for anchor in evaluation.anchors]


def _prompt(row: Result) -> str:
    return row.identity.system.partition("@")[0]


def _line(row: Result, experiment: Experiment | None) -> dict[str, Any]:
    paper = {} if experiment is None else _paper(row, experiment)
    return {
        "system": row.identity.system,
        "window_frames": row.identity.window_frames,
        "n": row.counts.n,
        "n_missing": row.counts.n_missing,
        "n_unparsed": row.counts.n_unparsed,
        "n_failed": row.counts.n_failed,
        "prevalence": row.counts.prevalence,
        "positive_rate": row.counts.positive_rate,
        "collapse": row.counts.is_collapsed,
        **{metric: row.metric(metric) for metric in _OURS},
        "ci": {metric: None if (bounds := row.metrics[metric].bounds) is None else list(bounds) for metric in _OURS},
        **{_key(edition, metric): paper.get((edition, metric)) for edition, metric in _PAPER},
    }


def _paper(row: Result, experiment: Experiment) -> dict[tuple[str, str], float]:
    """Return the paper's zero-shot values of a prompt: v1 by table and window; iclr2026 by level, window unstated."""
    if experiment.source is None or row.identity.split != "test":
        return {}
    by_prompt = f"Video-LLaVA-7B {_prompt(row)}"
    by_window = f"{by_prompt} window {row.identity.window_frames}"
    return {
        (cell.edition, cell.metric): cell.value
        for cell in published_results()
        if cell.family == "zero-shot"
        and cell.level == row.identity.level
        and cell.system == (by_window if cell.edition == "v1" and row.identity.level == Level.FRAME else by_prompt)
        # The figures of iclr2026 give one value a prompt: it belongs in the table by prompt alone.
        and (cell.edition == "v1" or experiment.source != "Table 20")
    }


def _markdown(
    experiment: Experiment, table: Sequence[Mapping[str, Any]], notes: Sequence[str], evaluation: Evaluation
) -> str:
    heads = {"f1": "F1", "wf1": "WF1", "macro_f1": "macro-F1", "ap": "AP", "ap_bah": "AP_bah", "auroc": "AUROC"}
    columns = ["system", "n", "pos. rate", *(heads[metric] for metric in _OURS)]
    published = [
        (edition, metric)
        for edition, metric in _PAPER
        if any(line[_key(edition, metric)] is not None for line in table)
    ]
    columns += [f"{edition} {heads[metric]}" for edition, metric in published]
    title = f"{experiment.source}: {experiment.title}" if experiment.source else experiment.title
    lines = [f"# {title}", "", *(f"**{note}**" for note in notes), ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for line in table:
        window = f", window {line['window_frames']}" if line["window_frames"] else ""
        lost = sum(line[key] for key in ("n_missing", "n_unparsed", "n_failed"))
        cells = [
            f"{line['system']}{window}{' (!)' if line['collapse'] else ''}",
            f"{line['n']:,}" + (f" (-{lost:,})" if lost else ""),
            _figure(line["positive_rate"]),
            *(_figure(line[metric], line["ci"][metric]) for metric in _OURS),
        ]
        cells += [_figure(line[_key(edition, metric)]) for edition, metric in published]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Brackets: 95 % intervals, participants drawn with replacement. (-n): missing, unparsed or failed."]
    lines += ["(!): over 95 % of the answers agree; the system has probably collapsed."]
    if published:
        lines += [
            "v1 and iclr2026: the paper's values, of Video-LLaVA-7B on the test split of that edition, from parsed "
            "replies (which is why it has no AP). The figures of iclr2026 do not state the window."
        ]
    lines += [f"Anchor {name} is left out: {reason}." for name, reason in evaluation.anchors_left_out.items()]
    return "\n".join(lines) + "\n"


def _key(edition: str, metric: str) -> str:
    return f"paper_{edition}_{metric}"


def _figure(value: float | None, bounds: Sequence[float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else "")
