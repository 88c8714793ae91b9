"""Paragraphs, sections and figures of the page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from bah_mllm.report.markup import Table

__all__ = ["listed", "percent", "prose", "section", "signed", "table"]


def prose(text: str) -> str:
    """Return a paragraph in lines of at most 120 characters."""
    return textwrap.fill(" ".join(text.split()), width=120, break_long_words=False, break_on_hyphens=False)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return Table(header, list(rows)).to_markdown()


def section(heading: str, *blocks: str) -> str:
    """Return a section: its heading, then its paragraphs and tables."""
    return "\n\n".join([f"## {heading}", *blocks])


def signed(value: float) -> str:
    """Return a difference with its sign and four digits; never -0."""
    return f"{round(value, 4) + 0.0:+.4f}"


def percent(value: float) -> str:
    """Return a share with one digit."""
    return f"{100 * value:.1f} %"


def listed(names: Iterable[str]) -> str:
    """Return names with commas, or "none"."""
    return ", ".join(names) or "none"
