"""``bah-mllm data check | stats``."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at a data set before using it.")

_Root = Annotated[str | None, typer.Argument(help="Data set root, manifest or folder. [default: the demo set]")]
_Json = Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")]


@app.command()
def check(
    root: _Root = None,
    *,
    decode: Annotated[bool, typer.Option("--decode", help="Also read every video file through.")] = False,
    json_path: _Json = None,
) -> int:
    """Tell what is there, what is missing, which tasks are possible, and every broken file with its reason.

    Example: bah-mllm data check BAH_DB
    """
    from bah_mllm.pipeline.data_report import print_check

    return 2 if print_check(root, decode=decode, json_path=json_path) else 0


@app.command()
def stats(root: _Root = None, *, json_path: _Json = None) -> None:
    """Print counts, prevalence and the share of A/H per question and split.

    Example: bah-mllm data stats BAH_DB
    """
    from bah_mllm.pipeline.data_report import print_stats

    print_stats(root, json_path=json_path)
