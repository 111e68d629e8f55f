# The commands of this project. `make run` and `make test` set up all that they need in .venv; a second call installs nothing.

PYTHON ?= python3
CONFIG ?= pipeline.yaml
# Processes that run tests side by side.
WORKERS ?= 2
# Folder with the photographs of make results-real (benchmarks/photographs.py says which).
DATA ?= photographs
# Further arguments: make run ARGS="--set train.rounds=6", make test ARGS="-k loading".
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# An emulator of Azure's blob storage, a package of npm.
AZURITE := $(or $(MTLUE_AZURITE),$(HOME)/.cache/mtlue/azurite)
FASHION := /usr/share/datasets/fashion-mnist

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run results results-real bench chaos test lint audit-deps check format docs setup test-data clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

run: $(VENV)/.ready-run ## draw the embedded dataset and protect it (CONFIG=file, ARGS="--set train.rounds=6")
	@[ "$(CONFIG)" != pipeline.yaml ] || $(BIN)/mtlue import outlines --out data/outlines
	@$(BIN)/mtlue run $(CONFIG) $(ARGS)

results: $(VENV)/.ready-run test-data ## measure protection on drawn datasets (two hours on 2 cores; resumes; ARGS="--sections seeds")
	@PYTHONPATH=. $(BIN)/python benchmarks/strength.py $(ARGS)

results-real: $(VENV)/.ready-run ## measure protection on photographs of yours (DATA=folder; resumes; ARGS="--sections faces")
	@PYTHONPATH=. $(BIN)/python benchmarks/strength.py --real --source "$(DATA)" $(ARGS)

bench: $(VENV)/.ready-run ## measure the speed of protection as ratios of pairs (minutes; writes build/bench.json; ARGS="--rounds 3")
	@PYTHONPATH=. $(BIN)/python benchmarks/bench.py $(ARGS)

chaos: $(VENV)/.ready-dev ## kill drivers and workers of real runs, 50 in all (an hour on 2 busy cores; ARGS="--kills 10 --seed 3")
	@PYTHONPATH=. $(BIN)/python benchmarks/chaos.py $(ARGS)

test: $(VENV)/.ready-dev test-data ## run every test (ARGS="-k name")
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.ready-dev ## ruff and the type check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit-deps: $(VENV)/.ready-dev ## look for known vulnerabilities in what is installed (asks PyPI: needs the network)
	@$(BIN)/pip-audit --skip-editable $(ARGS)

check: lint test ## lint and tests: what a change must pass

format: $(VENV)/.ready-dev ## let ruff write the layout and the simple fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.ready-docs ## build the documentation into build/site (a broken link or a missing page fails)
	@PYTHONPATH=. $(BIN)/python docs/generate.py
	@$(BIN)/zensical build --strict --clean
	@$(BIN)/python docs/check.py build/site
	@echo "open build/site/index.html; with search: $(BIN)/python -m http.server -d build/site"

setup: $(VENV)/.ready-dev ## only set up .venv, with the development tools

# Fashion-MNIST comes from a Debian package, azurite from npm; without them the tests on them are skipped, except in CI.
# Never fails: not everybody is root.
test-data:
	@if [ -d $(FASHION) ]; then \
		exit 0; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing the Debian package dataset-fashion-mnist (30 MB) for the tests"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get install -qq -y dataset-fashion-mnist || { apt-get update -qq && apt-get install -qq -y dataset-fashion-mnist; }; } \
			</dev/null >/dev/null 2>&1 || echo "dataset-fashion-mnist could not be installed; tests on it are skipped"; \
	else \
		echo "$(FASHION) is missing; to run the tests on it: sudo apt-get install dataset-fashion-mnist"; \
	fi
	@if [ -d $(AZURITE)/node_modules/azurite ]; then \
		exit 0; \
	fi; \
	if ! command -v npm >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing the Debian package npm for the tests of Azure's blob storage"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get install -qq -y npm || { apt-get update -qq && apt-get install -qq -y npm; }; } </dev/null >/dev/null 2>&1 || true; \
	fi; \
	if command -v npm >/dev/null; then \
		echo "installing azurite below $(AZURITE) for the tests of Azure's blob storage"; \
		mkdir -p $(AZURITE) && npm install --prefix $(AZURITE) --no-audit --no-fund --silent azurite@3 >/dev/null 2>&1 \
			|| echo "azurite could not be installed; tests on Azure's blob storage are skipped"; \
	else \
		echo "npm is missing; to run the tests on Azure's blob storage, install Node.js and call make test-data again"; \
	fi

clean: ## remove .venv, caches and build results; never data (.mtlue holds generators)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: each is written after its step went through, so that a broken installation starts again.
$(VENV)/.ready-python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "mtlue needs Python 3.11 or newer; \`$(PYTHON)\` was not found. Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "mtlue needs Python 3.11 or newer; \`$(PYTHON)\` is $$($(PYTHON) --version). Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ready-run: pyproject.toml | $(VENV)/.ready-python
	@echo "setting up $(VENV) (about 3 minutes the first time, 6 GB)"
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.ready-docs: pyproject.toml | $(VENV)/.ready-run
	@echo "setting up the tools for the documentation (100 MB)"
	@$(PIP) install --quiet --editable '.[docs]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/.ready-python
	@echo "setting up $(VENV) with the development tools (about 3 minutes the first time, 6 GB)"
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $(VENV)/.ready-run $@
