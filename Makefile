# Two commands matter: make run, make test. On a bare Debian 12 with Python and Node they set up
# everything they need; what the shell does for that stands in tools/setup.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The steps share apt, .venv and browser/node_modules.
.NOTPARALLEL:

DATA ?= var/demo
HOST ?= 127.0.0.1
PORT ?= 8000

# Test files that run side by side: many tests wait for a portal or a browser.
WORKERS ?= 3
# By file, in the order of tests/conftest.py: pytest-xdist's own begins with those of many tests.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder

# How many seeds a soak walks through, and the first of them.
HOLDFAST_SEEDS ?= 200
HOLDFAST_FIRST_SEED ?= 1

VENV := .venv/.ok
BENCH := .venv/.bench-ok
PACKAGES := browser/node_modules/.ok
CLIENT := src/holdfast/web/client/index.html

PYTHON_SOURCES = $(wildcard src tests tools bench)
CLIENT_SOURCES = $(shell find browser/src browser/public browser/tools -type f 2>/dev/null) \
    $(wildcard browser/*.html browser/*.ts browser/*.json)

.PHONY: help run test check soak bench docs lock clean system-run system-check system-test system-bench system-lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: system-run $(VENV) $(CLIENT) ## Set up, fill the demo school, serve it (DATA, HOST, PORT)
	@.venv/bin/holdfast seed demo --data $(DATA)
	@exec .venv/bin/holdfast serve --data $(DATA) --host $(HOST) --port $(PORT)

test: system-test $(VENV) $(CLIENT) ## Run every test but the soaks (WORKERS; ARGS goes to pytest)
	cd browser && npm test
	HOLDFAST_REQUIRE_BROWSER=$$(tools/setup has-browser) .venv/bin/python -m pytest \
	    -n $(WORKERS) $(SIDE_BY_SIDE) $(ARGS)

check: system-check $(VENV) $(CLIENT) ## Lint, formatting, types and byte budgets, Python and TypeScript
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(PYTHON_SOURCES)
	.venv/bin/python tools/observe.py --check
	cd browser && npm run check && npm run budget

soak: system-test $(VENV) $(CLIENT) ## Long runs over many seeds (HOLDFAST_SEEDS, HOLDFAST_FIRST_SEED)
	HOLDFAST_SEEDS=$(HOLDFAST_SEEDS) HOLDFAST_FIRST_SEED=$(HOLDFAST_FIRST_SEED) \
	HOLDFAST_REQUIRE_BROWSER=$$(tools/setup has-browser) .venv/bin/python -m pytest \
	    -n $(WORKERS) $(SIDE_BY_SIDE) -m soak --timeout 3600 $(ARGS)

bench: system-bench $(VENV) $(BENCH) $(CLIENT) ## Measure, and draw the figures
	.venv/bin/python -m bench $(ARGS)

docs: system-run $(VENV) ## Build the documentation into site/
	.venv/bin/python tools/reference.py --check
	.venv/bin/zensical build --strict --clean

lock: system-lock ## Write the lock files anew (ARGS=--upgrade takes newer versions)
	tools/setup lock $(ARGS)

clean: ## Remove all that make built; var/ and its data stay
	rm -rf .venv .tools .cache site dist build browser/node_modules src/holdfast/web/client
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

system-run system-check system-test system-bench system-lock:
	@tools/setup $@

$(VENV): pyproject.toml requirements.lock
	@tools/setup python
	@touch $@

$(BENCH): requirements-bench.lock $(VENV)
	@tools/setup bench
	@touch $@

$(PACKAGES): browser/package.json browser/package-lock.json
	@tools/setup packages
	@touch $@

$(CLIENT): $(PACKAGES) $(CLIENT_SOURCES)
	@tools/setup client
	@touch $@
