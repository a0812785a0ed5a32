# Each target makes .venv itself when it is missing: Python >= 3.11 and make are all that is needed.
# `make demo` installs the use half (no torch); test, lint and the like install the make half.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

USE   := $(VENV)/.use-half
MAKE_ := $(VENV)/.make-half
BENCH := $(VENV)/.bench
DOCS  := $(VENV)/.docs

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format bench docs catalog coverage clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(USE) ## repaint a sample photograph in every shipped style, into out/
	$(BIN)/deepcanon demo

test: lint ## lint, types and tests (offline, no data needed)
	$(BIN)/pytest -n auto -m "not slow"

test-all: lint ## the same with the slow tests
	$(BIN)/pytest -n auto

lint: $(MAKE_) ## ruff, mypy --strict and the direction of imports; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(MAKE_) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH) ## every speed claim, ours and the peer's in turn
	@set -e; for claim in benchmarks/bench_*.py; do \
		echo "== $$claim"; $(BIN)/python "$$claim"; \
	done

docs: $(DOCS) ## the manual, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

catalog: $(MAKE_) ## regenerate the index of models and the page of each
	$(BIN)/python -m deepcanon.core.catalog
	$(BIN)/python -m tools.model_pages

coverage: $(MAKE_) ## regenerate docs/coverage.md
	$(BIN)/python -m tools.coverage_page

clean: ## remove what the tools left; .venv and your pictures stay
	rm -rf site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# pip itself is the target: a half-made environment (Debian without python3-venv) is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'error: $(PYTHON) is missing or older than 3.11' >&2; \
		     echo 'hint: name another one, as in: make demo PYTHON=python3.12' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# A stamp is older than pyproject.toml when the dependencies may have changed.
$(USE): pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -e .
	@touch $@

$(MAKE_): pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[train,fast,dev]'
	@touch $@

$(BENCH): pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[train,bench]'
	@touch $@

$(DOCS): pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[docs]'
	@touch $@
