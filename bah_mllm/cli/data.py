"""``bah-mllm data check | stats`` and ``bah-mllm transcribe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import DataCommand, Json, Root
from bah_mllm.core.saying import tell

__all__ = ["app", "transcribe"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at a data set before using it.")


@app.command(cls=DataCommand)
def check(
    root: Root = None,
    *,
    decode: Annotated[bool, typer.Option("--decode", help="Also read every video file through.")] = False,
    json_path: Json = None,
) -> int:
    """Tell what is there, what is missing, which tasks are possible, and every broken file with its reason.

    Example: bah-mllm data check BAH_DB
    """
    from bah_mllm.inspection.data_report import print_check

    return 2 if print_check(root, decode=decode, json_path=json_path) else 0


@app.command(cls=DataCommand)
def stats(root: Root = None, *, json_path: Json = None) -> None:
    """Print counts, prevalence and the share of A/H per question and split.

    Example: bah-mllm data stats BAH_DB
    """
    from bah_mllm.inspection.data_report import print_stats

    print_stats(root, json_path=json_path)


def transcribe(
    target: Annotated[Path, typer.Argument(help="Data set root, manifest or folder of videos.")],
    *,
    recogniser: Annotated[str, typer.Option(help="faster-whisper or openai-whisper.")] = "faster-whisper",
    model: Annotated[str, typer.Option(help="Name or path of a Whisper model; the paper took large-v3.")] = "large-v3",
    download: Annotated[bool, typer.Option("--download", help="Fetch a named model that is not here.")] = False,
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default="everything")] = None,
    language: Annotated[
        str | None,
        typer.Option(
            help="Code or name of a language that the model knows (en, fr, de, german).",
            show_default="told apart by the model",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    clean: Annotated[bool, typer.Option("--clean", help="Do not ask the model to write fillers down.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace words that are there already.")] = False,
) -> int:
    """Write words with times for every video, where the data set reads them back; the same command goes on.

    Example: bah-mllm transcribe BAH_DB --model large-v3 --download
    """
    from bah_mllm.pipeline.transcribing import transcribe_videos
    from bah_mllm.transcripts.recognition import open_recogniser

    hears = open_recogniser(recogniser, model, download=download, device=device, keep_fillers=not clean)
    done = transcribe_videos(target, hears, split=split, language=language, overwrite=overwrite)
    tell(
        f"{done.n_written} written ({done.n_silent} without a word), {done.n_kept} kept, {done.n_unreadable} unreadable"
    )
    return 3 if done.n_unreadable else 0
