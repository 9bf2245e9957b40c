# `make test` sets up and checks everything CI checks. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help demo readme test lint types contracts unit coverage bench soak gpu gpu-bundle fix golden lock clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The page's scripts are checked by TypeScript, which comes in one program: Deno. It asks no server for anything.
DENO := DENO_DIR=$(VENV)/deno DENO_NO_UPDATE_CHECK=1 $(BIN)/deno
PAGE := orchestrator/reporting/page
LIVE := orchestrator/serve
# Tests wait for processes most of the time.
JOBS ?= 3
# Torch's thread pools fight each other on small machines, and tests start many processes.
# VIRTUAL_ENV: trials of tests and benchmarks run in this environment, wherever their files are.
TEST_ENV := VIRTUAL_ENV=$(abspath $(VENV)) OMP_NUM_THREADS=1 WANDB_ERROR_REPORTING=false RAY_USAGE_STATS_ENABLED=0

SPREAD := --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder -m 'not soak and not gpu'
# Whatever is traced for coverage runs at half its speed, also where nothing is counted.
COVERED_BY := tests/spec tests/space

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.locked: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Name one: make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	@echo "Installing what constraints.txt lists into $(VENV): minutes the first time, most of it the download of torch"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python .readme/install.py constraints.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.locked $(shell find orchestrator -type f ! -name '*.pyc' 2>/dev/null) README.md
	@echo "Installing this package into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	@touch $@

demo: $(VENV)/.installed  ## Set up, then find the best digits CNN: two minutes on two cores
	@echo "Looking for the best CNN on scikit-learn's digits: 24 trials, about two minutes on two cores"
	@$(BIN)/sweep run sweeps/digits-bayes.yaml > /dev/null
	@echo
	@$(BIN)/sweep show
	@echo
	@echo "Where to look next:"
	@echo "  . $(BIN)/activate  puts \`sweep\` on the PATH of this terminal"
	@echo "  sweep show            the above; sweep show 3 is all about trial 3"
	@echo "  sweep board           curves, images and hyperparameters in TensorBoard"
	@echo "  sweeps/*.yaml         more to run; README.md says how to run yours"

readme: $(VENV)/.installed  ## Rewrite the command line reference in README.md
	$(BIN)/python .readme/reference.py README.md

test: lint types contracts unit  ## Set up, then run everything CI runs

lint: $(VENV)/.installed  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vulture
	$(DENO) lint --quiet $(PAGE)/scripts $(LIVE)/scripts
	$(DENO) fmt --quiet --check $(PAGE)/scripts $(PAGE)/page.css $(LIVE)/scripts $(LIVE)/live.css

types: $(VENV)/.installed  ## Types, strict
	$(BIN)/mypy
	$(DENO) check --quiet $(PAGE)/scripts/*.js $(LIVE)/scripts/*.js

contracts: $(VENV)/.installed  ## Layers: imports point down
	$(BIN)/lint-imports

unit: $(VENV)/.installed  ## Tests on the installed package, with the coverage of spec and space
	@mkdir -p build
	$(TEST_ENV) $(BIN)/pytest $(SPREAD) $(COVERED_BY) --cov --cov-report=term --cov-fail-under=100
	$(TEST_ENV) $(BIN)/pytest $(SPREAD) $(COVERED_BY:%=--ignore=%) --durations=25

coverage: $(VENV)/.installed  ## Coverage of the whole package, module by module, with a floor; slow
	@mkdir -p build
	COVERED=orchestrator COVERAGE_FILE=build/coverage $(TEST_ENV) $(BIN)/pytest $(SPREAD) --cov --cov-report=term --cov-fail-under=75

bench: $(VENV)/.installed  ## Measure, both sides in one run, and print the ratios
	for b in benchmarks/*.py; do echo "== $$b"; $(TEST_ENV) $(BIN)/python $$b || exit 1; done

soak: $(VENV)/.installed  ## Long fault and soak runs
	$(TEST_ENV) $(BIN)/pytest -m soak --timeout 3600

gpu: $(VENV)/.installed  ## Everything that needs a GPU, in eight minutes, as one table
	@$(BIN)/python -c 'import pynvml' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check '.[gpu]'
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/python -m tests.gpu $(GPU_ARGS)

gpu-bundle: $(VENV)/.installed  ## Pack what a GPU machine without a network needs for the same
	$(BIN)/python tests/gpu/bundle.py

fix: $(VENV)/.locked  ## Format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(DENO) fmt --quiet $(PAGE)/scripts $(PAGE)/page.css $(LIVE)/scripts $(LIVE)/live.css

golden: $(VENV)/.installed  ## Rewrite the golden files from what the code prints now; read the diff
	$(TEST_ENV) $(BIN)/pytest --golden -q -k golden

lock: $(VENV)/.locked  ## Resolve every dependency anew into constraints.txt; read the diff
	@mkdir -p build
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report build/lock.json ".[all]" --group dev torch==2.13.0 setuptools pip
	$(BIN)/python -c 'import json, re; old = open("constraints.txt").read(); head = "".join(line for line in old.splitlines(True) if line[0] == "#"); pins = sorted({(re.sub(r"[_.]", "-", i["metadata"]["name"].lower()), i["metadata"]["version"].split("+")[0]) for i in json.load(open("build/lock.json"))["install"]} - {("sweep-orchestrator", "0.1.0")}); open("constraints.txt", "w").write(head + "".join(f"{n}=={v}\n" for n, v in pins))'

clean:  ## Remove everything the targets above made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .coverage* .import_linter_cache *.egg-info
