"""An index of tiny packages, and environments made of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from OneShotSegLib.backend import pip
from OneShotSegLib.backend.commands import Wish
from Testing.helpers import environments as made
from Testing.helpers.package_index import PackageIndex, serve, use


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels."""
    return made.tiny_wheels(tmp_path_factory)


@pytest.fixture
def index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The index, which pip is set up for."""
    with serve(wheels / "wheels", wheels / "torch") as served:
        use(served, monkeypatch)
        yield served


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments to be copied."""
    return made.environments(tmp_path_factory)


@pytest.fixture
def fake_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for pip."""
    monkeypatch.setattr(pip, "tool", made.tool)
    monkeypatch.setattr(pip, "resolve", made.resolve)
    monkeypatch.setattr(pip, "install", made.install)


@pytest.fixture
def wish(templates: Path, tmp_path: Path, fake_pip: None, monkeypatch: pytest.MonkeyPatch) -> Wish:
    """An empty environment of the Python that runs the tests."""
    return _copy(templates / "empty", tmp_path, monkeypatch)


@pytest.fixture
def ready(
    templates: Path, tmp_path: Path, index: PackageIndex, fake_pip: None, monkeypatch: pytest.MonkeyPatch
) -> Wish:
    """An environment that is installed."""
    return _copy(templates / "ready", tmp_path, monkeypatch)


def _copy(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    monkeypatch.setattr(Wish, "plan", lambda self: made.tiny_plan())
    shutil.copytree(template, tmp_path / "environment", symlinks=True)
    return Wish(root=tmp_path / "environment", base=Path(sys.executable))
