"""Tests of the Slicer module on the real MRML (slicer-core) and real Qt (PySide6); skipped where these are absent."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
NEEDED = ("slicer_core", "PySide6.QtWidgets", "PySide6.QtUiTools")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def why_not() -> str:
    """Why these tests cannot run here; '' if they can."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            return f"needs {name} ({error}): pip install '.[slicer-test]'"
    return ""


REASON = why_not()
sys.path.insert(0, str(HERE))


class SkippedModule(pytest.Module):
    """A test file that cannot run here, with the reason."""

    def collect(self) -> Any:
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> Any:
    """Skip, not fail, where the packages are missing."""
    return SkippedModule.from_parent(parent, path=module_path) if REASON else None


@pytest.fixture
def application() -> Iterator[Any]:
    """The stand-in for Slicer, with an empty scene."""
    from standin import start

    app = start()
    app.scene.Clear(0)
    app.selected.clear()
    yield app
    app.scene.Clear(0)


@pytest.fixture
def scene(application: Any) -> Any:
    """Slicer's scene, empty."""
    return application.scene


@pytest.fixture
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture
def fake_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A PythonSlicer that runs a small script in place of the command line; call it with what the script does.

    The program is written once, before anything runs: a file that a child is about to execute cannot be written, and
    a program that is open for writing cannot be executed.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "PythonSlicer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "fake_child.py"}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def install(mode: str) -> None:
        monkeypatch.setenv("FAKE_CHILD", mode)

    return install


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """All packages count as installed."""
    from OneShotSegLib.slicer.jobs import dependencies

    monkeypatch.setattr(dependencies.Dependencies, "missing", lambda self: ())


@pytest.fixture
def session(application: Any, ready: None, fake_child: Any, tmp_path: Path) -> Iterator[Any]:
    """The panel in the stand-in, with the child process that computes nothing."""
    from driving import Session

    fake_child("normal")
    opened = Session(application, tmp_path / "settings")
    yield opened
    opened.close()
