"""Multi-atlas registration as a baseline for corrected cases: the same whole masks as in ``effort.py``, by ConvexAdam.

    python Testing/benchmarks/multi_atlas.py --cohort COHORT --counts 1 3 5 --convexadam-python CONVEXADAM/bin/python

Each of k train cases is registered to each query by the published package (``convexadam.py``), its clinical contours
are warped, and each voxel gets the label with the greatest mean share. The masks are those of ``effort.py`` with the
same seed, so that the rows of both can be compared.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from atlas import Atlas, RegistrationSettings, warp_shares
from cohort import cases_of, drawn_train_cases, read_ct, read_reference, region_of
from convexadam import ConvexAdamSettings, register
from figures import Row, evaluated_values, mask_figures, print_table, write_rows
from machine import timed

from OneShotSegLib.imaging.volume import Volume


def main() -> None:
    """Register each mask to each case once, print a table for each count."""
    options = _options()
    organs, settings = region_of(options.cohort).organs, ConvexAdamSettings()
    values = sorted(organs)
    drawn = drawn_train_cases(options.cohort, options.seed)[: max(options.counts)]
    masks = [_contours(options.cohort, case, values) for case in drawn]
    atlases = [
        Atlas(read_ct(options.cohort, case), mask, RegistrationSettings())
        for case, mask in zip(drawn, masks, strict=True)
    ]
    rows: dict[int, list[Row]] = {count: [] for count in options.counts}
    for case in cases_of(options.cohort, options.split)[: options.cases]:
        query, reference = read_ct(options.cohort, case), read_reference(options.cohort, case)
        total, seconds = np.zeros((1 + len(values), *query.shape), np.float32), 0.0
        for number, (atlas, mask) in enumerate(zip(atlases, masks, strict=True), 1):
            to_atlas, registering = register(atlas, query, options.convexadam_python, settings)
            with timed() as warping:
                total += warp_shares(mask, values, query, to_atlas)
            seconds += (registering + warping).cpu
            if number in rows:
                fused = np.array([0, *values], np.uint8)[np.argmax(total, axis=0)]
                rows[number] += [
                    Row(
                        case=case,
                        value=value,
                        figures=mask_figures(fused, reference, value) | {"CPU seconds per case": seconds},
                    )
                    for value in evaluated_values(reference, values, organs)
                ]
        print(case, file=sys.stderr, flush=True)
    for count, found in rows.items():
        print_table(f"{count} masks, ConvexAdam: {' '.join(drawn[:count])}", found, organs)
        if options.json:
            write_rows(options.json, f"multi-atlas-{count}", found)


def _contours(cohort: Path, case: str, values: list[int]) -> Volume:
    reference = read_reference(cohort, case)
    return reference.with_array(np.where(np.isin(reference.array, values), reference.array, 0).astype(np.uint8))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--split", default="validation", choices=("train", "validation"))
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--seed", type=int, default=0, help="of the choice of masks, as in effort.py")
    parser.add_argument("--json", type=Path, help="folder for all figures")
    parser.add_argument("--convexadam-python", default=os.environ.get("CONVEXADAM_PYTHON"), metavar="PYTHON")
    options = parser.parse_args()
    if not options.convexadam_python:
        parser.error("--convexadam-python: expected an interpreter that has ConvexAdam.")
    return options


if __name__ == "__main__":
    main()
