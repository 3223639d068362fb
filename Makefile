# What a clone needs and does. Everything is installed below .venv, except Debian packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo test test-lab test-faults test-here lint bench lab clean

# Debian's Python comes without venv; a package adds it.
$(BIN)/python:
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		$(SUDO) sh -c 'apt-get update -q && apt-get install -qy python3-venv'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/packages.stamp: tests/lab/images.py | $(VENV)/test.stamp
	$(SUDO) sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy \
		--no-install-recommends openssh-server $(shell $(PYTHON) -m tests.lab packages)'
	touch $@

demo: $(VENV)/demo.stamp ## run the first example on this machine and print its table
	$(BIN)/python examples/demo.py

lint: $(VENV)/test.stamp ## style, types, the order of the rooms, docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet kernelext

# The lab's tests wait for hosts most of their time: on two labs, and the rest beside them.
test: $(VENV)/packages.stamp ## lint and all tests, those on the lab's hosts too
	+$(MAKE) --no-print-directory --jobs=3 --keep-going --output-sync=target \
		test-lab test-faults lint test-here

test-lab: $(VENV)/packages.stamp ## the tests on the lab's hosts
	$(SUDO) env CI="$(CI)" PATH="$(PATH)" $(BIN)/pytest -m "lab and not faults"

test-faults: $(VENV)/packages.stamp ## the tests that break hosts, on a lab of their own
	$(SUDO) env CI="$(CI)" PATH="$(PATH)" $(BIN)/pytest -m "lab and faults" --lab 1

test-here: $(VENV)/packages.stamp ## the tests that need no host
	$(SUDO) env CI="$(CI)" PATH="$(PATH)" $(BIN)/pytest -m "not lab"

bench: $(VENV)/packages.stamp ## measure beside peers: a table, and JSON in build/bench.json
	$(SUDO) $(BIN)/python -m tests.bench

lab: $(VENV)/packages.stamp ## three Docker hosts to play with
	$(SUDO) $(BIN)/python -m tests.lab up 3

clean: ## remove what make has made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
