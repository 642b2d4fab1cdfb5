# make run   all set-up, then the appliance on this machine: with the UI in a terminal, else headless
# make test  all set-up, then every check in order: format, lint, types, import contracts, tests
# make bench all set-up, then the measurements
# make fmt   writes the format and the lint's safe fixes
#
# Needs Python 3.11 or later with venv, and make. Everything else goes into .venv, pinned and hashed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROJECT := pyproject.toml

.DEFAULT_GOAL := run
.PHONY: run test bench fmt clean

run: $(VENV)/ready-to-run
	@if [ -t 1 ]; then exec $(BIN)/appliance run --tui; else exec $(BIN)/appliance run; fi

test: $(VENV)/ready-to-test
	@echo "== format"           && $(BIN)/ruff format --check .
	@echo "== lint"             && $(BIN)/ruff check .
	@echo "== types"            && $(BIN)/mypy
	@echo "== import contracts" && $(BIN)/lint-imports --no-logo
	@echo "== tests"            && $(BIN)/python -m pytest -n 2 $(TESTS)

bench: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench $(BENCH)

fmt: $(VENV)/ready-to-test
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed; name one: make PYTHON=python3.11")'
	@echo "== making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/ready-to-run: $(VENV)/made requirements.txt $(PROJECT)
	@echo "== installing what the appliance needs"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/ready-to-test: $(VENV)/made requirements-dev.txt $(PROJECT)
	@echo "== installing what the appliance and its tests need"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/ready-to-run
