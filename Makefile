# Two commands set everything up on a machine with Python, git and make:
#   make demo   learn the bundled documents with the bundled model
#   make test   run the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Idle threads that spin take the cores from those that work; see docs/architecture.md.
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 0

.PHONY: demo test check lint types format clean

demo: $(VENV)/.installed
	$(BIN)/selfedit demo --store .selfedit-demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest

check: lint types test

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

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
