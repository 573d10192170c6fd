"""Environments of tiny packages, and what stands in for pip in them: pip itself takes seconds for each call."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from OneShotSegLib.backend import installation, installed, pip
from OneShotSegLib.backend.host import native_processor
from OneShotSegLib.backend.pip import NETWORK, Source, Wheel
from OneShotSegLib.backend.plan import Kind, Plan
from OneShotSegLib.backend.record import Layout
from OneShotSegLib.errors import InputError
from Testing.helpers.package_index import build_all, build_wheel, serve, use
from Testing.helpers.shared import made_once

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
LINK = re.compile(r'href="([^"#]+)#sha256=(\w+)"[^>]*>([^<]+)<')


def tiny_plan() -> Plan:
    """An environment of the CPU's, of the Python that runs the tests."""
    return Plan(kind=Kind.OWN, reason="It is tested.", pythons=(HERE,), processor=native_processor(), index="cpu")


def resolve(
    command: Sequence[str], requirements: Sequence[str], constraints: Sequence[str], index: str | None, source: Source
) -> list[Wheel]:
    """What pip would find in an index or a folder of tiny wheels."""
    names = [re.match(r"[\w.-]+", text)[0] for text in requirements]  # type: ignore[index]
    if source.folder is not None:
        return [_of_folder(name, source.folder) for name in names]
    environment = pip.environment()
    addresses = {
        name: f"{environment['ONESHOTSEG_TORCH_INDEX']}/{index}"
        if name == "torch" and index
        else environment["PIP_INDEX_URL"]
        for name in names
    }
    return [_of_index(name, address) for name, address in addresses.items()]


def _of_folder(name: str, folder: Path) -> Wheel:
    found = next((file for file in folder.glob("*.whl") if _is_of(file, name)), None)
    if found is None:
        raise InputError(f"The packages could not be resolved: No matching distribution found for {name}.")
    return Wheel(name=name, version=found.name.split("-")[1], url=found.as_uri())


def _of_index(name: str, address: str) -> Wheel:
    try:
        with urllib.request.urlopen(f"{address}/{name}/", timeout=20) as answer:
            page = answer.read().decode()
    except urllib.error.URLError as error:
        raise InputError(f"The packages could not be resolved: {NETWORK}.") from error
    found = LINK.search(page)
    assert found is not None
    root = address.split("/", 3)
    return Wheel(name=name, version=found[3].split("-")[1], url="/".join(root[:3]) + found[1], sha256=found[2])


def _is_of(file: Path, name: str) -> bool:
    return installed.normalized(file.name.split("-")[0]) == installed.normalized(name)


def tool(python: Sequence[str], folder: Path, source: Source) -> list[str]:
    """There is no pip."""
    return list(python)


def install(python: Sequence[str], files: Sequence[Path], while_it_runs: Callable[[], None]) -> None:
    """Unpack wheels into an environment's packages."""
    site = installed.site_packages(Path(python[-1]).parents[1])
    for file in files:
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(site)
        while_it_runs()


def stand_in_for_pip() -> None:
    """Use these in place of pip, in this process."""
    pip.tool, pip.resolve, pip.install = tool, resolve, install


def tiny_wheels(factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny wheel of each package in "wheels", and PyTorch's CPU build in "torch"."""

    def make(folder: Path) -> Path:
        build_all(folder / "wheels")
        build_wheel(folder / "torch", "torch", "99.0+cpu")
        return folder

    return made_once(factory, "tiny-wheels", make)


def environments(factory: pytest.TempPathFactory) -> Path:
    """The folders "empty" and "ready", each with an environment, without pip; to be copied."""
    wheels = tiny_wheels(factory)

    def make(folder: Path) -> Path:
        for name in ("empty", "ready"):
            command = [sys.executable, "-I", "-m", "venv", "--without-pip", str(Layout(folder / name).env)]
            subprocess.run(command, check=True)
        full = Layout(folder / "ready")
        with pytest.MonkeyPatch.context() as patch, serve(wheels / "wheels", wheels / "torch") as index:
            use(index, patch)
            patch.setattr(pip, "tool", tool)
            patch.setattr(pip, "resolve", resolve)
            patch.setattr(pip, "install", install)
            installation.install(tiny_plan(), full, installation.prepare(tiny_plan(), full, Source()))
        return folder

    return made_once(factory, "environments", make)
