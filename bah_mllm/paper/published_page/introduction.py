"""What the page is about, and the two editions."""

from __future__ import annotations

from bah_mllm.dataset.editions import published_sizes
from bah_mllm.paper.published_page.rows import items_of, published_rows
from bah_mllm.paper.published_page.writing import listed, percent, prose, table

__all__ = ["introduction"]


def introduction() -> str:
    """Return the title, what the page is about, and the two editions."""
    rows = []
    for edition, sizes in published_sizes().items():
        cells = []
        for level in ("video", "frame"):
            n, n_positive = items_of(edition, level)
            cells.append(f"{n_positive:,} of {n:,} ({percent(n_positive / n)})")
        sources = dict.fromkeys(row.source for row in published_rows() if row.edition == edition)
        numbers = sorted(int(source.split()[1]) for source in sources if source.startswith("Table "))
        where = f"Tables {', '.join(map(str, numbers))}" if numbers else listed(sources)
        rows.append([f"`{edition}`", str(sizes["test"].participants), *cells, where])
    return "\n\n".join(
        [
            "# What the published numbers say\nWritten by `python scripts/write_published_numbers.py` from "
            "`paper_results.csv`, `paper_tables/` and\n`bah_mllm/dataset/split_counts.csv`; do not edit by hand.",
            prose(
                """BAH has two editions with different test splits. The numbers of `v1` are from the paper
                (arXiv 2505.19328), those of `iclr2026` from the figures in its public repository. Every section says
                which edition it is about; numbers of different editions are not comparable. What is not published is
                named as unknown."""
            ),
            table(
                ["edition", "test participants", "test videos with A/H", "test frames with A/H", "numbers from"], rows
            ),
        ]
    )
