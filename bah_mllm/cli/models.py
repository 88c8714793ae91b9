"""``bah-mllm models get | list``."""

from __future__ import annotations

from typing import Annotated

import typer

from bah_mllm.core.saying import say, tell

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Get the small models that the toolkit can embed.")


@app.command()
def get(name: Annotated[str, typer.Argument(help="A name that `models list` prints.")]) -> None:
    """Put a model into the cache: once fetched or built, it works offline.

    Example: bah-mllm models get smollm2
    """
    from bah_mllm.engines.models import get_model

    get_model(name, progress=say)


@app.command("list")
def list_() -> None:
    """List the models, whether they are there, and their licences.

    Example: bah-mllm models list
    """
    from bah_mllm.engines.models import list_models

    for state in list_models():
        model = state.model
        ready = "ready" if state.is_ready else f"bah-mllm models get {model.name}"
        tell(f"{model.name}: {model.summary}")
        tell(f"  engine {model.engine}, {model.licence}, {model.size_mb} MB, {ready}")
