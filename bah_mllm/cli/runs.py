"""``bah-mllm run``, ``experiment``, ``status``, ``diff`` and ``import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import Data, Draws, FramesFrom, Json, Split
from bah_mllm.cli.parsing import parse_seeds, require_supervised
from bah_mllm.core.records import Unanswered
from bah_mllm.core.saying import one_of, tell
from bah_mllm.paper.experiments import ExperimentRequest, find_experiment, names_by_half, run_experiment

__all__ = ["diff", "experiment", "import_", "run", "status"]

_Config = Annotated[Path | None, typer.Option(help="TOML with these settings, or the run.json of a run.")]


def run(
    context: typer.Context,
    *,
    config: _Config = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print plan, first prompt, time and memory; run nothing."),
    ] = False,
) -> int:
    """Ask a model about every window of every video; write predictions that `evaluate` judges.

    Example: bah-mllm run --prompt transcript_def1 --window 120
    """
    from bah_mllm.inspection.dry_run import dry_run as print_plan
    from bah_mllm.pipeline.config import load_run_config
    from bah_mllm.pipeline.zero_shot import run as run_zero_shot

    resolved = load_run_config(context.obj, config)
    if dry_run:
        print_plan(resolved)
        return 0
    summary = run_zero_shot(resolved)
    tell(str(summary.folder))
    return 3 if summary.n_failed else 0


def experiment(
    context: typer.Context,
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
        Path | None, typer.Option(help="Adaptation only: folder of a trained model.", show_default="trained here")
    ] = None,
    target_split: Annotated[
        str, typer.Option(help="Adaptation only: frame (as in the paper; leaks), segment or video.")
    ] = "frame",
    workers: Annotated[int, typer.Option(help="Adaptation only: processes.", min=1, max=1_000)] = 1,
    draws: Draws = 1000,
    unanswered: Annotated[
        Unanswered,
        typer.Option(
            metavar="<str>",
            help=f"{one_of(Unanswered)}: what becomes of items without an answer, as in `evaluate`; not for "
            "adaptation, cost and figure 12.",
        ),
    ] = Unanswered.LEAVE_OUT,
    json_path: Annotated[str | None, typer.Option("--json", help="Also write JSON to PATH, - for stdout.")] = None,
    config: _Config = None,
) -> int:
    """Run all that a table of the paper needs, then print it in the paper's layout; the same command resumes it.

    Zero-shot tables take every option of `run`, but those that the table fixes. Supervised ones take --data, --split,
    --out and those named so; tables 5 and 15, 6 and 16, 7 and 17 share what they train. Adaptation also takes
    --features, --set (of every recipe, or of one as mmd:loop.epochs=1) and one of --seeds.

    Example: bah-mllm experiment table20 --data BAH_DB
    """
    request = ExperimentRequest(
        settings=context.obj,
        config_file=config,
        features=features,
        seeds=parse_seeds(seeds),
        overrides=tuple(set_ or ()),
        source=source,
        target_split=target_split,
        workers=workers,
        n_draws=draws,
        unanswered=unanswered,
    )
    if find_experiment(name).kind.trains:
        require_supervised()
    return 3 if run_experiment(name, request, json_path=json_path) else 0


def status(
    folder: Annotated[Path, typer.Argument(help="Run folder.")],
    *,
    json_path: Json = None,
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
    json_path: Json = None,
) -> None:
    """Tell how two runs differ: the first manifest field that does, then rows, label flips and videos.

    Example: bah-mllm diff runs/a runs/b
    """
    from bah_mllm.inspection.differences import print_diff

    print_diff(a, b, json_path=json_path)


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, ...: video_id, p, and frame, or start and stop.")],
    *,
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    data: Data = None,
    split: Split = None,
    system: Annotated[str | None, typer.Option(help="Name of the system.", show_default="the file's name")] = None,
    frames_from: FramesFrom = None,
) -> None:
    """Bring predictions of another tool into a run folder, so that every command takes them.

    Example: bah-mllm import theirs.csv --data BAH_DB --out runs/theirs
    """
    from bah_mllm.exchange.importing import import_predictions

    import_predictions(file, data=data, split=split, system=system, out=out, frames_from=frames_from)
    tell(str(out))
