.PHONY: install check fix test test-all demo docs wheel
PYTHON ?= python
install:
	$(PYTHON) -m pip install -e '.[all,dev]' -c constraints.txt
check:
	bash scripts/check.sh
fix:
	ruff format . && ruff check --fix .
test:
	bash scripts/test.sh
test-all:
	bash scripts/test.sh --all
demo:
	bash scripts/demo.sh
docs:
	$(PYTHON) scripts/write_docs.py && $(PYTHON) scripts/write_published_numbers.py
wheel:
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .
