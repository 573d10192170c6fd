"""A cold start: from the start of a process to the first mask's file, by what takes how long.

    python Testing/benchmarks/cold_start.py --cohort COHORT [--case pt_236] [--repeats 3]

`oneshotseg propagate` on one query, as a process of its own. The table has, at each of its events, the clock since the
process began and its CPU seconds so far (all threads); the best of some runs. The very first run after an installation
compiles loops besides: `python -m OneShotSegLib.method.compiling` does that ahead, and ``--compile`` times it in a new
cache folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from cohort import region_of


def main() -> None:
    """Print the table."""
    options = _options()
    if options.compile:
        _time_compiling()
    runs = [_run(options) for _ in range(options.repeats)]
    best = min(runs, key=lambda marks: marks[-1][2])
    print("| until | clock s | CPU s |\n| --- | ---: | ---: |")
    for name, clock, cpu in best:
        print(f"| {name} | {clock:.2f} | {cpu:.2f} |")


def _run(options: argparse.Namespace) -> list[tuple[str, float, float]]:
    cases, support = options.cohort / "cases", options.support
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *("propagate", "--events", "json", "--output", f"{folder}/study"),
            *("--support", cases / support / "ct.nii.gz"),
            *("--scribbles", options.cohort / "scribbles" / f"{support}.nii.gz"),
            *("--background-label", region_of(options.cohort).background, cases / options.case / "ct.nii.gz"),
        ]  # fmt: skip
        began = time.perf_counter()
        command = [sys.executable, "-m", "OneShotSegLib", *map(str, words)]
        marks: list[tuple[str, float, float]] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            process = psutil.Process(child.pid)
            assert child.stdout is not None
            for line in child.stdout:
                event = json.loads(line)
                if event["event"] in ("started", "step", "case_done"):
                    taken = process.cpu_times()
                    name = f"{event['event']} {event.get('step', '')}".strip()
                    marks.append((name, time.perf_counter() - began, taken.user + taken.system))
        return marks


def _time_compiling() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-m", "OneShotSegLib.method.compiling"]
        before = os.times()
        subprocess.run(command, env=environment, check=True)
        after = os.times()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    print(f"Compiling: {after[2] + after[3] - before[2] - before[3]:.1f} CPU s, {size / 1e6:.1f} MB.\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--case", default="pt_236")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="time the compiling too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
