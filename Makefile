# `make demo` and `make test` do all their set-up on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-deps
TOOLS := .env-tools
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate
WITHOUT_TORCH := --override tools/without-torch.txt --no-emit-package torch

.PHONY: demo test test-slow coverage lint lock audit clean phantom-weights

demo: $(READY)
	$(BIN)/oneshotseg demo --output demo

test: $(READY)
	$(BIN)/python -m pytest

# Fails under 90 % of the lines (pyproject.toml).
coverage: $(READY)
	$(BIN)/python -m pytest --cov --cov-report=term

test-slow: $(READY)
	$(BIN)/python -m pytest --run-slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The weights of the phantom cohort, from nothing, by the project's own trainer.
phantom-weights: $(READY)
	$(BIN)/python Testing/benchmarks/train_phantom_weights.py

# Every package is taken only if it is the very file whose hash the locks have.
$(READY): pyproject.toml $(wildcard requirements*.lock) tools/install_torch.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install_torch.py
	$(INSTALL) --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	-$(INSTALL) --requirement requirements-slicer.lock || \
		echo "Slicer's libraries are not to be had for this Python: the tests of the Slicer module will be skipped."
	touch $@

$(TOOLS)/.ready: requirements-tools.lock
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-tools.lock
	touch $@

# Pin what pyproject.toml allows, for all systems and Pythons at once; delete a lock first to take newer versions.
# PyTorch has locks of its own: requirements-torch-cpu.lock is kept by hand, for no registry has its hashes.
lock: $(TOOLS)/.ready
	$(COMPILE) pyproject.toml tools/always.in --extra test $(WITHOUT_TORCH) --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra slicer-test $(WITHOUT_TORCH) --constraint requirements.lock \
		--output-file requirements-slicer.lock
	$(COMPILE) tools/torch.in --constraint requirements.lock --output-file requirements-torch.lock
	$(COMPILE) tools/tools.in --output-file requirements-tools.lock

# Known vulnerabilities of what is pinned; needs a registry that tells them.
audit: $(TOOLS)/.ready
	$(TOOLS)/bin/python tools/audit.py

clean:
	rm -rf $(VENV) demo build *.egg-info
