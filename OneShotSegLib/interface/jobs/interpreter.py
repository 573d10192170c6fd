"""The Python and the environment of the child process."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).resolve().parents[3]
"""The folder that holds OneShotSegLib."""


def python_executable() -> str:
    """Slicer's own Python if we are in Slicer, else the one that runs us."""
    return shutil.which("PythonSlicer") or sys.executable


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which the child finds OneShotSegLib and writes UTF-8, unbuffered.

    Args:
        base: The variables to start with; those of this process if it is None.
    """
    environment = dict(os.environ if base is None else base)
    known = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join([str(PACKAGE_FOLDER), *([known] if known else [])])
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONIOENCODING"] = "utf-8"
    environment["PYTHONUTF8"] = "1"
    return environment
