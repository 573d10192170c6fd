"""What worker processes are worth: one process, and Dask workers on this machine, on the same batches.

    python Testing/benchmarks/workers.py --cohort COHORT [--counts 8 32] [--workers 1 2]

`oneshotseg propagate` on the first so many train CTs, one thread a process. What a further case takes is the difference
of the two batches' clocks by that of their counts, so that starting up counts for nothing; the efficiency is a further
case's time in one process, without Dask, over that with the workers times their number. Memory is the greatest of any
process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from cohort import cases_of, region_of

LOOK_SECONDS = 0.2


def main() -> None:
    """Print the table."""
    options = _options()
    few, many = options.counts
    print(f"| processes | {few} cases, s | {many} cases, s | s per further case | efficiency | greatest MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    alone = None
    for workers in (0, *options.workers):
        (first, _), (last, peak) = (_run(options, count, workers) for count in options.counts)
        each = (last - first) / (many - few)
        alone = alone or each
        name = f"{workers} Dask workers" if workers else "one, without Dask"
        efficiency = f"{alone / (each * max(workers, 1)):.0%}"
        print(f"| {name} | {first:.1f} | {last:.1f} | {each:.2f} | {efficiency} | {peak / 1e6:.0f} |", flush=True)


def _run(options: argparse.Namespace, count: int, workers: int) -> tuple[float, int]:
    """The clock of a batch, s, and the greatest memory of one process, bytes."""
    cases, support = options.cohort / "cases", options.support
    queries = [name for name in cases_of(options.cohort, "train") if name != support][:count]
    with tempfile.TemporaryDirectory() as folder:
        words: Sequence[object] = [
            *("propagate", "--output", f"{folder}/study", "--support", cases / support / "ct.nii.gz"),
            *("--scribbles", options.cohort / "scribbles" / f"{support}.nii.gz"),
            *("--background-label", region_of(options.cohort).background),
            *(("--workers", workers) if workers else ()),
            *(cases / name / "ct.nii.gz" for name in queries),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        began = time.perf_counter()
        command = [sys.executable, "-m", "OneShotSegLib", *map(str, words)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as child:
            most = _greatest(child)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)}: status {child.returncode}")
        return time.perf_counter() - began, most


def _greatest(child: subprocess.Popen[bytes]) -> int:
    """The greatest resident memory of one of its processes until it ends, bytes."""
    most, process = 0, psutil.Process(child.pid)
    while child.poll() is None:
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                most = max(most, one.memory_info().rss)
        time.sleep(LOOK_SECONDS)
    return most


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--counts", type=int, nargs=2, default=(8, 32), help="of cases, a few and many")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
