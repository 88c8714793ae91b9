"""``bah-mllm run`` and ``bah-mllm status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["run", "status"]

_WHAT, _WINDOWS, _MODEL, _ANSWER, _WHERE = "What", "Windows and frames", "Model", "Answers", "Where and how"


def run(  # noqa: PLR0913 - one parameter an option
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Prompt name or file; repeat for several. [default: transcript_def1]", rich_help_panel=_WHAT),
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option(
            help="Length in frames (120) or seconds (5s); repeat for several. [default: 120]", rich_help_panel=_WINDOWS
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set root, manifest (CSV, Parquet) or folder of videos. [default: the demo set]",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to run. [default: test, or everything]", rich_help_panel=_WHAT)
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(help="frame (windows over each video) or video. [default: frame]", rich_help_panel=_WHAT),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first N videos of the split.", rich_help_panel=_WHAT)
    ] = None,
    prompts_dir: Annotated[
        list[str] | None, typer.Option(help="Folder with prompt files of your own.", rich_help_panel=_WHAT)
    ] = None,
    hop: Annotated[
        str | None,
        typer.Option(help="Start to start, frames or seconds. [default: the window]", rich_help_panel=_WINDOWS),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames sampled from a window. [default: 8]", rich_help_panel=_WINDOWS)
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="linspace, hf or center. [default: linspace]", rich_help_panel=_WINDOWS)
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            help="exact (as the model's processor), fast or upstream. [default: exact]", rich_help_panel=_WINDOWS
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="video-llava, text or scripted. [default: video-llava; demo set: text]", rich_help_panel=_MODEL
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint folder, hub id or embedded model (`models list`).", rich_help_panel=_MODEL),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of a hub model.", rich_help_panel=_MODEL)] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda[:N]. [default: auto]", rich_help_panel=_MODEL)
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="auto, float32, bfloat16 or float16. [default: auto]", rich_help_panel=_MODEL),
    ] = None,
    quantize: Annotated[str | None, typer.Option(help="4bit or 8bit.", rich_help_panel=_MODEL)] = None,
    attention: Annotated[
        str | None, typer.Option(help="sdpa or eager. [default: sdpa]", rich_help_panel=_MODEL)
    ] = None,
    wrapper: Annotated[
        str | None, typer.Option(help="Text around the prompt. [default: the engine's]", rich_help_panel=_MODEL)
    ] = None,
    chat_template: Annotated[
        str | None, typer.Option(help="auto, chat or raw, for --engine text. [default: auto]", rich_help_panel=_MODEL)
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            help="score (exact label probabilities) or generate (parsed reply, as the paper). [default: score]",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    parser: Annotated[
        str | None, typer.Option(help="default or upstream, for generate. [default: default]", rich_help_panel=_ANSWER)
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Length of a reply in tokens. [default: 10]", rich_help_panel=_ANSWER)
    ] = None,
    both_orders: Annotated[
        bool | None,
        typer.Option("--both-orders", help="Also ask with the label order swapped.", rich_help_panel=_ANSWER),
    ] = None,
    content_free: Annotated[
        bool | None,
        typer.Option("--content-free", help="Also ask with the content emptied.", rich_help_panel=_ANSWER),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="Run folder; the same command resumes it. [default: runs/<id>]", rich_help_panel=_WHERE),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Windows that the model takes at once. [default: 1]", rich_help_panel=_WHERE)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed. [default: 0]", rich_help_panel=_WHERE)] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML with these settings, or the run.json of a run.", rich_help_panel=_WHERE)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print plan, first prompt, time and memory; run nothing.", rich_help_panel=_WHERE
        ),
    ] = False,
) -> int:
    """Ask a model about every window of every video; write predictions that `evaluate` judges.

    Example: bah-mllm run --prompt transcript_def1 --window 120
    """
    flags = {
        "prompts": prompt, "windows": window, "data": data, "split": split, "level": level, "limit": limit,
        "prompts_dirs": prompts_dir, "hop": hop, "frames": frames, "sampler": sampler, "resize": resize,
        "engine": engine, "model": model, "revision": revision, "device": device, "dtype": dtype,
        "quantize": quantize, "attention": attention, "wrapper": wrapper, "chat_template": chat_template,
        "answer": answer, "parser": parser, "max_new_tokens": max_new_tokens, "both_orders": both_orders,
        "content_free": content_free, "out": out, "batch": batch, "seed": seed,
    }  # fmt: skip
    from bah_mllm.pipeline.config import load_run_config
    from bah_mllm.pipeline.dry_run import dry_run as print_plan
    from bah_mllm.pipeline.zero_shot import run as run_zero_shot

    resolved = load_run_config(flags, config)
    if dry_run:
        print_plan(resolved)
        return 0
    summary = run_zero_shot(resolved)
    typer.echo(str(summary.folder))
    return 3 if summary.n_failed else 0


def status(
    folder: Annotated[Path, typer.Argument(help="Run folder.")],
    *,
    json_path: Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")] = None,
) -> None:
    """Tell how far a run is, what failed and where the time went.

    Example: bah-mllm status runs/demo
    """
    from bah_mllm.pipeline.status import print_status

    print_status(folder, json_path=json_path)
