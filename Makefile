# Two commands set everything up on a machine with Python, git and make:
#   make demo   learn the bundled documents with the bundled model
#   make test   run the tests, in minutes; `make check` runs the slow ones, too
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Idle threads that spin take the cores from those that work; see docs/architecture.md.
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 0

.PHONY: demo test test-slow check lint types format clean

demo: $(VENV)/.installed
	$(BIN)/selfedit demo --store .selfedit-demo

# Each process has one core, so that they do not take it from each other.
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

# What measures memory, kills, or needs both cores, by itself.
test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

check: lint types test test-slow

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
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
