"""Long commands let the machine's user go first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from OneShotSegLib.cli.app import app
from OneShotSegLib.cli.priority import LONG, LOW_PRIORITY


@pytest.mark.skipif(os.name == "nt", reason="Windows has classes of priority")
def test_a_process_gives_way_once_and_its_children_with_it() -> None:
    script = """
import os, subprocess, sys
from OneShotSegLib.cli.priority import give_way
give_way()
give_way()
print(subprocess.check_output([sys.executable, "-c", "import os; print(os.nice(0))"], text=True))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(found.stdout) == max(os.nice(0), LOW_PRIORITY)


def test_long_commands_are_commands() -> None:
    assert {command.name for command in app.registered_commands} >= LONG
