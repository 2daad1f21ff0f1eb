# Every target does its own set-up: `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help install demo test lint bench soak report zip clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install: $(READY)  ## make .venv and install everything into it

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

demo: $(READY)  ## five folds on synthetic clips, with table and pictures; no download
	$(BIN)/petl-ast synthetic data/synthetic
	$(BIN)/python train.py --config configs/demo.yaml --overwrite
	@echo
	@echo "Pictures: outputs/demo/plots"
	@echo "Next: $(BIN)/python evaluation.py outputs/demo/fold_1/last"
	@echo "      $(BIN)/petl-ast predict outputs/demo/fold_1/last data/synthetic/audio/1-100000-A-0.wav"

test: $(READY) lint  ## all checks: style, types, tests
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## time and memory: steps, start, data, prediction, whole runs; results in outputs/benchmarks
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.listing
	$(BIN)/python -m benchmarks.predict
	$(BIN)/python -m benchmarks.many_adapters
	$(BIN)/python -m benchmarks.cv

soak: $(READY)  ## kills, refused writes and damaged files at length (an hour); results in outputs/soak
	$(BIN)/python tests/soak.py --kills 200
	$(BIN)/python -m tests.fuzz.driver --inputs 10000

report: $(READY)  ## fill the LaTeX report from RUN (default: the demo)
	$(BIN)/petl-ast report $(or $(RUN),outputs/demo)

zip:  ## project_code.zip: what is in the repository, without data/, outputs/ and .git/
	git ls-files --cached --others --exclude-standard -z | $(PYTHON) -c "import sys, zipfile; \
	archive = zipfile.ZipFile('project_code.zip', 'w', zipfile.ZIP_DEFLATED); \
	[archive.write(name) for name in sys.stdin.read().split('\0') if name]; archive.close()"

clean:  ## remove what the targets made, but not data/ and outputs/
	rm -rf $(VENV) build dist project_code.zip src/*.egg-info *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
