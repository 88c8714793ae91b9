"""bah-mllm: recognising ambivalence and hesitancy in videos.

Start at ``open_dataset`` and ``evaluate``; the command line is ``bah-mllm``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bah_mllm.core.loading import load_named

if TYPE_CHECKING:
    from bah_mllm.dataset import open_dataset
    from bah_mllm.pipeline.judging import evaluate

__all__ = ["evaluate", "open_dataset"]

_PUBLIC = {"evaluate": "bah_mllm.pipeline.judging:evaluate", "open_dataset": "bah_mllm.dataset:open_dataset"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - public names of any kind, loaded on first use
    if name in _PUBLIC:
        return load_named(_PUBLIC, name, kind="public name")
    raise AttributeError(f"module 'bah_mllm' has no attribute {name!r}")
