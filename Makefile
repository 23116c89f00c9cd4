# `make run` and `make test` set up everything they need in .venv; nothing outside this folder is touched.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help run test test-long check fix lock bench dist clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(VENV)/.ready ## Serve what is on this machine (or three tiny demo models) on http://127.0.0.1:8080
	@$(BIN)/penstock serve $(ARGS)

test: $(VENV)/.ready-dev check ## Lint, types, and all tests with small counts
	$(PYTEST) -n 3 --dist loadfile $(ARGS)

test-long: $(VENV)/.ready-dev ## The full counts; takes an hour or so
	$(PYTEST) -m "long or not long" --timeout 3600 $(ARGS)

check: $(VENV)/.ready-dev ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.ready-dev ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-dev ## Measure the relay beside nginx (Linux, a C compiler)
	$(BIN)/python -m bench.relay $(ARGS)

dist: $(VENV)/.ready-dev ## Build the sdist and the wheel, and look them over
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml \
		--extra llamacpp --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml \
		--extra llamacpp --group build --group dev -o requirements-dev.lock

clean: ## Remove everything that was set up or built here
	rm -rf $(VENV) dist bench/build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Penstock needs Python 3.11 or newer, with venv."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.ready
