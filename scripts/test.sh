#!/usr/bin/env bash
# Set up and run every check: format, lint, types, import rules, tests.
#   bash scripts/test.sh          the checks that take minutes
#   bash scripts/test.sh --all    also the slow tests, coverage, and every shape and type checked while tests run
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
bah_environment all,dev

# A process for each core; what they compute is small, so that threads inside them would only wait for each other.
export OMP_NUM_THREADS=1
pytest=(python -m pytest -n logical --maxprocesses 8 --dist worksteal)

bash scripts/check.sh
if [ "${1:-}" = "--all" ]; then
    shift
    "${pytest[@]}" -m "not gpu" --cov --cov-report=term:skip-covered --cov-fail-under=90 "$@"
    exec "${pytest[@]}" -p tests.check_shapes -m "not slow and not gpu and not malformed" "$@"
fi
exec "${pytest[@]}" -m "not slow and not gpu" "$@"
