# make help lists the targets. Every target that runs something refreshes the editable install first: its link tree shows
# a new file, and forgets a deleted one, only after a reinstall.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EDITABLE := --editable '.[dev]' --config-settings editable_mode=strict
PYTEST_ARGS ?=
# In order, so that two runs can be compared; `make test ORDER=` draws an order and prints its seed, which
# `make test ORDER=--randomly-seed=N` takes again.
ORDER ?= -p no:randomly
# Seconds that each target is fuzzed for.
FUZZ_SECONDS ?= 60
# Two workers: models are small, and torch takes every core that it is given. Tests of one file share a worker, and so their
# fixtures.
WORKERS ?= 2

export OMP_NUM_THREADS ?= 1
# Nothing that make runs may reach for a model hub.
export HF_HUB_OFFLINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The whole install, with dependencies, again as soon as what it depends on has changed.
$(STAMP): setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(EDITABLE) -c constraints.txt
	@touch $@

.PHONY: install
install: $(STAMP) ## create .venv if it is missing, and refresh the editable install
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation $(EDITABLE)

.PHONY: demo
demo: install ## export, tag, optimise, re-tag and check a small BERT, offline
	$(BIN)/onnx-tagger demo

.PHONY: test
test: install ## the tests and the examples in docstrings, without the slow ones
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ORDER) $(PYTEST_ARGS)
	$(BIN)/pytest --doctest-modules --pyargs onnx_tagger

.PHONY: test-all
test-all: install ## everything, the slow tests too
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m '' $(ORDER) $(PYTEST_ARGS)
	$(BIN)/pytest --doctest-modules --pyargs onnx_tagger

.PHONY: fuzz
fuzz: install ## fuzz the readers of models, maps and metadata, FUZZ_SECONDS each
	$(BIN)/python -m pip install --quiet atheris -c constraints.txt
	$(BIN)/python tests/fuzzing.py model $(FUZZ_SECONDS)
	$(BIN)/python tests/fuzzing.py map $(FUZZ_SECONDS)
	$(BIN)/python tests/fuzzing.py metadata $(FUZZ_SECONDS)

.PHONY: lint
lint: install ## ruff, and the contracts that say who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: types
types: install ## mypy --strict on the package
	$(BIN)/mypy --strict --package onnx_tagger

.PHONY: bench
bench: install ## the tables of the docs: what others leave, how many tags are right, at once and after other tools; speed
	$(BIN)/python benchmarks/modules_left.py
	$(BIN)/python benchmarks/accuracy.py --quick
	$(BIN)/python benchmarks/inherit.py
	$(BIN)/python benchmarks/survival.py --quick
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/pages.py
	$(BIN)/python benchmarks/capturing.py
	$(BIN)/python benchmarks/files.py
	$(BIN)/python benchmarks/scale.py

.PHONY: bench-big
bench-big: install ## what takes long: exports, functions of the zoo, files of 1.4 GB, the peers that load and save them, a million nodes
	$(BIN)/python benchmarks/exports.py
	$(BIN)/python benchmarks/functions.py
	$(BIN)/python benchmarks/files.py --big --peers
	$(BIN)/python benchmarks/scale.py --big
