"""Write the page on the published numbers: python scripts/write_published_numbers.py [--check].

With --check nothing is written, and the exit code is 1 where bah_mllm/paper/PUBLISHED.md differs.
"""

from __future__ import annotations

import sys

from bah_mllm.paper.published_page.page import PAGE, published_page

TARGET = PAGE


def main() -> int:
    """Write the page, or compare it with the file on disk."""
    text = published_page()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("The page on the published numbers is out of date: run python scripts/write_published_numbers.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
