#!/usr/bin/env bash
# Everything that can be checked without running the product: format, lint, types, import rules, generated pages.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff format --check .
ruff check .
mypy
lint-imports
python scripts/write_docs.py --check
python scripts/write_published_numbers.py --check
