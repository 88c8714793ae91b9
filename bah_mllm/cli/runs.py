"""``bah-mllm run`` and ``bah-mllm status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["run", "status"]


def run(  # noqa: PLR0913 - one parameter an option
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
