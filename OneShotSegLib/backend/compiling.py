"""Compiling the loops as the last step of an installation, so that the first case does not wait for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from OneShotSegLib.backend.host import cleaned

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
SECONDS = 300


def compile_ahead(python: Sequence[str]) -> bool:
    """Compile in an environment's Python what the first case would; whether that was done.

    It never fails an installation: what is not compiled here, the first case compiles.

    Args:
        python: The command of the environment's Python.
    """
    variables = {**cleaned(dict(os.environ)), "PYTHONPATH": str(PACKAGE_FOLDER), "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            [*python, "-m", "OneShotSegLib.method.compiling"], env=variables, capture_output=True, timeout=SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
