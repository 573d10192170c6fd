"""Reading in child processes: what it gives back, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from OneShotSegLib.browser.children import Children
from OneShotSegLib.errors import InputError

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 60.0


def refuse(text: str) -> None:
    raise InputError(text)


def die() -> None:
    os._exit(9)


def test_work_is_done_elsewhere_and_errors_come_back() -> None:
    children = Children()
    children.warm()
    assert children.run(os.getpid) != os.getpid()
    with pytest.raises(InputError, match="expected one, found none"):
        children.run(refuse, "expected one, found none")
    with pytest.raises(InputError, match="reading ended"):
        children.run(die)
    assert children.run(os.getpid) != os.getpid()  # others are started
    children.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at the processes of Linux")
def test_they_end_with_a_server_that_is_killed() -> None:
    script = (
        "import os, time; from OneShotSegLib.browser.children import Children\n"
        "if __name__ == '__main__': print(Children().run(os.getpid), flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    child = int(server.stdout.readline())
    assert is_running(child)
    server.send_signal(signal.SIGKILL)
    server.wait()
    until = time.monotonic() + LONGEST_SECONDS
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
