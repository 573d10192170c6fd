# `make demo` and `make test` do all their set-up on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow lint lock clean phantom-weights

demo: $(READY)
	$(BIN)/oneshotseg demo --output demo

test: $(READY)
	$(BIN)/python -m pytest

test-slow: $(READY)
	$(BIN)/python -m pytest --run-slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The weights of the phantom cohort, from nothing, by the project's own trainer.
phantom-weights: $(READY)
	$(BIN)/python Testing/benchmarks/train_phantom_weights.py

$(READY): pyproject.toml requirements.lock tools/install_torch.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install_torch.py
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable ".[test]"
	-$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable ".[slicer-test]" || \
		echo "Slicer's libraries are not to be had for this Python: the tests of the Slicer module will be skipped."
	touch $@

# Pin what pyproject.toml allows to what is installed and tested now.
lock: $(READY)
	$(BIN)/python -m pip list --format freeze --exclude-editable --exclude pip --exclude setuptools --exclude torch > requirements.lock

clean:
	rm -rf $(VENV) demo build *.egg-info
