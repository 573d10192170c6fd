"""Wheel and sdist: everything is inside, and the wheel alone does a case in an empty environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from Testing.helpers.shared import made_once

ROOT = Path(__file__).parents[2]
SOURCES = ("OneShotSegLib", "Resources/Weights", "pyproject.toml", "setup.py", "README.md", "LICENSE")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2])"
NO_NETWORK = ("No matching distribution", "connection", "resolve", "Connection", "timed out")


def run(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COVERAGE_PROCESS_START")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, encoding="utf-8", check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist, built without a network, of a copy of the sources."""

    def make(folder: Path) -> Path:
        source = folder / "source"
        for name in SOURCES:
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "build.txt"))
            else:
                shutil.copyfile(ROOT / name, target)
        (source / ".git").mkdir()
        (source / ".git" / "HEAD").write_text(COMMIT, encoding="ascii")
        (folder / "dist").mkdir()
        for kind in ("wheel", "sdist"):
            run(sys.executable, "-c", BUILD, kind, folder / "dist", cwd=source)
        return folder / "dist"

    return made_once(tmp_path_factory, "dist", make)


def wheel_of(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


def weights() -> set[str]:
    folder = ROOT / "Resources" / "Weights"
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*.safetensors")}


def test_the_wheel_has_the_library_the_weights_and_its_build(dist: Path) -> None:
    with zipfile.ZipFile(wheel_of(dist)) as wheel:
        names = set(wheel.namelist())
        assert wheel.read("OneShotSegLib/build.txt").decode().strip() == COMMIT[:12]
    assert {name.partition("/Weights/")[2] for name in names if name.endswith(".safetensors")} == weights()
    library = ROOT / "OneShotSegLib"
    for file in library.rglob("*"):
        if file.suffix in (".py", ".j2", ".css", ".js", ".typed"):
            assert f"OneShotSegLib/{file.relative_to(library).as_posix()}" in names
    assert not [name for name in names if name.startswith(("Testing", "OneShotSeg/"))]


def test_the_wheel_says_what_it_needs(dist: Path) -> None:
    with zipfile.ZipFile(wheel_of(dist)) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        described = Parser().parsestr(wheel.read(name).decode())
    assert {"cluster", "dicom", "train", "slicer"} <= set(described.get_all("Provides-Extra", []))
    needed = [text for text in described.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert not [text for text in needed if text.startswith(("monai", "matplotlib", "tensorboard", "pytest"))]


def test_a_wheel_made_of_the_sdist_is_the_same(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    (tmp_path / "again").mkdir()
    run(sys.executable, "-c", BUILD, "wheel", tmp_path / "again", cwd=source)
    with zipfile.ZipFile(wheel_of(dist)) as one, zipfile.ZipFile(wheel_of(tmp_path / "again")) as other:
        assert {(i.filename, i.CRC) for i in one.infolist()} == {(i.filename, i.CRC) for i in other.infolist()}


def test_twine_finds_nothing_to_say(dist: Path) -> None:
    twine = ROOT / ".env-tools" / "bin" / "twine"
    if not twine.is_file():
        pytest.skip("make .env-tools/.ready installs twine")
    run(twine, "check", "--strict", *dist.iterdir(), cwd=dist)


@pytest.mark.slow
def test_the_wheel_alone_does_a_case_in_an_empty_environment(dist: Path, tmp_path: Path) -> None:
    """PyTorch's CPU build is installed first, where the pinned one can be had: it is a tenth of the usual one."""
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    programs = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    install = (programs / "python", "-m", "pip", "install", "--quiet", "--retries", "1")
    cpu = ROOT / "requirements-torch-cpu.lock"
    run(*install, "--require-hashes", "--no-deps", "--requirement", cpu, cwd=tmp_path, check=False)
    done = run(*install, wheel_of(dist), cwd=tmp_path, check=False)
    if done.returncode and any(words in done.stderr for words in NO_NETWORK):
        pytest.skip("the packages cannot be had: no network")
    assert done.returncode == 0, done.stderr
    version = run(programs / "oneshotseg", "--version", cwd=tmp_path).stdout
    assert f"(build {COMMIT[:12]})" in version
    found = json.loads(run(programs / "oneshotseg", "doctor", "--json", cwd=tmp_path).stdout)
    assert found["can_run"]
    absent = {finding["name"] for finding in found["findings"] if "not installed" in finding["text"]}
    assert absent == {"Extra cluster", "Extra dicom", "Extra train"}
    run(programs / "oneshotseg", "demo", "--patients", "2", "--output", "demo", cwd=tmp_path)
    assert (tmp_path / "demo" / "study" / "report.html").is_file()
