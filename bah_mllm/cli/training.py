"""``bah-mllm train`` and ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import Data, Features, Seeds
from bah_mllm.cli.parsing import parse_seeds, require_supervised
from bah_mllm.core.saying import tell

__all__ = ["predict", "train"]


def train(
    *,
    recipe: Annotated[str, typer.Option(help="Name of a shipped recipe, or a .toml file.")],
    out: Annotated[Path, typer.Option(help="Folder for what is trained.")],
    data: Annotated[str | None, typer.Option(help="Data set with a train split.", show_default="the demo set")] = None,
    features: Features = Path("features"),
    cues: Annotated[Path | None, typer.Option(help="Folder that `cues extract` wrote.", show_default="none")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a value of the recipe: loop.lr=0.01; repeat for several.")
    ] = None,
    seeds: Seeds = "0",
) -> None:
    """Train a recipe; the same command goes on where it was killed, to the same weights.

    On several GPUs: accelerate launch --multi_gpu -m bah_mllm train ...; on several CPUs: torchrun.

    Example: bah-mllm train --recipe words_video --out trained/words
    """
    require_supervised()
    from supervised.flows.train import train as run
    from supervised.reading import read_recipe
    from supervised.training.processes import Shard
    from supervised.training.requests import TrainRequest

    resolved = read_recipe(recipe, set_ or ())
    run(resolved, TrainRequest(data, out, features, cues, parse_seeds(seeds)))
    if Shard.current().rank == 0:
        tell(str(out))


def predict(
    trained: Annotated[Path, typer.Argument(help="Folder that `bah-mllm train` wrote.")],
    *,
    out: Annotated[Path, typer.Option(help="Run folder; a folder of run folders where several seeds were trained.")],
    data: Data = None,
    split: Annotated[str | None, typer.Option(help="Split to predict.", show_default="test, or everything")] = None,
    features: Annotated[
        Path | None, typer.Option(help="Folder that `bah-mllm features` wrote.", show_default="the one trained on")
    ] = None,
    cues: Annotated[
        Path | None, typer.Option(help="Folder that `cues extract` wrote.", show_default="the one trained on")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds as A:B or A,B,C.", show_default="all trained")] = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
) -> int:
    """Write the predictions of what was trained, as rows that `evaluate` judges. Exit code 3 where videos failed.

    Example: bah-mllm predict trained/words --out runs/words
    """
    require_supervised()
    from bah_mllm.predictions import read_manifest
    from supervised.flows.predict import predict as run
    from supervised.training.requests import PredictRequest

    chosen = None if seeds is None else parse_seeds(seeds)
    folders = run(PredictRequest(trained, data, split, out, features, cues, chosen, device))
    for folder in folders:
        tell(str(folder))
    return 3 if any(set(read_manifest(folder).n_rows) - {"ok"} for folder in folders) else 0
