#!/usr/bin/env bash
# Set up and run every check: format, lint, types, import rules, tests.
#   bash scripts/test.sh          the checks that take seconds
#   bash scripts/test.sh --all    also those marked slow
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
bah_environment all,dev

selection=(-m "not slow and not gpu")
if [ "${1:-}" = "--all" ]; then
    selection=(-m "not gpu")
    shift
fi
ruff format --check .
ruff check .
mypy
lint-imports
python scripts/write_docs.py --check
python scripts/write_published_numbers.py --check
python -m pytest "${selection[@]}" "$@"
