"""Every table and figure of the paper that can be made here: what is asked or trained, how it is judged, its source.

``EXPERIMENTS`` is light to import: what makes an experiment is named, and loaded when it is run. To add one, add an
entry; a kind is a function of ``(name, experiment, request)`` that returns an ``Outcome``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.loading import load_named
from bah_mllm.core.records import Level, Unanswered
from bah_mllm.core.saying import say, tell
from bah_mllm.core.timeline import Length

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "ExperimentRequest",
    "Kind",
    "Outcome",
    "find_experiment",
    "names_by_half",
    "run_experiment",
]

_PROMPTS = ("simple", "def1", "def2", "transcript_def1", "transcript_def2")


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes a kind of experiment, and what the user may say about it.

    Args:
        half: Its heading in the list of names.
        flow: ``module:function``.
        trains: Whether it needs torch and the package ``supervised``.
        settings: Settings of ``bah-mllm run`` that it takes; None for all of them.
        options: Further fields of ``ExperimentRequest`` that it takes.
    """

    half: str
    flow: str
    trains: bool = True
    settings: tuple[str, ...] | None = ("data", "split", "out")
    options: tuple[str, ...] = ("features", "seeds", "overrides")


_ASKED = Kind(
    "Zero-shot",
    "bah_mllm.paper.prompt_tables:prompt_table",
    trains=False,
    settings=None,
    options=("config_file", "unanswered"),
)
_TRAINED = Kind(
    "Supervised",
    "bah_mllm.paper.fusion_tables:fusion_table",
    options=("features", "seeds", "overrides", "unanswered"),
)
_MEASURED = Kind("Supervised", "bah_mllm.paper.cost:cost_table", settings=("data", "split", "out", "windows"))
_WINDOWED = Kind(
    "Supervised", "bah_mllm.paper.context_figure:context_figure", settings=("data", "split", "out", "windows")
)
_ADAPTED = Kind(
    "Adaptation",
    "bah_mllm.paper.adaptation:adaptation_tables",
    options=("features", "seeds", "overrides", "source", "target_split", "workers"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A table or figure: what is asked or trained for it, how that is judged, and where it is in the paper.

    Args:
        title: Heading.
        kind: What makes it.
        source: Table or figure of the paper; None for one of our own.
        level: Whether frames or videos are judged; None where the user says, or nothing is judged.
        aggregation: Which of the evaluator's aggregations the table shows; None where the level decides.
        prompts: Prompts asked; None where the user names them, or nothing is asked.
        windows: Windows of the prompts, in frames; empty where the user names them, or at video level.
        arms: ``module:function`` of what is trained, one line of the table each; None where nothing is.
        aside: What else stands in the same table, for the list of names.
    """

    title: str
    kind: Kind
    source: str | None
    level: Level | None = None
    aggregation: str | None = None
    prompts: tuple[str, ...] | None = None
    windows: tuple[str, ...] = ()
    arms: str | None = None
    aside: str = ""

    @property
    def heading(self) -> str:
        """Return the title behind the place in the paper."""
        return f"{self.source}: {self.title}" if self.source else self.title


def _of_frames(title: str, source: str, arms: str) -> Experiment:
    return Experiment(
        title=title, kind=_TRAINED, source=source, level=Level.FRAME, aggregation="coverage", arms=_arms(arms)
    )


def _of_videos(title: str, source: str, arms: str) -> Experiment:
    return Experiment(
        title=title, kind=_TRAINED, source=source, level=Level.VIDEO, aggregation="max24", arms=_arms(arms)
    )


def _arms(name: str) -> str:
    return f"bah_mllm.paper.fusion_arms:{name}"


EXPERIMENTS: Mapping[str, Experiment] = {
    "table19": Experiment(
        title="Frame level, by prompt (windows of 8 frames)",
        kind=_ASKED,
        source="Table 19",
        level=Level.FRAME,
        aggregation="coverage",
        prompts=_PROMPTS,
        windows=("8",),
    ),
    "table20": Experiment(
        title="Frame level, by window",
        kind=_ASKED,
        source="Table 20",
        level=Level.FRAME,
        aggregation="coverage",
        prompts=("transcript_def1",),
        windows=("8", "24", "48", "80", "120", "192"),  # 8 is Table 19's row of the same prompt
    ),
    "table21": Experiment(
        title="Video level, by prompt (8 frames of the whole video)",
        kind=_ASKED,
        source="Table 21",
        level=Level.VIDEO,
        aggregation="video",
        prompts=_PROMPTS,
    ),
    "prompts": Experiment(title="Prompts of your own", kind=_ASKED, source=None, aside="prompts of your own"),
    "table5": _of_frames("Frame level, visual backbones without and with context", "Table 5", "backbones"),
    "table6": _of_frames("Frame level, modalities (LFAN)", "Table 6", "modalities"),
    "table7": _of_frames("Frame level, fusions", "Table 7", "fusions"),
    "table14": Experiment(title="cost", kind=_MEASURED, source="Table 14"),
    "table15": _of_videos("Video level, visual backbones without and with context", "Table 15", "backbones"),
    "table16": _of_videos("Video level, modalities (LFAN)", "Table 16", "modalities"),
    "table17": _of_videos("Video level, fusions", "Table 17", "fusions"),
    "figure12": Experiment(
        title="length of the context, visual modality with a TCN",
        kind=_WINDOWED,
        source="Figure 12",
        level=Level.FRAME,
        aggregation="coverage",
    ),
    "table22": Experiment(
        title="adaptation to each participant",
        kind=_ADAPTED,
        source="Tables 22 to 26",
        level=Level.FRAME,
        aside="with 23 to 26 and figure 13",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRequest:
    """What the user asks for.

    Args:
        settings: Of ``bah-mllm run``: ``data``, ``split``, ``out``, ``windows`` ...; None means "not given".
        config_file: As for ``bah-mllm run``.
        features: Folder that ``bah-mllm features`` wrote.
        seeds: At least one.
        overrides: Of every recipe (``--set``).
        source: Folder of a trained model to adapt; None trains one.
        target_split: How a target's frames are divided: ``frame`` as in the paper, ``segment`` or ``video``.
        workers: Processes of adaptation.
        n_draws: Bootstrap draws.
        unanswered: How items without an answer are judged.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    config_file: Path | None = field(default=None, metadata={"option": "--config"})
    features: Path = field(default=Path("features"), metadata={"option": "--features"})
    seeds: Sequence[int] = field(default=(0,), metadata={"option": "--seeds"})
    overrides: Sequence[str] = field(default=(), metadata={"option": "--set"})
    source: Path | None = field(default=None, metadata={"option": "--source"})
    target_split: str = field(default="frame", metadata={"option": "--target-split"})
    workers: int = field(default=1, metadata={"option": "--workers"})
    n_draws: int = 1000
    unanswered: Unanswered = field(default=Unanswered.LEAVE_OUT, metadata={"option": "--unanswered"})

    @property
    def data(self) -> str | None:
        """Return the root of the data set; None is the demo set."""
        return self.settings.get("data")

    @property
    def split(self) -> str | None:
        """Return whose videos are judged; None is ``test``."""
        return self.settings.get("split")

    def out(self, default: str) -> Path:
        """Return the folder for all that the experiment writes."""
        return Path(self.settings.get("out") or default)

    def windows_frames(self, name: str) -> tuple[int, ...]:
        """Return the windows that the user names, in frames.

        Args:
            name: Of the experiment, for the message.

        Raises:
            ConfigError: One is given in seconds.
        """
        frames = [Length.parse(text).frames for text in self.settings.get("windows") or []]
        if None in frames:
            raise ConfigError(f"The windows of {name} are counted in frames.", remedy="Write --window 120.")
        return tuple(one for one in frames if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished table.

    Args:
        folder: Where ``NAME.md`` and ``NAME.json`` go.
        record: Plain values: what the JSON holds.
        markdown: The table in the paper's layout.
        has_failures: Whether rows or targets failed.
        show: Prints the result; None prints the Markdown.
    """

    folder: Path
    record: Mapping[str, Any]
    markdown: str
    has_failures: bool = False
    show: Callable[[], None] | None = None


def names_by_half() -> dict[str, list[str]]:
    """Return the names of the experiments under their half, with what stands beside them in brackets."""
    halves: dict[str, list[str]] = {}
    for name, experiment in EXPERIMENTS.items():
        aside = f" ({experiment.aside})" if experiment.aside else ""
        halves.setdefault(experiment.kind.half, []).append(name + aside)
    return halves


def find_experiment(name: str) -> Experiment:
    """Return an experiment by its name.

    Raises:
        ConfigError: There is none.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f"There is no experiment {name!r}.", remedy=f"Choose one of: {', '.join(EXPERIMENTS)}.")
    return EXPERIMENTS[name]


def run_experiment(name: str, request: ExperimentRequest, *, json_path: str | None) -> bool:
    """Run or resume everything that an experiment needs, print its table and write it as ``NAME.md`` and ``NAME.json``.

    Args:
        name: A key of ``EXPERIMENTS``.
        request: What the user asks for.
        json_path: Also write the table as JSON (``-`` for stdout) instead of printing it.

    Returns:
        Whether any row or target failed.

    Raises:
        BahError: There is no such experiment, it does not take what is asked for, or nothing can be run.
    """
    experiment = find_experiment(name)
    _refuse_strange(name, experiment.kind, request)
    check_json_path(json_path)
    make = load_named({name: experiment.kind.flow}, name, kind="experiment")
    outcome: Outcome = make(name, experiment, request)
    record = dict(outcome.record)
    outcome.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(outcome.folder / f"{name}.md", outcome.markdown.encode())
    write_json(record, str(outcome.folder / f"{name}.json"))
    say(f"the table is in {outcome.folder / f'{name}.md'}")
    if json_path is not None:
        write_json(record, json_path)
    elif outcome.show is not None:
        outcome.show()
    else:
        tell(outcome.markdown)
    return outcome.has_failures


def _refuse_strange(name: str, kind: Kind, request: ExperimentRequest) -> None:
    """Refuse options of other experiments: silently left out, they would pass for something that was done."""
    for one in fields(request):
        option = one.metadata.get("option")
        if option and one.name not in kind.options and getattr(request, one.name) != one.default:
            raise ConfigError(f"The experiment {name} takes no {option}.", remedy=f"Leave {option} out.")
    if kind.settings is None:
        return
    from bah_mllm.pipeline.config import flag_of

    own = [one.metadata["option"] for one in fields(request) if one.name in kind.options]
    taken = [*map(flag_of, kind.settings), *own]
    for setting, value in sorted(request.settings.items()):
        if value not in (None, []) and setting not in kind.settings:
            raise ConfigError(
                f"The experiment {name} takes no {flag_of(setting)}.", remedy=f"Give only: {', '.join(taken)}."
            )
