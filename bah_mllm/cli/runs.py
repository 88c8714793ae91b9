"""``bah-mllm run``, ``experiment``, ``status``, ``diff`` and ``import``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bah_mllm.cli.parsing import parse_seeds, require_supervised
from bah_mllm.core.errors import ConfigError
from bah_mllm.core.timeline import Length

__all__ = ["diff", "experiment", "import_", "run", "status"]


def run(
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Prompt name or file; repeat for several. [default: transcript_def1]"),
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option(help="Length in frames (120) or seconds (5s); repeat for several. [default: 120]"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set root, manifest (CSV, Parquet) or folder of videos. [default: the demo set]",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to run. [default: test, or everything]")] = None,
    level: Annotated[
        str | None,
        typer.Option(help="frame (windows over each video) or video. [default: frame]"),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N videos of the split.")] = None,
    prompts_dir: Annotated[list[str] | None, typer.Option(help="Folder with prompt files of your own.")] = None,
    hop: Annotated[
        str | None,
        typer.Option(help="Start to start, frames or seconds. [default: the window]"),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames sampled from a window. [default: 8]")] = None,
    sampler: Annotated[str | None, typer.Option(help="linspace, hf or center. [default: linspace]")] = None,
    resize: Annotated[
        str | None,
        typer.Option(help="exact (as the model's processor), fast or upstream. [default: exact]"),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="video-llava, text or scripted. [default: video-llava; demo set: text]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint folder, hub id or embedded model (`models list`)."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:N]. [default: auto]")] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="auto, float32, bfloat16 or float16. [default: auto]"),
    ] = None,
    quantize: Annotated[str | None, typer.Option(help="4bit or 8bit.")] = None,
    attention: Annotated[str | None, typer.Option(help="sdpa or eager. [default: sdpa]")] = None,
    wrapper: Annotated[str | None, typer.Option(help="Text around the prompt. [default: the engine's]")] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="auto, chat or raw, for --engine text. [default: auto]")
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            help="score (exact label probabilities) or generate (parsed reply, as the paper). [default: score]",
        ),
    ] = None,
    parser: Annotated[str | None, typer.Option(help="default or upstream, for generate. [default: default]")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Length of a reply in tokens. [default: 10]")] = None,
    both_orders: Annotated[
        bool | None,
        typer.Option("--both-orders", help="Also ask with the label order swapped."),
    ] = None,
    content_free: Annotated[
        bool | None,
        typer.Option("--content-free", help="Also ask with the content emptied."),
    ] = None,
    cues: Annotated[
        str | None,
        typer.Option(
            help="Folder that `cues extract` wrote; shuffled, or shuffled:FOLDER, shows somebody else's, a control. "
            "[default: on the demo set, its own]"
        ),
    ] = None,
    cue_modalities: Annotated[
        list[str] | None, typer.Option(help="face, voice, words, body or clash; repeat for several. [default: all]")
    ] = None,
    cue_tokens_per_10s: Annotated[int | None, typer.Option(help="Budget of cue text. [default: 60]")] = None,
    control: Annotated[
        str | None,
        typer.Option(help="no-video, black-video, no-transcript, shuffled-transcript or shuffled-cues: a control run."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="Run folder; the same command resumes it. [default: runs/<id>]"),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Windows that the model takes at once. [default: 1]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed. [default: 0]")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML with these settings, or the run.json of a run.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print plan, first prompt, time and memory; run nothing."),
    ] = False,
) -> int:
    """Ask a model about every window of every video; write predictions that `evaluate` judges.

    Example: bah-mllm run --prompt transcript_def1 --window 120
    """
    flags = _as_settings(locals())
    from bah_mllm.inspection.dry_run import dry_run as print_plan
    from bah_mllm.pipeline.config import load_run_config
    from bah_mllm.pipeline.zero_shot import run as run_zero_shot

    resolved = load_run_config(flags, config)
    if dry_run:
        print_plan(resolved)
        return 0
    summary = run_zero_shot(resolved)
    typer.echo(str(summary.folder))
    return 3 if summary.n_failed else 0


# Options of ``run`` whose names are singular or differ, since they may be repeated; the others are settings by name.
_SETTING_OF_OPTION = {"prompt": "prompts", "window": "windows", "prompts_dir": "prompts_dirs"}
_NOT_SETTINGS = ("config", "dry_run", "name", "draws", "json_path")


def _as_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    return {_SETTING_OF_OPTION.get(key, key): value for key, value in options.items() if key not in _NOT_SETTINGS}


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            help="Zero-shot: table19, table20, table21, or prompts for prompts of your own. Supervised: table5, "
            "table6, table7, table14, table15, table16, table17, figure12. Adaptation: table22, with 23 to 26 and "
            "figure 13."
        ),
    ],
    *,
    features: Annotated[Path, typer.Option(help="Supervised only: folder that `bah-mllm features` wrote.")] = Path(
        "features"
    ),
    seeds: Annotated[str, typer.Option(help="Supervised only: seeds as A:B (half open), or A,B,C.")] = "0",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Supervised only: replace a value of every recipe; may repeat.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Adaptation only: folder of a trained model. [default: trained here]")
    ] = None,
    target_split: Annotated[
        str, typer.Option(help="Adaptation only: frame (as in the paper; leaks), segment or video.")
    ] = "frame",
    workers: Annotated[int, typer.Option(help="Adaptation only: processes.", min=1)] = 1,
    draws: Annotated[int, typer.Option(help="Bootstrap draws for the 95 % intervals; 0 for none.", min=0)] = 1000,
    json_path: Annotated[str | None, typer.Option("--json", help="Also write JSON to PATH, - for stdout.")] = None,
    config: Path | None = None,
    **run_options: Any,  # noqa: ANN401 - those of `run`; see below
) -> int:
    """Run all that a table of the paper needs, then print it in the paper's layout; the same command resumes it.

    Zero-shot tables take every option of `run`, but those that the table fixes. Supervised ones take --data, --split,
    --out and those named so; tables 5 and 15, 6 and 16, 7 and 17 share what they train. Adaptation also takes
    --features, --set (of every recipe, or of one as mmd:loop.epochs=1) and one of --seeds.

    Example: bah-mllm experiment table20 --data BAH_DB
    """
    supervised_only = {"--features": features != Path("features"), "--seeds": seeds != "0", "--set": bool(set_)}
    adaptation_only = {"--source": bool(source), "--target-split": target_split != "frame", "--workers": workers > 1}
    if name in _SUPERVISED:
        _refuse_given(name, adaptation_only)
        request = _supervised_request(name, _as_settings(run_options), features, parse_seeds(seeds), set_ or ())
        _supervised_experiment(name, {**request, "n_draws": draws}, json_path)
        return 0
    if name == "table22":
        request = _supervised_request(name, _as_settings(run_options), features, parse_seeds(seeds), set_ or ())
        more: dict[str, Any] = {"source": source, "target_split": target_split, "workers": workers}
        if not run_options.get("out"):
            more["out"] = Path(f"runs/table22-{target_split}")
        return _adaptation_experiment({**request, **more}, json_path)
    from bah_mllm.paper.prompts import EXPERIMENTS, run_experiment

    if name not in EXPERIMENTS:
        there = ", ".join((*EXPERIMENTS, *_SUPERVISED, "table22"))
        raise ConfigError(f"There is no experiment {name!r}.", remedy=f"Choose one of: {there}.")
    _refuse_given(name, supervised_only | adaptation_only)
    failed = run_experiment(name, _as_settings(run_options), config_file=config, n_draws=draws, json_path=json_path)
    return 3 if failed else 0


_SUPERVISED = ("table5", "table6", "table7", "table14", "table15", "table16", "table17", "figure12")


def _refuse_given(name: str, is_given: Mapping[str, bool]) -> None:
    """Refuse options of other experiments: silently left out, they would pass for something that was done."""
    strange = [option for option, given in is_given.items() if given]
    if strange:
        raise ConfigError(f"The experiment {name} takes no {strange[0]}.", remedy=f"Leave {strange[0]} out.")


def _supervised_request(
    name: str, settings: Mapping[str, Any], features: Path, seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return what a supervised experiment takes, and refuse options that are about language models."""
    taken = {"data", "split", "out", *(("windows",) if name in ("table14", "figure12") else ())}
    strange = sorted(key for key, value in settings.items() if value not in (None, []) and key not in taken)
    if strange:
        raise ConfigError(
            f"The experiment {name} takes no {strange[0]}.",
            remedy="Give --data, --split, --features, --seeds or --set.",
        )
    windows = [Length.parse(text).frames for text in settings.get("windows") or []]
    if None in windows:
        raise ConfigError(f"The windows of {name} are counted in frames.", remedy="Write --window 120.")
    return {
        "data": settings.get("data"),
        "split": settings.get("split"),
        "features": features,
        "out": Path(settings.get("out") or "runs/supervised"),
        "seeds": tuple(seeds),
        "overrides": tuple(overrides),
        "windows": tuple(windows),
    }


def _supervised_experiment(name: str, request: Mapping[str, Any], json_path: str | None) -> None:
    require_supervised()
    from bah_mllm.paper.fusion import ExperimentRequest, run_supervised_experiment
    from bah_mllm.pipeline.judging import evaluate

    run_supervised_experiment(name, ExperimentRequest(**request), judge=evaluate, json_path=json_path)


def _adaptation_experiment(request: Mapping[str, Any], json_path: str | None) -> int:
    require_supervised()
    from bah_mllm.core.json_output import check_json_path, write_json
    from bah_mllm.paper.adaptation import adaptation_experiment
    from supervised.adaptation.report import experiment_lines

    check_json_path(json_path)
    if len(request["seeds"]) != 1:
        raise ConfigError(
            f"The experiment table22 takes one seed, but got {len(request['seeds'])}.",
            remedy="Give one, and another --out for each: its deviations are over participants.",
        )
    kept = ("data", "split", "features", "overrides", "out", "source", "target_split", "workers")
    found = adaptation_experiment(seed=request["seeds"][0], **{name: request[name] for name in kept})
    if json_path is not None:
        write_json(found, json_path)
    else:
        typer.echo("\n".join(experiment_lines(found)))
    return 3 if found["failed"] else 0


def _take_options_of_run(command: Callable[..., int]) -> None:
    """Give a command the options of ``run``, which are written down once."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = {parameter.name for parameter in own} - {"config"}
    of_run = inspect.signature(run, eval_str=True).parameters.values()
    added = [parameter for parameter in of_run if parameter.name not in {*names, "dry_run"}]
    kept = [parameter for parameter in own if parameter.name != "config"]
    command.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]


_take_options_of_run(experiment)


def status(
    folder: Annotated[Path, typer.Argument(help="Run folder.")],
    *,
    json_path: Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")] = None,
) -> None:
    """Tell how far a run is, what failed and where the time went.

    Example: bah-mllm status runs/demo
    """
    from bah_mllm.inspection.status import print_status

    print_status(folder, json_path=json_path)


def diff(
    a: Annotated[Path, typer.Argument(help="Run folder.")],
    b: Annotated[Path, typer.Argument(help="Another run folder.")],
    *,
    json_path: Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")] = None,
) -> None:
    """Tell how two runs differ: the first manifest field that does, then rows, label flips and videos.

    Example: bah-mllm diff runs/a runs/b
    """
    from bah_mllm.inspection.differences import print_diff

    print_diff(a, b, json_path=json_path)


def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: video_id, p, and frame or start_frame, stop_frame.")],
    *,
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    data: Annotated[str | None, typer.Option(help="Data set. [default: the demo set]")] = None,
    split: Annotated[str | None, typer.Option(help="Split. [default: test, or everything]")] = None,
    system: Annotated[str | None, typer.Option(help="Name of the system. [default: the file's name]")] = None,
) -> None:
    """Bring predictions of another tool into a run folder, so that every command takes them.

    Example: bah-mllm import theirs.csv --data BAH_DB --out runs/theirs
    """
    from bah_mllm.exchange.importing import import_predictions

    import_predictions(file, data=data, split=split, system=system, out=out)
    typer.echo(str(out))
