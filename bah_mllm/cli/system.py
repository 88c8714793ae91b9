"""``bah-mllm doctor`` and ``bench``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bah_mllm.cli.parsing import parse_seeds, require_supervised

__all__ = ["bench", "doctor"]


def doctor(
    *, json_path: Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")] = None
) -> int:
    """Tell what this installation can do, what is missing and what to do about it; exit code 1 on a problem.

    Example: bah-mllm doctor
    """
    from bah_mllm.core.json_output import write_json
    from bah_mllm.inspection.doctor import as_json, examine, print_report

    checks = examine()
    if json_path is not None:
        write_json(as_json(checks), json_path)
    else:
        print_report(checks)
    return 1 if any(check.state == "problem" for check in checks) else 0


def bench(
    name: Annotated[str, typer.Argument(help="engine, decode, evaluator, training or adaptation.")],
    *,
    seed: Annotated[int, typer.Option(help="Seed of the made-up input.")] = 0,
    seeds: Annotated[str, typer.Option(help="Seeds of adaptation's toy problems: A:B (half open) or A,B,C.")] = "0:5",
    json_path: Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")] = None,
) -> None:
    """Measure what is shared and batched against the naive way, as ratios; or what adaptation gains on toy problems.

    Example: bah-mllm bench evaluator
    """
    from bah_mllm.bench.benches import print_bench

    print_bench(
        name,
        seed=seed,
        json_path=json_path,
        more={"training": _training, "adaptation": lambda *, seed: _adaptation(seeds)},  # noqa: ARG005
    )


def _training(*, seed: int) -> dict[str, Any]:
    """Return parameters of every model, and what cached features save."""
    require_supervised()
    from bah_mllm.bench.training import bench_training

    return bench_training(seed=seed)


def _adaptation(seeds: str) -> dict[str, Any]:
    """Return the gain of every adaptation method by toy problem, in points."""
    require_supervised()
    from bah_mllm.bench.adaptation import bench_adaptation

    return bench_adaptation(parse_seeds(seeds))
