"""Commands as a user whom the system does not know, who has no home and can write to nothing that is not theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

UID = 54321
CAPABILITIES = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""To read this checkout and Python wherever they lie, not to write."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that others can enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def oneshotseg_as_other_user(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command; see `python_as_other_user`."""
    return python_as_other_user(folder, "-m", "OneShotSegLib", *arguments, **environment)


def python_as_other_user(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python; skips the test where this process may not become another user.

    Args:
        folder: Where: a folder that others can enter (`open_folder`), which the user is given.
        arguments: What to run, and its options.
        environment: The whole environment but for what Python needs.
    """
    setpriv = shutil.which("setpriv")
    if sys.platform != "linux" or setpriv is None or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.chown(folder, UID, UID)
    become = [setpriv, f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *CAPABILITIES]
    if subprocess.run([*become, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root may not become another user here")
    needed = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),
    }
    command = [*become, sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env={**needed, **environment}, capture_output=True, encoding="utf-8", check=False
    )
