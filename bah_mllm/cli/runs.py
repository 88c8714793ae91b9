"""``bah-mllm run``, ``experiment``, ``status``, ``diff`` and ``import``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bah_mllm.cli.parsing import parse_seeds, require_supervised
from bah_mllm.paper.experiments import ExperimentRequest, find_experiment, names_by_half, run_experiment

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
        typer.Argument(help=" ".join(f"{half}: {', '.join(names)}." for half, names in names_by_half().items())),
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
    request = ExperimentRequest(
        settings=_as_settings(run_options),
        config_file=config,
        features=features,
        seeds=parse_seeds(seeds),
        overrides=tuple(set_ or ()),
        source=source,
        target_split=target_split,
        workers=workers,
        n_draws=draws,
    )
    if find_experiment(name).kind.trains:
        require_supervised()
    return 3 if run_experiment(name, request, json_path=json_path) else 0


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
