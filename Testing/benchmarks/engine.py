"""A whole case as a study has it: CPU seconds of each step, fusion and scoring included, for one commit or another.

    python Testing/benchmarks/engine.py --cohort COHORT [--case pt_236] [--corrected pt_21] [--floor]
    python Testing/benchmarks/engine.py --cohort COHORT --convexadam-python PYTHON    ConvexAdam on the same pair, then
    PYTHONPATH=OTHER_CHECKOUT python Testing/benchmarks/engine.py --cohort COHORT     the same of another commit

One scribbled support and as many corrected cases as are named. The first case compiles and warms up; the best of the
further ones is printed, which other load on the machine disturbs least. Run both commits in turn, not at once.

With ``--floor`` each step has the least time that its work would take on this machine: the operations of its PyTorch
calls at the rate of a product of matrices, or the bytes of these and of its compiled loops at the rate of a sum of
arrays, whichever is more; a comparison of two words in the alignment at `WORD_NS`. What NumPy and SciPy do counts for
nothing, so that a step which they do has a floor that is too low.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter as Counts
from itertools import pairwise
from pathlib import Path

import torch
from cohort import read_ct, read_reference, read_scribbles, region_of
from machine import peak_megabytes, timed

import OneShotSegLib
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.inference.engine import Engine
from OneShotSegLib.inference.mask_supports import LoadedMask
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import MaskedCT, ScribbledCT
from OneShotSegLib.networks.weights_selection import choose_weights

WORD_NS = 0.26
"""A comparison of two words at one offset, both in the cache."""
LOOP_BYTES = {"sample": 4, "self_similarity": 4, "write_words": 8, "lower_to_exact": 13}
"""Bytes that a compiled loop reads and writes of each element at least."""


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
    whole = sum(best.values())
    floors = _floors(engine, options.case, query) if options.floor else {}
    print(f"{Path(OneShotSegLib.__file__).parents[1]}, {options.threads} threads, {peak_megabytes():.0f} MB at most.\n")
    print("| step | CPU s |" + (" least | reached |" if floors else ""))
    print("| --- | ---: |" + (" ---: | ---: |" if floors else ""))
    for name, seconds in best.items():
        least = f" {floors[name]:.3f} | {floors[name] / max(seconds, 1e-3):.0%} |" if name in floors else ""
        print(f"| {name} | {seconds:.2f} |{least}")
    print(f"| whole case | {whole:.2f} |" + (f" {sum(floors.values()):.2f} | |" if floors else ""))
    if options.convexadam_python:
        theirs = min(_convexadam(options, query) for _ in range(options.repeats))
        print(f"| ConvexAdam, the same pair | {theirs:.2f} |")
        print(f"\nConvexAdam takes {theirs / whole:.1f} times as much.")


def _floors(engine: Engine, case: str, query: Volume) -> dict[str, float]:
    """The least CPU seconds of each step."""
    from guard import counted_elements
    from machine import Counter, Rates

    readings: list[tuple[str, tuple[float, float], dict[str, int]]] = []
    elements: Counts[str] = Counts()
    with Counter() as calls, counted_elements(elements):

        def step(name: str) -> None:
            readings.append((name, calls.read(), dict(elements)))

        engine.segment(case, query, step)
        step("")
    rates = Rates.measure(torch.device("cpu"))
    floors: dict[str, float] = {}
    for (name, before, loops), (_, after, more) in pairwise(readings):
        one = {loop: more[loop] - loops.get(loop, 0) for loop in more}
        gigabytes = after[1] - before[1] + sum(LOOP_BYTES.get(loop, 0) * n for loop, n in one.items()) / 1e9
        least = max((after[0] - before[0]) / rates.gigaflops, gigabytes / rates.gigabytes)
        floors[name] = floors.get(name, 0.0) + least + WORD_NS * 1e-9 * one.get("block_sums", 0)
    return floors


def _convexadam(options: argparse.Namespace, query: Volume) -> float:
    """CPU seconds of ConvexAdam for the same support and query: affine map, its own call, and warping five masks."""
    from atlas import Atlas, RegistrationSettings, warp_labels
    from convexadam import ConvexAdamSettings, register_pair

    reference, organs = read_reference(options.cohort, options.support), region_of(options.cohort).organs
    mask = (reference.array * sum(reference.array == value for value in organs)).astype("uint8")
    labels = reference.with_array(mask)
    atlas = Atlas(read_ct(options.cohort, options.support), labels, RegistrationSettings())
    transform, took = register_pair(atlas, query, options.convexadam_python, ConvexAdamSettings())
    with timed() as warping:
        warp_labels(labels, query, transform)
    return (took + warping).cpu


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
    parser.add_argument("--floor", action="store_true", help="the least time of each step too")
    parser.add_argument("--convexadam-python", default=None, metavar="PYTHON", help="as for convexadam.py")
    return parser.parse_args()


if __name__ == "__main__":
    main()
