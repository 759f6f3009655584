# Every target sets itself up: it needs Python 3.11 or newer, make, and a package index.
#
# The virtual environment is .venv (VENV=elsewhere to change it). It is installed once, and again only when
# the content of pyproject.toml or constraints.txt has changed; an existing .venv is kept and brought up to date.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
OUT ?= out

PACKAGES := simulator strategies journal optimize live twinstep
CHECKED := $(PACKAGES) tests examples benchmarks docs/conf.py

# named after what is installed, so that a touched file installs nothing and a changed one does
CONTENT := $(shell cat pyproject.toml constraints.txt | cksum | cut -d ' ' -f 1)
STAMP := $(VENV)/.installed-$(CONTENT)

.PHONY: help setup demo test lint format types layers warm unit validate faults bench docs site clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit("Twinstep needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one with make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@[ -x $(BIN)/python ] || { echo "make: a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "make: installing Twinstep and its tools into $(VENV); this takes a few minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# Compiled bytecode halves the start-up, and machines that forbid writing it would never get any.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1 || true
	@rm -f $(VENV)/.installed-*
	@touch $@

setup: $(STAMP) ## Install into .venv (every target does this by itself)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q $(PACKAGES)

demo: setup ## Backtest two strategies on bundled prices; report in out/
	@$(BIN)/python examples/demo.py --out $(OUT)

test: lint types layers unit ## All checks and all tests

lint: setup ## ruff: rules and formatting
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)

format: setup ## Let ruff rewrite the formatting
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix --select I $(CHECKED)

types: setup ## mypy, strict, tests included
	$(BIN)/mypy $(CHECKED)

layers: setup ## import-linter: dependencies run one way
	$(BIN)/lint-imports

warm: setup
	@# compiled once here, or every worker of pytest would do it for itself
	@$(BIN)/python -m tests.warm

unit: warm ## pytest without what takes long (ARGS='-k trailing' to choose)
	@# a file's servers, browsers and journals are made by one worker
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow' $(ARGS)

validate: setup ## What takes long, and real validation data (TWINSTEP_VALIDATION_DATA=folder)
	TWINSTEP_THOROUGH=1 $(BIN)/python -m pytest -n $(WORKERS) -m 'slow or validation or thorough' -rs $(ARGS)

faults: setup ## Everything goes wrong, everywhere (ARGS='--seed 7' to repeat a run)
	@$(BIN)/python -m tests.faults $(ARGS)

bench: setup ## Compare with vectorbt and backtrader (ARGS=--json)
	@$(BIN)/python -m benchmarks $(ARGS)

docs: setup ## Rewrite the generated parts of docs/
	@$(BIN)/python -m twinstep.reference docs
	@# its tables are the tests' own, so the tests write them
	@$(BIN)/python -m tests.peers.test_peers_docs

site: setup ## Build the documentation as a site in out/site; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -j $(WORKERS) -b html -d $(OUT)/.doctrees docs $(OUT)/site

clean: ## Remove caches and output, keep .venv
	rm -rf $(OUT) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +
