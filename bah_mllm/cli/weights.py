"""``bah-mllm weights import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import DataCommand
from bah_mllm.cli.parsing import require_supervised
from bah_mllm.core.saying import say, tell

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Take over weights that others trained.")


@app.callback()
def _weights() -> None:
    """Make ``import`` a command of its own although it is the only one."""


@app.command("import", cls=DataCommand)
def import_(
    source: Annotated[Path, typer.Argument(help="model.pt of the authors' published code, or the folder with it.")],
    *,
    model: Annotated[
        str, typer.Option(help="lfan, can, mt or jmt; or a backbone: resnet18 ... resnet152, ir50 or apvit.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    window_frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="Frames of LFAN's windows.", show_default="window_length in config.yml beside the file"
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of features to predict with: makes OUT a folder that `predict` takes. Fusions only."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data set of these features.", show_default="the demo set")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a value of the model's recipe, with --features.")
    ] = None,
) -> None:
    """Convert weights of the published baselines, faults of their models included, into a folder of ours.

    Example: bah-mllm weights import best-model/model.pt --model lfan --out trained/authors-lfan --features features
    """
    require_supervised()
    from supervised.models.published_weights import import_weights

    folder = out if features is None else out / "imported"
    imported = import_weights(source, model=model, out=folder, window_frames=window_frames)
    for note in imported.notes:
        say(f"note: {note}")
    if features is not None:
        from supervised.fusion.train import adopt
        from supervised.reading import read_recipe
        from supervised.training.requests import TrainRequest

        recipe = read_recipe(model, ["model.variant=faithful", *imported.windows, *(set_ or ())])
        adopt(folder, recipe, TrainRequest(data, out, features))
    say(f"{imported.model}, {imported.n_parameters:,} parameters -> {out}")
    tell(str(out))
