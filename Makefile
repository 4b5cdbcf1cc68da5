# Two commands set everything up on a machine with Python, git and make:
#   make demo   learn the bundled documents with the bundled model
#   make test   run the tests, in minutes; `make check` runs the slow ones, too
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Idle threads that spin take the cores from those that work; see docs/architecture.md.
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 0

# What is imported is compiled once. Without what was compiled, every process that a test starts would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow test-cluster test-all check lint types format clean

demo: $(VENV)/.installed
	$(BIN)/selfedit demo --store .selfedit-demo

# Each process has one core, so that they do not take it from each other. Tests of one file share what takes long to make.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# Ray's nodes, which are killed all the time, by themselves.
test-cluster: $(VENV)/.installed
	SELFEDIT_KILLS=20 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/executors/test_ray.py

test-all: $(VENV)/.installed
	$(PYTEST)

# Types take one core for a minute or two, so that the tests begin beside them.
check: lint
	$(MAKE) --jobs 2 types test-all

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
