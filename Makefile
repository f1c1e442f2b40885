# The two commands of the README are `make demo` and `make test`; each sets up what it needs.

PY := .venv/bin/python
# One worker a core; the tests of a file stay together, because they share what they train.
PYTEST := $(PY) -m pytest -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo status test test-quick lint format types bench build clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## virtual environment, training stack, llama.cpp; idempotent
	@scripts/setup.sh

demo: setup ## the whole pipeline on the embedded model and data, then where its results are
	$(PY) -m factory run all
	$(PY) -m factory status

status: setup ## what is done, stale or running in this folder
	$(PY) -m factory status

test: lint ## lint, then all tests, those that train models last
	$(PYTEST)

test-quick: setup ## only the tests that take seconds
	$(PYTEST) -m "not slow"

lint: setup ## style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: setup ## rewrite the sources the way lint wants them
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: setup ## static types
	$(PY) -m mypy

bench: setup ## measure, and write the tables of docs/benchmarks.md
	$(PY) -m benchmarks.demo
	$(PY) benchmarks/training.py
	$(PY) benchmarks/data/bench.py

build: setup ## the wheel, in dist/
	$(PY) -m pip wheel --no-deps --wheel-dir dist .

clean: ## remove what runs and tools have written (not data/raw, models/base, .venv)
	rm -rf .factory metrics models/checkpoints models/quantized models/release
	rm -rf data/splits data/rejects.jsonl scripts/train.py scripts/train.json logs
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist unsloth_compiled_cache

distclean: clean ## also remove .venv (the compiled llama.cpp stays in its cache)
	rm -rf .venv
