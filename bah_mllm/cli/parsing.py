"""What several commands read from their options."""

from __future__ import annotations

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from bah_mllm.core.records import MAX_SEED
from bah_mllm.core.saying import shortened

__all__ = ["parse_seeds", "require_supervised"]

_MAX_SEEDS = 1_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return seeds written as ``A:B`` (half open) or ``A,B,C``.

    Raises:
        ConfigError: The text is neither, or names no seed.

    >>> parse_seeds("0:3"), parse_seeds("7,9")
    ((0, 1, 2), (7, 9))
    """
    try:
        if ":" in text:
            start, stop = (int(part) for part in text.split(":"))
            seeds = tuple(range(start, min(stop, start + _MAX_SEEDS + 1)))
        else:
            seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        seeds = ()
    if not seeds or len(seeds) > _MAX_SEEDS or min(seeds) < 0 or max(seeds) > MAX_SEED:
        raise ConfigError(
            f"{shortened(text)} names no seeds.",
            remedy=f"Write up to {_MAX_SEEDS:,} of them as 0:5 (0 to 4) or 0,3,7, from 0 to {MAX_SEED:,}.",
        )
    return seeds


def require_supervised() -> None:
    """Refuse a foreign package of the import name ``supervised``.

    Raises:
        PrerequisiteError: It is not ours, or torch is missing.
    """
    import importlib.util

    import supervised

    if not getattr(supervised, "BAH_MLLM_SUPERVISED", False):
        raise PrerequisiteError(
            "The package 'supervised' that Python finds is not ours (mljar-supervised?).",
            remedy="pip uninstall mljar-supervised, then reinstall bah-mllm; or use an environment of its own.",
        )
    if importlib.util.find_spec("torch") is None:
        raise PrerequisiteError(
            "The package 'torch' is not installed, but training needs it.",
            remedy="pip install 'bah-mllm[train]' -c constraints.txt",
        )
