#!/usr/bin/env bash
# Everything that can be checked without running tests: format, lint, types, import rules, docstrings, lengths, pages.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff format --check .
ruff check .
mypy
lint-imports
python scripts/check_raises.py
python scripts/check_lengths.py
python scripts/write_docs.py --check
python scripts/write_published_numbers.py --check
