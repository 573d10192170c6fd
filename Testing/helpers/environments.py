"""Environments of tiny packages, made once: to make one takes seconds, to copy it does not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from OneShotSegLib.backend import installation
from OneShotSegLib.backend.pip import Source
from OneShotSegLib.backend.plan import Kind, Plan
from OneShotSegLib.backend.record import Layout
from Testing.helpers.package_index import build_all, build_wheel, serve, use
from Testing.helpers.shared import made_once

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def tiny_plan() -> Plan:
    """An environment of the CPU's, of the Python that runs the tests."""
    return Plan(kind=Kind.OWN, reason="It is tested.", pythons=(HERE,), index="cpu")


def tiny_wheels(factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny wheel of each package in "wheels", and PyTorch's CPU build in "torch"."""

    def make(folder: Path) -> Path:
        build_all(folder / "wheels")
        build_wheel(folder / "torch", "torch", "99.0+cpu")
        return folder

    return made_once(factory, "tiny-wheels", make)


def environments(factory: pytest.TempPathFactory) -> Path:
    """The folders "empty" and "ready", each with an environment."""
    wheels = tiny_wheels(factory)

    def make(folder: Path) -> Path:
        empty, full = Layout(folder / "empty"), Layout(folder / "ready")
        installation.make_environment(tiny_plan(), empty, Source(), (Path(sys.executable),))
        shutil.copytree(empty.root, full.root, symlinks=True)
        with pytest.MonkeyPatch.context() as patch, serve(wheels / "wheels", wheels / "torch") as index:
            use(index, patch)
            installation.install(tiny_plan(), full, installation.prepare(tiny_plan(), full, Source()))
        return folder

    return made_once(factory, "environments", make)
