.PHONY: install check fix test test-all demo docs wheel
PYTHON ?= python
install:
	$(PYTHON) -m pip install -e '.[all,dev]' -c constraints.txt
check:
	ruff format --check . && ruff check . && mypy && lint-imports && $(PYTHON) scripts/write_docs.py --check && $(PYTHON) scripts/write_published_numbers.py --check
fix:
	ruff format . && ruff check --fix .
test:
	$(PYTHON) -m pytest -m "not slow and not gpu"
test-all:
	$(PYTHON) -m pytest -m "not gpu"
demo:
	bash scripts/demo.sh
docs:
	$(PYTHON) scripts/write_docs.py && $(PYTHON) scripts/write_published_numbers.py
wheel:
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .
