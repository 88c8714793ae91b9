"""Running a benchmark by its name, and printing what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bah_mllm.bench import BENCHES
from bah_mllm.bench.request import BenchRequest, Figures
from bah_mllm.core.json_output import write_json
from bah_mllm.core.loading import load_named

__all__ = ["print_bench"]


def print_bench(name: str, request: BenchRequest, *, json_path: str | None) -> None:
    """Run a benchmark and print its figures, or write them as JSON.

    Args:
        name: A key of ``BENCHES``.
        request: What it may vary.
        json_path: Where JSON goes, ``-`` for stdout; None prints lines.

    Raises:
        ConfigError: There is no such benchmark, or it refuses the request.
    """
    measure: Callable[[BenchRequest], Figures] = load_named(BENCHES, name, kind="benchmark")
    figures = measure(request)
    if json_path is not None:
        write_json(figures, json_path)
        return
    from bah_mllm.report.console import plain_console

    console = plain_console()
    for line in _lines(figures):
        console.print(line, soft_wrap=True)


def _lines(figures: Figures, group: str = "") -> Iterator[str]:
    """Yield a line for every figure, and one for every innermost group of figures, named by all groups around it."""
    for key, value in figures.items():
        name = f"{group} {key}".strip()
        if not isinstance(value, Mapping):
            yield f"{name}: {_shown(value)}"
        elif any(isinstance(one, Mapping) for one in value.values()):
            yield from _lines(value, name)
        else:
            yield f"{name}: {', '.join(f'{inner} {_shown(one)}' for inner, one in value.items())}"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
