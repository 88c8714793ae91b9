"""What the help says of options is what they do: defaults, choices, and the same settings for run and experiment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

import pytest
import typer

from bah_mllm.cli.app import app, invoke
from bah_mllm.cli.options import RunSettingsCommand
from bah_mllm.engines import ENGINES, EngineOptions
from bah_mllm.pipeline.config import OPTION_OF_SETTING, RunConfig, Unset

COMMAND = typer.main.get_command(app)


def commands(group: Any = COMMAND, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        inner = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, inner)
        else:
            yield inner, command


def parameters(command: Any) -> list[Any]:
    return [one for one in command.get_params(typer.Context(command)) if one.name != "help"]


def options(command: str) -> dict[str, Any]:
    return {parameter.name: parameter for parameter in parameters(dict(commands())[command])}


def shown_default(parameter: Any) -> str | None:
    """Return what the printed page says behind "default:", read from the page."""
    record = parameter.get_help_record(typer.Context(COMMAND))
    found = re.search(r"\[(?:.*; )?default: (.*?)(?:; [^;]*[<>][^;]*)?(?:; required)?\]$", record[1] if record else "")
    return found[1] if found else None


EVERY = [pytest.param(p, id=f"{name} {p.name}") for name, command in commands() for p in parameters(command)]


@pytest.mark.parametrize("parameter", EVERY)
def test_the_default_in_the_help_is_the_real_one(parameter: Any) -> None:
    """Words in brackets say what happens where nothing is given; anything else is the value itself."""
    assert "[default" not in (parameter.help or ""), "typed by hand"
    shown, real = shown_default(parameter), parameter.default
    if shown is None:
        assert real in (None, False, [], ""), "a default that nobody is told"
    elif shown.startswith("("):
        assert real is None, "words that hide a default"
    else:
        assert shown == (", ".join(map(str, real)) if isinstance(real, (list, tuple)) else str(real))


@pytest.mark.parametrize("command", ["run", "experiment"])
def test_every_setting_of_a_run_is_an_option_with_the_fields_default(command: str) -> None:
    there = options(command)
    for name, field in RunConfig.model_fields.items():
        parameter = there[OPTION_OF_SETTING.get(name, name)]
        default = RunConfig.model_fields[name].default
        assert parameter.opts == [f"--{OPTION_OF_SETTING.get(name, name).replace('_', '-')}"]
        assert parameter.multiple == isinstance(default, tuple)
        assert parameter.default == (list(default) if isinstance(default, tuple) else default)
        assert parameter.help.startswith((field.description or "").partition(";")[0].rstrip("."))
        assert (default is None) >= any(isinstance(one, Unset) for one in field.metadata)


def test_experiment_takes_what_run_takes_except_the_dry_run() -> None:
    of_run, of_experiment = options("run"), options("experiment")
    assert set(of_run) - set(of_experiment) == {"dry_run"}
    assert all(of_run[name].help == of_experiment[name].help for name in set(of_run) & set(of_experiment))


def test_the_engine_is_given_what_the_run_is_by_default() -> None:
    """Whatever ``EngineOptions`` has, but one, is a setting, and written once."""
    from bah_mllm.pipeline.setup import engine_options

    assert engine_options(RunConfig()) == EngineOptions()
    changed = {
        "model": "m", "revision": "r", "device": "cpu", "dtype": "float16", "quantize": "8bit", "attention": "eager",
        "batch": 3, "frames": 5, "wrapper": "w", "chat_template": "raw", "seed": 9,
    }  # fmt: skip
    handed_on = engine_options(RunConfig(**changed))
    assert [getattr(handed_on, option.name) for option in fields(EngineOptions)] == [
        "m", "r", "cpu", "float16", "8bit", "eager", 3, 5, "w", "raw", 1024, 9,
    ]  # fmt: skip


def test_only_what_stands_on_the_command_line_counts_as_given() -> None:
    seen: list[dict[str, Any]] = []

    def command(context: typer.Context, *, config: str | None = None) -> None:
        seen.append(context.obj)

    trial = typer.Typer()
    trial.command(cls=RunSettingsCommand)(command)
    for line in (["--frames", "8", "--prompt", "a", "--prompt", "b", "--both-orders"], []):
        typer.main.get_command(trial).main(args=line, standalone_mode=False)
    assert seen == [{"prompts": ["a", "b"], "frames": 8, "both_orders": True}, {}], "a default given is given"


def names_in(command: str, option: str) -> set[str]:
    """Return the words of an option's help that could be names."""
    return set(re.findall(r"[\w-]+", options(command)[option].help))


def test_lists_in_the_help_are_those_of_the_program() -> None:
    from bah_mllm.core.records import Variant
    from bah_mllm.cues.rendering import MODALITIES
    from bah_mllm.evaluation.calibration import STEPS
    from bah_mllm.media import RESIZERS, SAMPLERS
    from bah_mllm.pipeline.config import CueModality
    from bah_mllm.scoring import PARSERS
    from bah_mllm.transcripts.recognition import RECOGNISERS
    from supervised.adaptation.protocol import TARGET_SPLITS
    from supervised.features.crops import DETECTORS
    from supervised.models.backbones import BACKBONES

    assert get_args(CueModality) == MODALITIES
    assert get_args(RunConfig.model_fields["sampler"].annotation) == tuple(SAMPLERS)
    assert get_args(RunConfig.model_fields["resize"].annotation) == tuple(RESIZERS)
    for command, option, names in (
        ("run", "sampler", SAMPLERS),
        ("run", "resize", RESIZERS),
        ("run", "engine", ENGINES),
        ("run", "parser", PARSERS),
        ("run", "cue_modalities", MODALITIES),
        ("cues render", "modality", MODALITIES),
        ("prompts render", "variant", Variant),
        ("transcribe", "recogniser", RECOGNISERS),
        ("features", "detector", DETECTORS),
        ("features", "visual", BACKBONES),
        ("adapt", "target_split", TARGET_SPLITS),
        ("experiment", "target_split", TARGET_SPLITS),
        ("evaluate", "calibrate", STEPS),
    ):
        assert set(names) <= names_in(command, option), f"{command} --{option}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "p.csv", "--seed", "-5"),
        ("evaluate", "p.csv", "--seed", "4294967296"),
        ("evaluate", "p.csv", "--draws", "1000000000000"),
        ("evaluate", "p.csv", "--draws", "-1"),
        ("evaluate", "p.csv", "--draws", "9" * 5000),
        ("evaluate", "p.csv", "--threshold", "nan"),
        ("evaluate", "p.csv", "--close-gap", "99999999999999999999"),
        ("compare", "a.csv", "b.csv", "--draws", "0"),
        ("compare", "a.csv", "b.csv", "--seed", "-1"),
        ("run", "--seed", "-1"),
        ("run", "--seed", "9" * 400),
        ("run", "--batch", "0"),
        ("run", "--limit", "999999999999"),
        ("run", "--window", "9" * 400),
        ("run", "--window", "0"),
        ("run", "--hop", "1e400s"),
        ("run", "--max-new-tokens", "1000000000000"),
        ("experiment", "table20", "--draws", "1000000000000"),
        ("experiment", "table20", "--seeds", "0:1000000000000"),
        ("train", "--recipe", "words_video", "--out", "t", "--seeds", "0:1000000000000"),
        ("train", "--recipe", "words_video", "--out", "t", "--seeds", "-1"),
        ("train", "--recipe", "words_video", "--out", "t", "--seeds", "9" * 5000),
        ("train", "--recipe", "words_video", "--out", "t", "--set", "n_trees=1000000000000"),
        ("train", "--recipe", "words_video", "--out", "t", "--set", "seed=" + "9" * 5000),
        ("train", "--recipe", "lfan", "--out", "t", "--set", "loop.lr=inf"),
        ("adapt", "--recipe", "shot", "--out", "t", "--seed", "99999999999"),
        ("adapt", "--recipe", "shot", "--out", "t", "--workers", "1000000"),
        ("features", "--batch", "0"),
        ("features", "--workers", "99999999"),
        ("cues", "extract", "v.mp4", "--out", "c", "--face-hz", "nan"),
        ("cues", "extract", "v.mp4", "--out", "c", "--body-hz", "0"),
        ("cues", "score", "--tolerance", "inf"),
        ("bench", "evaluator", "--seed", "-3"),
    ],
)
def test_a_number_that_nothing_could_use_is_refused_before_any_work(arguments, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    problem, remedy = err.splitlines()
    assert problem.startswith("error: ")
    assert remedy.startswith("  try: ")
    assert len(problem) < 7_000
    assert not list(tmp_path.iterdir())
