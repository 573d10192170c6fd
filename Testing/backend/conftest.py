"""An index of tiny packages, and environments made of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from OneShotSegLib.backend.commands import Wish
from OneShotSegLib.backend.plan import Plan
from Testing.helpers.environments import environments, tiny_plan, tiny_wheels
from Testing.helpers.package_index import PackageIndex, serve, use


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels."""
    return tiny_wheels(tmp_path_factory)


@pytest.fixture
def index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The index, which pip is set up for."""
    with serve(wheels / "wheels", wheels / "torch") as served:
        use(served, monkeypatch)
        yield served


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments to be copied."""
    return environments(tmp_path_factory)


@pytest.fixture
def wish(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    """An empty environment of the Python that runs the tests."""
    return _copy(templates / "empty", tmp_path, monkeypatch)


@pytest.fixture
def ready(templates: Path, tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> Wish:
    """An environment that is installed."""
    return _copy(templates / "ready", tmp_path, monkeypatch)


def _copy(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wish:
    monkeypatch.setattr(Wish, "plan", lambda self: tiny_plan())
    shutil.copytree(template, tmp_path / "environment", symlinks=True)
    return Wish(root=tmp_path / "environment", base=Path(sys.executable))


@pytest.fixture
def plan() -> Plan:
    """The plan of these environments."""
    return tiny_plan()
