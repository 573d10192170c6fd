"""The doctor says what is there and what is missing, in one line each, on machines that lack it too."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from OneShotSegLib.doctor import examination, libraries, machine, packages, processor
from OneShotSegLib.doctor.finding import Finding, State, error, ok, warning
from OneShotSegLib.geodesic.compiled import cache_folder
from OneShotSegLib.networks.weights import COARSE_FILE, FINE_FILE, shipped_folders

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


def states(findings: list[Finding]) -> dict[str, State]:
    return {finding.name: finding.state for finding in findings}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "OneShotSegLib", "doctor", *arguments]
    here = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=here)


def test_the_machine_of_the_tests_can_run_it(tmp_path: Path) -> None:
    done = run("--json", str(tmp_path))
    found = json.loads(done.stdout)
    assert (done.returncode, found["can_run"]) == (0, True), done.stdout
    names = {finding["name"] for finding in found["findings"]}
    assert {"Python", "Processor", "torch", "numba", "torch, loaded", "Numba's cache", "Weights headneck"} <= names
    assert {finding["state"] for finding in found["findings"]} <= {"ok", "warning"}


def test_a_damaged_weights_file_is_found(tmp_path: Path) -> None:
    for name, source in (("whole", COARSE_FILE), ("torn", COARSE_FILE)):
        (tmp_path / name).mkdir()
        for file in (COARSE_FILE, FINE_FILE):
            data = (shipped_folders()["phantom"] / file).read_bytes()
            torn = name == "torn" and file == source
            (tmp_path / name / file).write_bytes(data[: len(data) // 2] if torn else data)
    done = run(ONESHOTSEG_WEIGHTS=str(tmp_path))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "ok       Weights whole: whole" in lines
    assert [line for line in lines if line.startswith("error    Weights torn: ")]
    assert "1 of this must be mended" in lines[-1]


def test_it_needs_no_package_at_all(tmp_path: Path) -> None:
    """-S leaves out the installed packages: nothing but Python is there."""
    code = "from OneShotSegLib.doctor.__main__ import main; main()"
    command = [sys.executable, "-S", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    assert "error    torch: missing: expected torch>=" in done.stdout


def test_each_finding_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ok("A", "one\ntwo"), warning("B", "three"), error("C", "four")]
    monkeypatch.setattr(examination, "examine", lambda folder: iter(found))
    assert examination.show(Path()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["ok       A: one two", "warning  B: three", "error    C: four"]
    found.pop()
    assert examination.show(Path()) == 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse4_2", State.ERROR),
        ("fpu avx", State.WARNING),
        ("fpu avx avx2", State.OK),
        ("", State.OK),
    ],
)
def test_a_processor_without_avx_is_found(
    flags: str, expected: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor : 0\nflags\t\t: {flags}\n" if flags else "processor : 0\n", encoding="utf-8")
    monkeypatch.setattr(processor, "CPU_INFO", file)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert states(list(machine._processor()))["Processor"] == expected
    assert processor.lacks_avx() == (expected is State.ERROR)


def test_an_arm_processor_is_not_asked_for_avx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert processor.avx() is None


@pytest.mark.parametrize(("free", "expected"), [(1e8, State.ERROR), (1e9, State.WARNING), (1e11, State.OK)])
def test_little_space_is_found(free: float, expected: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, free))
    finding = machine.space("Space", tmp_path / "not" / "there")
    assert finding.state is expected
    assert str(tmp_path) in finding.text


def test_a_proxy_is_shown_without_its_password() -> None:
    text = machine._proxies({"https": "http://me:secret@proxy.example:3128", "no": "localhost"}).text
    assert "https by proxy.example:3128" in text
    assert "secret" not in text
    assert "no " not in text.split(";")[0]


def test_what_is_declared_is_what_pyproject_has() -> None:
    needed, extras = packages.declared()
    assert any(text.startswith("torch>=") for text in needed)
    assert set(extras) <= set(packages.USES)


def test_requirements_of_an_installed_package_are_split_by_extra() -> None:
    found = packages.split_extras(
        ["numpy>=1.26", 'distributed>=1; extra == "cluster"', "pytest>=8; extra == 'test'", 'x; python_version > "3"']
    )
    assert found == (["numpy>=1.26", 'x; python_version > "3"'], {"cluster": ["distributed>=1"]})


@pytest.mark.parametrize(
    ("requirement", "state", "text"),
    [
        ("numpy>=1.0", State.OK, metadata.version("numpy")),
        ("numpy>=99", State.ERROR, "expected numpy>=99, found"),
        ("no-such-package>=1", State.ERROR, "missing: expected no-such-package>=1"),
        ('no-such-package>=1; sys_platform == "none"', State.OK, "not needed here"),
    ],
)
def test_a_requirement_is_compared_with_what_is_installed(requirement: str, state: State, text: str) -> None:
    finding = packages.examine_requirement(requirement)
    assert finding.state is state
    assert text in finding.text


@pytest.mark.parametrize("status", [-4, 132, 0xC000001D])
def test_a_library_that_ends_the_process_is_named_with_the_likely_reason(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "ask", lambda: ({}, status, ""))
    (finding,) = libraries.examine_libraries()
    assert finding.state is State.ERROR
    assert "AVX" in finding.text


def test_a_library_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "ask", lambda: ({}, None, ""))
    (finding,) = libraries.examine_libraries()
    assert "antivirus" in finding.text


def test_gpu_memory_that_is_taken_is_a_warning() -> None:
    gpu = {"name": "Some GPU", "free_gb": 0.5, "total_gb": 8.0}
    assert libraries.examine_gpu(0, gpu).state is State.WARNING
    assert libraries.examine_gpu(0, gpu | {"free_gb": 6.0}).state is State.OK


@pytest.mark.parametrize(
    ("built_for", "has_driver", "word"),
    [("the CPU", False, "everything runs on the CPU"), ("the CPU", True, "CPU build"), ("12.8", True, "driver")],
)
def test_a_gpu_that_is_not_used_has_its_reason(built_for: str, has_driver: bool, word: str) -> None:
    finding = libraries._no_gpu(built_for, has_driver)
    assert word in finding.text
    assert finding.state is (State.WARNING if has_driver else State.OK)


def test_a_numba_cache_that_is_nowhere_is_a_warning() -> None:
    (finding,) = libraries._numba({"cache": None})
    assert finding.state is State.WARNING
    assert cache_folder(ModuleType("empty")) is None
