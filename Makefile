# `make demo` and `make test` do all their set-up on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --no-deps
TOOLS := .env-tools
DOCS := .env-docs
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate
WITHOUT_TORCH := --override tools/without-torch.txt --no-emit-package torch

.PHONY: demo browse test test-slow coverage lint lock resolve audit clean phantom-weights docs docs-cli changelog dist

demo: $(READY)
	$(BIN)/oneshotseg demo --output demo

# The demo's study in the browser, on this machine alone; Ctrl+C ends it.
browse: $(READY)
	@test -f demo/study/study.json || $(MAKE) demo
	$(BIN)/oneshotseg browse demo/study

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

# The site, in build/site/; a broken link, a page outside the navigation or a stale page of commands ends it.
docs: $(DOCS)/.ready
	$(DOCS)/bin/python tools/cli_reference.py --check
	NO_MKDOCS_2_WARNING=true $(DOCS)/bin/mkdocs build --strict --quiet
	@echo "The site: build/site/index.html"

# The page of commands, anew.
docs-cli: $(DOCS)/.ready
	$(DOCS)/bin/python tools/cli_reference.py

# What the next release's part of CHANGELOG.md will be, from the fragments in changes/.
changelog: $(DOCS)/.ready
	$(DOCS)/bin/towncrier build --draft

# Wheel and sdist in dist/, built with the pinned builder, and checked as a package index checks them.
dist: $(TOOLS)/.ready
	rm -rf dist
	$(TOOLS)/bin/uv build --quiet --build-constraints requirements.lock --require-hashes
	$(TOOLS)/bin/twine check --strict dist/*

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
	-$(INSTALL) --requirement requirements-browser.lock || \
		echo "Playwright is not to be had for this Python: the tests of the page in a real browser will be skipped."
	touch $@

$(TOOLS)/.ready: requirements-tools.lock
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-tools.lock
	touch $@

$(DOCS)/.ready: requirements-docs.lock
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-docs.lock
	touch $@

# Pin what pyproject.toml allows, for all systems and Pythons at once; delete a lock first to take newer versions.
# PyTorch has locks of its own: requirements-torch-cpu.lock is kept by hand, for no registry has its hashes.
lock: $(TOOLS)/.ready
	$(COMPILE) pyproject.toml tools/always.in --extra test $(WITHOUT_TORCH) --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra slicer-test $(WITHOUT_TORCH) --constraint requirements.lock \
		--output-file requirements-slicer.lock
	$(COMPILE) pyproject.toml --extra browser-test $(WITHOUT_TORCH) --constraint requirements.lock \
		--output-file requirements-browser.lock
	$(COMPILE) tools/torch.in --constraint requirements.lock --output-file requirements-torch.lock
	$(COMPILE) tools/tools.in --output-file requirements-tools.lock
	$(COMPILE) --group pyproject.toml:docs --constraint requirements.lock --output-file requirements-docs.lock

# Whether there are wheels of all that is needed, for each platform and Python, and how many MB they are.
resolve: $(TOOLS)/.ready
	$(TOOLS)/bin/python tools/resolve.py $(TOOLS)/bin/uv

# Known vulnerabilities of what is pinned; needs a registry that tells them.
audit: $(TOOLS)/.ready
	$(TOOLS)/bin/python tools/audit.py

clean:
	rm -rf $(VENV) $(DOCS) demo build dist *.egg-info
