"""Which Python an environment is made of, where none fits what is done, and what is asked of the machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from OneShotSegLib.backend import host, pythons
from OneShotSegLib.backend.pip import Source
from OneShotSegLib.backend.plan import Accelerator, Kind, Plan
from OneShotSegLib.backend.record import Layout
from OneShotSegLib.errors import InputError

posix = pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
GOOD = {"version": "3.12", "machine": "x86_64", "bits": 64, "venv": True, "cpython": True}


def plan(*versions: str, processor: str = "x86_64") -> Plan:
    return Plan(kind=Kind.OWN, reason="It is tested.", pythons=versions or ("3.12", "3.13"), processor=processor)


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


def python(path: Path, **changes: object) -> Path:
    """A program that answers as a Python does."""
    return program(path, f"echo '{json.dumps({**GOOD, **changes})}'")


@posix
def test_the_version_that_comes_first_in_the_plan_is_taken(tmp_path: Path) -> None:
    programs = [python(tmp_path / v, version=v) for v in ("3.13", "3.10", "3.12")]
    found = pythons.best(plan(), programs)
    assert found == pythons.BasePython(tmp_path / "3.12", "3.12")
    assert pythons.best(plan("3.11"), programs) is None


@posix
@pytest.mark.parametrize(
    "changes", [{"version": "3.9"}, {"machine": "arm64"}, {"bits": 32}, {"venv": False}, {"cpython": False}], ids=str
)
def test_a_python_that_does_not_fit_is_left_alone(tmp_path: Path, changes: dict[str, object]) -> None:
    assert pythons.examine(plan(), python(tmp_path / "good")) is not None
    assert pythons.examine(plan(), python(tmp_path / "other", **changes)) is None


@posix
def test_a_program_that_is_no_python_is_left_alone(tmp_path: Path) -> None:
    assert pythons.examine(plan(), program(tmp_path / "text", "echo hello")) is None
    assert pythons.examine(plan(), program(tmp_path / "fails", "exit 3")) is None
    assert pythons.examine(plan(), tmp_path / "absent") is None


@posix
def test_on_an_apple_processor_a_native_python_is_wanted(tmp_path: Path) -> None:
    assert pythons.examine(plan(processor="arm64"), python(tmp_path / "intel")) is None
    assert pythons.examine(plan(processor="arm64"), python(tmp_path / "native", machine="arm64")) is not None


@posix
def test_slicer_s_own_python_is_never_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python(tmp_path / "Slicer-5.12" / "bin" / "python3.12")
    monkeypatch.setenv("PATH", str(tmp_path / "Slicer-5.12" / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not [found for found in pythons.candidates() if "Slicer" in str(found)]


@pytest.mark.parametrize(
    ("system", "path"), [("darwin", "/usr/bin/python3"), ("win32", "C:/Apps/WindowsApps/python.exe")]
)
def test_programs_that_ask_the_user_to_install_something_are_not_started(
    system: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert not pythons._may_be_started(Path(path))
    assert pythons._may_be_started(Path("/opt/python/bin/python3"))


@posix
def test_the_python_that_runs_the_tests_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"python{HERE}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(pythons.PLACES, sys.platform, ())
    assert [path.name for path in pythons.candidates()] == [f"python{HERE}"]


@posix
def test_a_python_that_the_user_names_must_fit(tmp_path: Path) -> None:
    bad = python(tmp_path / "old", version="3.9")
    with pytest.raises(InputError, match=r"expected a Python 3\.12, 3\.13 of 64 bit with venv, found none"):
        pythons.base_python(plan(), Layout(tmp_path), Source(), [bad])


UV = 'mkdir -p "$UV_PYTHON_INSTALL_DIR/cpython/bin" && echo "$3" > "$UV_PYTHON_INSTALL_DIR/asked"'


@posix
def test_where_none_fits_uv_fetches_one_into_the_environment_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = python(tmp_path / "template")
    program(tmp_path / "bin" / "uv", UV, f'cp {good} "$UV_PYTHON_INSTALL_DIR/cpython/bin/python3"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr(pythons, "candidates", lambda: iter(()))
    layout = Layout(tmp_path / "environment")
    found = pythons.base_python(plan(), layout, Source())
    assert found.path == layout.pythons / "cpython" / "bin" / "python3"
    system = "macos-x86_64-none" if sys.platform == "darwin" else "linux-x86_64-gnu"
    assert (layout.pythons / "asked").read_text().strip() == f"cpython-3.12-{system}"


@posix
def test_if_none_can_be_fetched_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin" / "uv", "echo 'error: Failed to fetch: dns error' >&2", "exit 2")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(InputError, match=r"the network cannot be reached.*install one from python\.org"):
        pythons.fetch(plan(), Layout(tmp_path / "environment"), Source())


def test_uv_is_a_wheel_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], variables: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        program(tmp_path / "uv" / "bin" / "uv", "exit 0")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(pythons, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    layout = Layout(tmp_path)
    assert pythons._uv(layout, Source(folder=tmp_path)) == tmp_path / "uv" / "bin" / "uv"
    assert pythons._uv(layout, Source()) == tmp_path / "uv" / "bin" / "uv", "what is there is taken"
    (command,) = asked
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert command[command.index("--target") + 1] == str(tmp_path / "uv"), "not into this Python"
    assert command[command.index("--find-links") + 1] == str(tmp_path)


@posix
@pytest.mark.parametrize(
    ("says", "driver", "expected"),
    [("535.183.01", 535, Accelerator.CUDA), ("470.42.01", 470, Accelerator.CPU), ("No devices", 0, Accelerator.CPU)],
)
def test_a_graphics_card_counts_if_its_driver_is_new_enough(
    says: str, driver: int, expected: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "nvidia-smi", f"echo '{says}'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(host, "ROCM_DEVICE", tmp_path / "absent")
    assert host.nvidia_driver() == driver
    assert host.accelerator() is expected


@posix
def test_amd_s_graphics_cards_are_found_on_linux_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "nvidia_driver", lambda: 0)
    monkeypatch.setattr(host, "ROCM_DEVICE", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    assert host.accelerator() is Accelerator.ROCM
    monkeypatch.setattr(sys, "platform", "win32")
    assert host.accelerator() is Accelerator.CPU


def test_on_a_mac_a_python_for_both_processors_runs_as_the_machine_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert host.natively("arm64", ["python"]) == ["/usr/bin/arch", "-arm64", "python"]
    assert host.natively("x86_64", ["python"]) == ["python"]
    monkeypatch.setattr(sys, "platform", "linux")
    assert host.natively("arm64", ["python"]) == ["python"]


def test_the_machine_s_processor_is_known_to_a_translated_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("PROCESSOR_ARCHITEW6432", raising=False)
    monkeypatch.setattr(host, "is_translated", lambda: False)
    assert host.native_processor() == "x86_64"
    monkeypatch.setattr(host, "is_translated", lambda: True)
    assert host.native_processor() == "arm64"
    monkeypatch.setattr(host, "is_translated", lambda: False)
    monkeypatch.setenv("PROCESSOR_ARCHITEW6432", "ARM64")
    assert host.native_processor() == "arm64"


def test_another_python_gets_nothing_of_slicer_s_launcher() -> None:
    home = str(Path("/opt/Slicer"))
    libraries = os.pathsep.join([f"{home}/lib", "/usr/lib"])
    given = {
        "SLICER_HOME": home,
        "PYTHONHOME": f"{home}/lib/Python",
        "PYTHONPATH": f"{home}/bin",
        "LD_LIBRARY_PATH": libraries,
        "SSL_CERT_FILE": f"{home}/share/Slicer.crt",
        "HTTPS_PROXY": "http://proxy:3128",
        "EMPTY": "",
    }
    assert host.cleaned(given) == {"LD_LIBRARY_PATH": "/usr/lib", "HTTPS_PROXY": "http://proxy:3128", "EMPTY": ""}
