"""The facts of real Slicer, checked on Slicer's own Python sources, where the host that loads them is at hand.

It is one where ``../shared/slicerhost`` lies next to the checkout, SLICERHOST_MIRROR names a git repository of Slicer,
and SLICERHOST_PYTHON a Python that has what the host needs.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
HOST = HERE.parents[2] / "shared" / "slicerhost"
PYTHON = os.environ.get("SLICERHOST_PYTHON", "")


@pytest.mark.slow
@pytest.mark.skipif(not (HOST / "host.py").is_file(), reason="needs ../shared/slicerhost")
@pytest.mark.skipif(not PYTHON or not os.environ.get("SLICERHOST_MIRROR"), reason="needs SLICERHOST_PYTHON and _MIRROR")
@pytest.mark.parametrize("script", ["host_facts.py", "whole_session.py"])
def test_every_fact_holds_in_slicers_own_python(repository: Path, script: str) -> None:
    command = [PYTHON, "host.py", "--module-dir", str(repository / "OneShotSeg"), "--module", "OneShotSeg"]
    command += ["--pythonpath", str(repository), "--pythonpath", str(HERE), "--strict", "--main-window"]
    command += ["--script", str(HERE / script)]
    run = subprocess.run(command, cwd=HOST, capture_output=True, encoding="utf-8", errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-5000:]
