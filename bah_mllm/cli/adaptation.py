"""``bah-mllm adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import Data, Features, Json, Seed
from bah_mllm.cli.parsing import require_supervised
from bah_mllm.core.saying import tell

__all__ = ["adapt"]


def adapt(
    *,
    recipe: Annotated[str, typer.Option(help="source_only, mmd, sub_based, shot, nrc, oracle, or a .toml file.")],
    out: Annotated[Path, typer.Option(help="Run folder; the same command resumes it.")],
    data: Data = None,
    features: Features = Path("features"),
    source: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model, or the source/ of another run.", show_default="trained here"),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split whose participants are the targets.", show_default="test, or everything")
    ] = None,
    target_split: Annotated[
        str, typer.Option(help="frame (as in the paper; leaks), segment or video: how a target's frames are divided.")
    ] = "frame",
    targets: Annotated[
        list[str] | None, typer.Option(help="Participant; repeat for several.", show_default="everybody in the split")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value of the recipe: options.tau=0.9; repeat for several."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; results do not depend on it.", min=1, max=1_000)] = 1,
    seed: Seed = 0,
    json_path: Json = None,
) -> int:
    """Adapt a model to each participant and judge it on their test frames. Exit code 3 where one failed.

    Example: bah-mllm adapt --recipe shot --data BAH_DB --out runs/shot --workers 2
    """
    require_supervised()
    from bah_mllm.core.json_output import check_json_path, write_json
    from bah_mllm.predictions import read_manifest
    from supervised.adaptation.report import summary_lines
    from supervised.flows.adapt import adapt as run
    from supervised.flows.adapt import make_request

    check_json_path(json_path)
    request = make_request(
        recipe,
        set_ or (),
        data=data,
        out=out,
        features=features,
        source=source,
        split=split,
        target_split=target_split,
        targets=tuple(targets) if targets else None,
        workers=workers,
        seed=seed,
    )
    record = run(request)
    if json_path is not None:
        write_json(record.model_dump(mode="json"), json_path)
    else:
        tell("\n".join(summary_lines(record)))
    return 3 if set(read_manifest(out).n_rows) - {"ok"} else 0
