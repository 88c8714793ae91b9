"""``bah-mllm doctor`` and ``bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from bah_mllm.bench import BENCHES, OF_SUPERVISED
from bah_mllm.cli.options import Json, Seed
from bah_mllm.cli.parsing import parse_seeds, require_supervised

__all__ = ["bench", "doctor"]


def doctor(*, json_path: Json = None) -> int:
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
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(BENCHES)}.")],
    *,
    seed: Seed = 0,
    seeds: Annotated[str, typer.Option(help="Seeds of adaptation's toy problems: A:B (half open) or A,B,C.")] = "0:5",
    json_path: Json = None,
) -> None:
    """Measure what is shared and batched against the naive way, as ratios; or what adaptation gains on toy problems.

    Example: bah-mllm bench evaluator
    """
    from bah_mllm.bench.printing import print_bench
    from bah_mllm.bench.request import BenchRequest

    if name in OF_SUPERVISED:
        require_supervised()
    print_bench(name, BenchRequest(seed, parse_seeds(seeds)), json_path=json_path)
