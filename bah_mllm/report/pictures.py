"""Figures as PNG files, written in one step."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from bah_mllm.core.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_png"]


def save_png(path: Path, figure: Figure, *, dpi: int) -> None:
    """Write a figure; a kill leaves the old or the new file.

    Args:
        path: Its folder is there.
        figure: Of matplotlib.
        dpi: Dots per inch of the figure's size.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    write_atomically(path, buffer.getvalue())
