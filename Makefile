# make run   all set-up, then the appliance on this machine: with the UI in a terminal, else headless
# make test  all set-up, then every check in order: format, lint, types, import contracts, tests
# make bench all set-up, then the measurements
# make bench-cold     all set-up, then the table of the cold path, InfluxDB beside it
# make bench-boundary all set-up, then the table of the boundary between both paths: the tally, reconciliation, latency, cost
# make bench-hybrid   all set-up, then the table of hybrid work: analysis, search, caches
# make bench-alerts   all set-up, then the table of alerts (a quarter of an hour)
# make fmt   writes the format, the lint's safe fixes, and what README and ARCHITECTURE take from the code
# make install   as root: into /opt/edge-appliance, as a service of the system (systemd/README.md)
#
# Needs Python 3.11 or later with venv, and make. Everything else goes into .venv, pinned and hashed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROJECT := pyproject.toml
# compat: a plain path instead of an import hook, which would cost every start 60 ms; twice quiet: setuptools warns at length of what is so
SELF := --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
PREFIX := /opt/edge-appliance

.DEFAULT_GOAL := run
.PHONY: run test bench bench-cold bench-boundary bench-hybrid bench-alerts fmt install clean

run: $(VENV)/ready-to-run
	@if [ -t 1 ]; then exec $(BIN)/appliance run --tui; else exec $(BIN)/appliance run; fi

# Hundreds of processes start: each compiles what it imports anew where the environment says that no bytecode is written.
bench bench-cold bench-boundary bench-hybrid bench-alerts: export PYTHONDONTWRITEBYTECODE =
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/ready-to-test
	@echo "== format"           && $(BIN)/ruff format --check .
	@echo "== lint"             && $(BIN)/ruff check .
	@echo "== types"            && $(BIN)/mypy
	@echo "== import contracts" && $(BIN)/lint-imports --no-logo
	@echo "== tests"            && $(BIN)/python -m pytest -n 4 --dist worksteal $(TESTS)

bench: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench $(BENCH)

bench-cold: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench cold

bench-boundary: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench boundary

bench-hybrid: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench hybrid

bench-alerts: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench alerts

fmt: $(VENV)/ready-to-test
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/python -m tests.structure.write_docs

install:
	@[ "$$(id -u)" = 0 ] || { echo "make install is for root" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("the sandbox hides Python below /home and /root; name another: make install PYTHON=/usr/bin/python3" \
		if sys.base_prefix.startswith(("/home/", "/root/")) else None)'
	@echo "== installing into $(PREFIX)"
	@$(PYTHON) -m venv $(PREFIX)/.venv
	@$(PREFIX)/.venv/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements.txt
	@$(PREFIX)/.venv/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --force-reinstall .
	@install -m 644 README.md $(PREFIX)/README.md
	@id -u appliance >/dev/null 2>&1 || useradd --system --home-dir /var/lib/appliance --shell /usr/sbin/nologin --user-group appliance
	@install -m 644 systemd/appliance.service /etc/systemd/system/appliance.service
	@if [ -d /run/systemd/system ]; then \
		systemctl daemon-reload && systemctl enable appliance && systemctl restart appliance && systemctl --no-pager status appliance; \
	else echo "systemd does not run here; with it: systemctl enable --now appliance"; fi

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
	@$(PIP) install $(SELF)
	@touch $@

$(VENV)/ready-to-test: $(VENV)/made requirements-dev.txt $(PROJECT)
	@echo "== installing what the appliance and its tests need"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@$(PIP) install $(SELF)
	@touch $@ $(VENV)/ready-to-run
