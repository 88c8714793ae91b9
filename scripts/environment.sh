# Sourced by the other scripts: makes or reuses a virtual environment with the tested set of packages.
#   bah_environment EXTRAS    installs the checkout with those extras and puts the environment on PATH
# BAH_VENV names the environment's folder (default: .venv in the checkout); BAH_PYTHON the Python to make it with.

bah_find_python() {
    local candidate
    for candidate in ${BAH_PYTHON:-} python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or 3.12 was found." >&2
    echo "  try: install one, or name it with BAH_PYTHON=/path/to/python3.11" >&2
    return 1
}

bah_environment() {
    local venv=${BAH_VENV:-.venv} python
    if [ ! -x "$venv/bin/python" ]; then
        python=$(bah_find_python)
        echo "Making a virtual environment in $venv ..." >&2
        "$python" -m venv "$venv"
    fi
    export PATH="$PWD/$venv/bin:$PATH"
    case $venv in /*) export PATH="$venv/bin:$PATH" ;; esac
    # Nothing to do, and no network needed, when this checkout's packages are in already.
    local stamp="$venv/.bah-mllm-$1" want
    want=$(cat pyproject.toml constraints.txt | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
        echo "Installing bah-mllm[$1] and what it needs (a few minutes the first time) ..." >&2
        python -m pip install --quiet --disable-pip-version-check -e ".[$1]" -c constraints.txt
        echo "$want" > "$stamp"
    fi
}
