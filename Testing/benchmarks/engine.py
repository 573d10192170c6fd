"""A whole case as a study has it: CPU seconds of each step, fusion and scoring included, for one commit or another.

    python Testing/benchmarks/engine.py --cohort COHORT [--case pt_236] [--corrected pt_21]
    PYTHONPATH=OTHER_CHECKOUT python Testing/benchmarks/engine.py --cohort COHORT     the same of another commit

One scribbled support and as many corrected cases as are named. The first case compiles and warms up; the best of the
further ones is printed, which other load on the machine disturbs least. Run both commits in turn, not at once.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import torch
from cohort import read_ct, read_reference, read_scribbles, region_of
from machine import peak_megabytes

import OneShotSegLib
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.inference.mask_supports import LoadedMask
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import MaskedCT, ScribbledCT
from OneShotSegLib.networks.weights_selection import choose_weights


def main() -> None:
    """Print a table of the steps."""
    options = _options()
    torch.set_num_threads(options.threads)
    cohort = options.cohort
    support = ScribbledCT(read_ct(cohort, options.support), read_scribbles(cohort, options.support))
    weights = choose_weights(options.weights, support.ct, torch.device("cpu"))
    engine = Engine([support], weights, DEFAULT, masks=[_corrected(cohort, name) for name in options.corrected])
    query = read_ct(cohort, options.case)
    runs = []
    for _ in range(options.repeats + 1):
        marks: list[tuple[str, float]] = [("read", time.process_time())]
        engine.segment(options.case, query, lambda step, marks=marks: marks.append((step, time.process_time())))
        marks.append(("", time.process_time()))
        steps: dict[str, float] = {}
        for (name, before), (_, after) in pairwise(marks):
            steps[name] = steps.get(name, 0.0) + after - before
        runs.append(steps)
    best = min(runs[1:], key=lambda steps: sum(steps.values()))
    print(f"{Path(OneShotSegLib.__file__).parents[1]}, {options.threads} threads, {peak_megabytes():.0f} MB at most.\n")
    print("| step | CPU s |\n| --- | ---: |")
    for name, seconds in best.items():
        print(f"| {name} | {seconds:.2f} |")
    print(f"| whole case | {sum(best.values()):.2f} |")


def _corrected(cohort: Path, case: str) -> LoadedMask:
    reference, organs = read_reference(cohort, case), region_of(cohort).organs
    segments = tuple(
        Segment(value=value, name=name, color=Segment.numbered(value).color) for value, name in organs.items()
    )
    mask = reference.with_array((reference.array * sum(reference.array == value for value in organs)).astype("uint8"))
    return LoadedMask(MaskedCT(name=case, ct=read_ct(cohort, case), mask=LabelMap(mask, segments)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--case", default="pt_236")
    parser.add_argument("--corrected", nargs="*", default=[], help="cases whose references are supports")
    parser.add_argument("--weights", default="headneck")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
