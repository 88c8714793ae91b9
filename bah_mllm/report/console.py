"""Where tables are printed: as wide as the terminal, or 120 columns into a file or pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bah_mllm.core.saying import visible

__all__ = ["plain_console"]

_WIDTH_WITHOUT_TERMINAL = 120  # rich takes 80, which cuts the tables


class _VisibleConsole(Console):
    """A console that shows what cannot be seen; its own codes for colours stay."""

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - rich's own
        """Replace before cells are measured, so that columns stay straight."""
        return super().render_str(visible(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Replace what comes as anything else than plain text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def plain_console(*, is_stderr: bool = False, has_markup: bool = True, wraps_softly: bool = False) -> Console:
    """Return a console that colours nothing by itself.

    Args:
        is_stderr: On stderr rather than stdout.
        has_markup: Reads rich's tags in what is printed; names from data must be escaped.
        wraps_softly: Leaves long lines to the terminal.
    """
    return _VisibleConsole(
        width=None if Console(stderr=is_stderr).is_terminal else _WIDTH_WITHOUT_TERMINAL,
        stderr=is_stderr,
        highlight=False,
        markup=has_markup,
        emoji=False,
        soft_wrap=wraps_softly,
    )
