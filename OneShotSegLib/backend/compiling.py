"""Compiling the loops as the last step of an installation, so that the first case does not wait for it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from OneShotSegLib.backend.host import with_package

SECONDS = 300


def compile_ahead(python: Sequence[str]) -> bool:
    """Compile in an environment's Python what the first case would; whether that was done.

    It never fails an installation: what is not compiled here, the first case compiles.

    Args:
        python: The command of the environment's Python.
    """
    command = [*python, "-m", "OneShotSegLib.method.compiling"]
    try:
        done = subprocess.run(command, env=with_package(), capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
