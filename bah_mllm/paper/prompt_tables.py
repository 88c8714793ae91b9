"""Zero-shot tables over a data root: one resumable run, then the table in the paper's layout.

The paper's values of both editions stand beside ours, and the anchors below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.core.saying import say
from bah_mllm.engines import ENGINE_FOR_DATA, ENGINES
from bah_mllm.evaluation import Evaluation, Result
from bah_mllm.paper.experiments import Experiment, ExperimentRequest, Outcome
from bah_mllm.paper.published import is_the_papers, published_beside, published_results
from bah_mllm.pipeline.config import flag_of, load_run_config
from bah_mllm.pipeline.gathering import gather
from bah_mllm.pipeline.judging import judge, print_judged
from bah_mllm.pipeline.zero_shot import run
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.markup import Table
from bah_mllm.report.numbers import figure, with_interval
from bah_mllm.report.unanswered import unanswered_line

__all__ = ["prompt_table"]

_OURS = ("f1", "wf1", "macro_f1", "ap", "ap_bah", "auroc")
_PAPER = (("v1", "f1"), ("v1", "wf1"), ("iclr2026", "macro_f1"))  # what each edition reports


@dataclass(frozen=True, slots=True)
class _Line:
    """A system or an anchor, and the paper's values of the same prompt by edition and metric."""

    result: Result
    published: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        counts = self.result.counts
        shown = ("n", "n_missing", "n_unparsed", "n_failed", "prevalence", "positive_rate")
        intervals = {metric: self.result.metrics[metric].bounds for metric in _OURS}
        return {
            "system": self.result.identity.system,
            "window_frames": self.result.identity.window_frames,
            **{name: getattr(counts, name) for name in shown},
            "unanswered": self.result.unanswered,
            "n_filled": counts.n_filled,
            "collapse": counts.is_collapsed,
            **{metric: self.result.metric(metric) for metric in _OURS},
            "ci": {metric: None if bounds is None else list(bounds) for metric, bounds in intervals.items()},
            **{f"paper_{edition}_{metric}": self.published.get((edition, metric)) for edition, metric in _PAPER},
        }


def prompt_table(name: str, experiment: Experiment, request: ExperimentRequest) -> Outcome:
    """Ask every prompt about every window, judge the answers, and return the table.

    Args:
        name: Of the experiment.
        experiment: Prompts, windows and level; what it fixes the request cannot change.
        request: All else, as for ``bah-mllm run``.

    Raises:
        ConfigError: A flag contradicts the experiment.
    """
    flags = _with_fixed(name, experiment, request.settings)
    if experiment.source and load_run_config(flags, request.config_file).data is None and flags.get("engine") is None:
        # The paper's prompts ask about pixels, and nobody wants 15 GB of weights for the demo set.
        model = flags.get("model") or ENGINES[ENGINE_FOR_DATA].trial_model
        say(f"No data set and no engine are given: this is the demo set with the model {model}.")
        flags |= {"engine": ENGINE_FOR_DATA, "model": model}
    summary = run(load_run_config(flags, request.config_file))
    gathered = gather([summary.folder])
    evaluation = judge(gathered, n_draws=request.n_draws, unanswered=request.unanswered)
    if not is_the_papers(gathered.dataset, gathered.split):
        experiment = replace(experiment, source=None)
    lines = _lines(experiment, evaluation)
    table, notes = [line.to_json() for line in lines], gathered.notes
    published = published_beside(gathered.dataset.edition)
    return Outcome(
        folder=summary.folder,
        record={"experiment": name, "table": table, "data_notes": list(notes), **evaluation.to_json()},
        markdown=_markdown(experiment, lines, notes, evaluation),
        has_failures=summary.n_failed > 0,
        show=partial(print_judged, evaluation, gathered, published=published),
    )


def _with_fixed(name: str, experiment: Experiment, flags: Mapping[str, Any]) -> dict[str, Any]:
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
    for setting, value in fixed.items():
        given = flags.get(setting)
        if given not in (None, [], value):
            raise ConfigError(
                f"The experiment {name} has {flag_of(setting)} {_told(value)}, but {_told(given)} is asked for.",
                remedy="Leave that flag out, or use `bah-mllm experiment prompts`.",
            )
    return {**flags, **fixed}


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _lines(experiment: Experiment, evaluation: Evaluation) -> list[_Line]:
    """Return a line per system in the paper's order, then the anchors."""
    of_level = "coverage" if evaluation.rows and evaluation.rows[0].identity.level == Level.FRAME else "video"
    order = {prompt: index for index, prompt in enumerate(experiment.prompts or ())}
    rows = sorted(
        (row for row in evaluation.rows if row.identity.aggregation == (experiment.aggregation or of_level)),
        key=lambda row: (order.get(_prompt(row), len(order)), row.identity.window_frames or 0, row.identity.system),
    )
    return [_Line(row, _published(row, experiment)) for row in rows] + [_Line(anchor) for anchor in evaluation.anchors]


def _prompt(row: Result) -> str:
    return row.identity.system.partition("@")[0]


def _named(row: Result) -> str:
    window = f", window {row.identity.window_frames}" if row.identity.window_frames else ""
    return f"{row.identity.system}{window}"


def _published(row: Result, experiment: Experiment) -> dict[tuple[str, str], float]:
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
        and (cell.edition == "v1" or len(experiment.windows) < 2)
    }


def _markdown(experiment: Experiment, lines: Sequence[_Line], notes: Sequence[str], evaluation: Evaluation) -> str:
    published = [place for place in _PAPER if any(place in line.published for line in lines)]
    headings = ["system", "n", "pos. rate", *(HEADINGS[metric] for metric in _OURS)]
    headings += [f"{edition} {HEADINGS[metric]}" for edition, metric in published]
    table = Table(headings, [_cells(line, published) for line in lines])
    text = [f"# {experiment.heading}", "", *(f"**{note}**" for note in notes), "", table.to_markdown(), ""]
    text += ["Brackets: 95 % intervals, participants drawn with replacement. (-n): missing, unparsed or failed."]
    n_of_line = {_named(line.result): line.result.counts.n_unanswered for line in lines}
    text += [f"Answers: {unanswered_line(evaluation.unanswered, n_of_line)}."]
    text += ["(!): over 95 % of the answers agree; the system has probably collapsed."]
    if published:
        text += [
            "v1 and iclr2026: the paper's values, of Video-LLaVA-7B on the test split of that edition, from parsed "
            "replies (which is why it has no AP). The figures of iclr2026 do not state the window."
        ]
    text += [f"Anchor {name} is left out: {reason}." for name, reason in evaluation.anchors_left_out.items()]
    return "\n".join(text) + "\n"


def _cells(line: _Line, published: Sequence[tuple[str, str]]) -> list[str]:
    row, counts = line.result, line.result.counts
    return [
        f"{_named(row)}{' (!)' if counts.is_collapsed else ''}",
        f"{counts.n:,}" + (f" (-{counts.n_unanswered:,})" if counts.n_unanswered else ""),
        figure(counts.positive_rate),
        *(with_interval(row.metric(metric), row.metrics[metric].bounds) for metric in _OURS),
        *(figure(line.published.get(place)) for place in published),
    ]
