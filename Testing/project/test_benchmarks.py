"""Each benchmark and fault program loads as its command in the documentation starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOAD = """
import runpy, sys, traceback
from pathlib import Path
usual, failed = list(sys.path), False
for name in sys.argv[1:]:
    # As a program of its own: its folder on the path, the repository not.
    sys.path[:] = [str(Path(name).parent), *usual[1:]]
    for module in [one for one in sys.modules if one.partition(".")[0] == "Testing"]:
        del sys.modules[module]
    try:
        runpy.run_path(name, run_name="loaded")
    except Exception:
        failed = True
        print(name, traceback.format_exc().splitlines()[-1])
sys.exit(failed)
"""


@pytest.mark.parametrize(("folder", "least"), [("benchmarks", 25), ("faults", 3)])
def test_every_program_loads_as_its_command_starts_it(folder: str, least: int) -> None:
    files = (ROOT / "Testing" / folder).glob("*.py")
    programs = sorted(str(path) for path in files if "if __name__" in path.read_text(encoding="utf-8"))
    assert len(programs) >= least
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *programs],
        env=variables,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
