"""Fault tests that take minutes: ``python Testing/faults/faults.py NAME [--times N] [--folder DIR]``.

Each prints a row for docs/reliability.md and exits with status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import Tally, batch, check_end, check_step, run_forked, undisturbed
from corrupt import corrupt
from disk import full_disk, io_errors, lost_share
from soak import soak


def kill(folder: Path, times: int, seed: int) -> Tally:
    """SIGKILL at random moments of a batch; the same command goes on, until it is done; then the next batch."""
    chance = random.Random(seed)
    tiny = batch(folder)
    expected = undisturbed(tiny, folder)
    began = time.monotonic()
    os.waitpid(run_forked(tiny.request(folder / "timed")), 0)
    lasts = time.monotonic() - began
    tally = Tally(fault="SIGKILL at a random moment of a batch of 3")
    while tally.injected < times:
        study = folder / f"killed-{tally.injected}"
        _kill_until_done(tally, tiny.request(study), chance, lasts, times)
        check_end(tally, study, expected)
        tally.note("batches")
        shutil.rmtree(study)
    return tally


def _kill_until_done(tally: Tally, request, chance: random.Random, lasts: float, times: int) -> None:  # type: ignore[no-untyped-def]
    done: dict[str, int] = {}
    while True:
        pid = run_forked(request)
        if tally.injected < times:
            time.sleep(chance.uniform(0, lasts))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            tally.injected += 1
            done = check_step(tally, request.output, done)
        elif os.WEXITSTATUS(status) == 0:
            check_step(tally, request.output, done)
            return
        else:
            tally.note("times a case was given up after three kills in it, and done by the next run")
            if os.WEXITSTATUS(status) != 1:
                tally.lost.append(f"exit status {os.WEXITSTATUS(status)}")
                return


def cancel(folder: Path, times: int, seed: int) -> Tally:
    """SIGTERM at random moments of the command line's run: gone within two seconds, nothing half-written."""
    import subprocess

    from Testing.helpers import tiny_batch

    chance = random.Random(seed)
    tiny = batch(folder)
    expected = undisturbed(tiny, folder)
    tally = Tally(fault="SIGTERM at a random moment of a batch of 3")
    slowest = 0.0
    study, done = folder / "cancelled", dict[str, int]()
    program = [sys.executable, tiny_batch.__file__, str(tiny.weights.parent), "3", "--device", "cpu"]
    while tally.injected < times:
        with subprocess.Popen([*program, "--output", str(study)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if b"case_started" in line:
                    break
            time.sleep(chance.uniform(0, 3))
            asked = time.monotonic()
            child.terminate()
            child.communicate()
        if child.returncode == 130:
            tally.injected += 1
            slowest = max(slowest, time.monotonic() - asked)
            done = check_step(tally, study, done)
        elif child.returncode in (0, -signal.SIGTERM):
            # Done before it was asked to stop; what is then left of the interpreter dies of the signal.
            tally.note("batches")
            check_end(tally, study, expected)
            shutil.rmtree(study)
            done = {}
        else:
            tally.lost.append(f"exit status {child.returncode}")
    tally.note("ms at most until it was gone", int(slowest * 1000))
    if slowest >= 2:
        tally.lost.append("two seconds were not enough")
    return tally


FAULTS: dict[str, tuple[Callable[[Path, int, int], Tally], int]] = {
    "kill": (kill, 200),
    "cancel": (cancel, 30),
    "disk": (full_disk, 20),
    "share": (lost_share, 10),
    "io": (io_errors, 60),
    "corrupt": (corrupt, 1000),
    "soak": (soak, 300),
}


def main() -> None:
    """Inject one kind of fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=FAULTS)
    parser.add_argument("--times", type=int, help="how often; the default is what docs/reliability.md reports")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the batches go; a temporary folder if left out")
    options = parser.parse_args()
    inject, usual = FAULTS[options.name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        tally = inject(folder, options.times or usual, options.seed)
    print("| fault | how often | lost | notes | took |\n| --- | --- | --- | --- | --- |")
    print(tally.row())
    raise SystemExit(bool(tally.lost))


if __name__ == "__main__":
    main()
