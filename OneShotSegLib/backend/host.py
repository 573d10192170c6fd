"""The machine as `OneShotSegLib.backend.plan` asks for it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.backend.plan import Accelerator, Host
from OneShotSegLib.doctor.processor import is_translated

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
SECONDS = 20
OLDEST_DRIVER = 525
"""NVIDIA's driver from which on builds for CUDA 12 run."""
ROCM_DEVICE = Path("/dev/kfd")
ARM = {"arm64", "aarch64"}


def this_host(slicer: tuple[int, int] | None = None, named: str | None = None, has_all: bool = False) -> Host:
    """The present machine; asks NVIDIA's driver, which takes a second.

    Args:
        slicer: Slicer's version; None outside Slicer.
        named: A Python that the user named.
        has_all: Whether Slicer's Python has all packages.
    """
    return Host(
        system=platform.system(),
        processor=native_processor(),
        accelerator=accelerator(),
        slicer=slicer,
        has_all=has_all,
        named=named,
    )


def native_processor() -> str:
    """The machine's own processor, "arm64" or "x86_64", even where this Python is translated for another."""
    names = {platform.machine().lower(), os.environ.get("PROCESSOR_ARCHITEW6432", "").lower()}
    return "arm64" if is_translated() or names & ARM else "x86_64"


def accelerator() -> Accelerator:
    """What PyTorch can compute with here."""
    if nvidia_driver() >= OLDEST_DRIVER:
        return Accelerator.CUDA
    return Accelerator.ROCM if sys.platform == "linux" and ROCM_DEVICE.exists() else Accelerator.CPU


def nvidia_driver() -> int:
    """The first number of NVIDIA's driver's version; 0 if there is none, or no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"(\d+)\.", done.stdout)
    return int(found[1]) if found and done.returncode == 0 else 0


def natively(processor: str | None, command: Sequence[str]) -> list[str]:
    """A command as it runs for a processor: a Mac runs a Python for both as that of the process that starts it.

    Args:
        processor: "arm64", "x86_64", or None for whatever it is.
        command: The command.
    """
    if sys.platform == "darwin" and processor == "arm64":
        return ["/usr/bin/arch", "-arm64", *command]
    return list(command)


def cleaned(environment: dict[str, str], home: str | None = None) -> dict[str, str]:
    """An environment in which another Python than Slicer's runs: without what Slicer's launcher put there.

    Args:
        environment: The variables of this process.
        home: Slicer's folder; by default what its launcher says (SLICER_HOME).
    """
    home = home or environment.get("SLICER_HOME")
    kept = {}
    for name, value in environment.items():
        if name in ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "__PYVENV_LAUNCHER__"):
            continue
        parts = [part for part in value.split(os.pathsep) if not (home and _lies_in(part, home))]
        if name != "SLICER_HOME" and parts:
            kept[name] = os.pathsep.join(parts)
    return kept


def with_package() -> dict[str, str]:
    """The variables in which another Python than Slicer's runs this package."""
    return {**cleaned(dict(os.environ)), "PYTHONPATH": str(PACKAGE_FOLDER), "PYTHONUTF8": "1"}


def _lies_in(path: str, folder: str) -> bool:
    try:
        return Path(path).is_absolute() and Path(path).is_relative_to(folder)
    except ValueError:
        return False
