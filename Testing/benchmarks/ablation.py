"""What each step and setting of the default method is worth: one change at a time, as a Markdown table.

    python Testing/benchmarks/ablation.py --cohort COHORT --support pt_4 [--split train] [--cases 6]
    python Testing/benchmarks/ablation.py --cohort COHORT --rows "extent not limited" "no alignment"

Every row is the default with one setting changed; a new one is a line in ``ROWS``. The scribbles' distance (0 inside
their structure) and the share inside are those where they arrive, before denoising; the share kept is what denoising
leaves. All figures are means over the cases of a structure, then over the structures. A row that finds no mask in a
case has Dice 0 there. Settings are to be chosen on train cases.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cohort import cases_of, read_ct, read_reference, read_scribbles, region_of
from figures import Row, arrival_figures, evaluated_values, mask_figures, structure_means, write_rows

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import prepare_query, segment_query
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.method.settings import DEFAULT, Method
from OneShotSegLib.method.support import Support, prepare_support
from OneShotSegLib.networks.weights import Weights, load_weights
from OneShotSegLib.networks.weights_selection import choose_weights

COLUMNS = ("mm outside", "share inside", "share kept", "Dice")


def change(step: str, **settings: Any) -> Method:
    """The default with some settings of a step changed."""
    return replace(DEFAULT, **{step: replace(getattr(DEFAULT, step), **settings)})


ROWS: Mapping[str, Method] = {
    "default": DEFAULT,
    "tubular structures not tracked": change("tracking", enabled=False),
    "images not registered": change("registration", enabled=False),
    "registered whatever the fit": change("registration", enough=2.0),
    "registered, no wide search": change("registration", found=0),
    "registered, half as stiff": change("registration", stiffness=0.1),
    "registered, twice as stiff": change("registration", stiffness=0.4),
    "alignment searches 16 and 8 mm": change("alignment", radii_mm=(16.0, 8.0)),
    "alignment to whole voxels": change("alignment", between_voxels=False),
    "starts near the volume's centre": change("propagation", starts_over_body=False),
    "mean over the starts": change("propagation", reduce="mean"),
    "one coarse pass": change("propagation", coarse_passes=1),
    "a fine pass": change("propagation", fine_passes=1),
    "no affine fit": change("propagation", fit=False),
    "no alignment": change("alignment", enabled=False),
    "no alignment, a fine pass": replace(
        change("alignment", enabled=False), propagation=replace(DEFAULT.propagation, fine_passes=1)
    ),
    "denoising at 0": change("denoising", threshold=0.0),
    "denoising at 0.1": change("denoising", threshold=0.1),
    "extent not limited": change("expansion", limit_extent=False),
    "air is no background": change("expansion", air_is_background=False),
    "neither extent nor air": change("expansion", limit_extent=False, air_is_background=False),
    "no spatial cost": change("expansion", spatial_weight=0.0),
    "image not smoothed": change("expansion", smooth_mm=0.0),
    "image smoothed by 2 mm": change("expansion", smooth_mm=2.0),
    "raster scans, clipped": change("expansion", exact=False),
    "on the fine network's grid": change("expansion", spacing=None),
    "on a grid of 2.5 x 3 x 3 mm": change("expansion", spacing=(2.5, 3.0, 3.0)),
    "borders on the voxels' faces": change("expansion", between_voxels=False),
    "mask's border not smoothed": replace(DEFAULT, smooth_mm=0.0),
    "prototype refinement": change("refinement", enabled=True),
}


def main() -> None:
    """Print the table."""
    options = _options()
    names = cases_of(options.cohort, options.split, [options.support])[: options.cases]
    ct = read_ct(options.cohort, options.support)
    weights = load_weights(choose_weights(options.weights, ct, torch.device("cpu")))
    methods = {name: ROWS[name] for name in dict.fromkeys(["default", *(options.rows or ROWS)])}
    scribbles = read_scribbles(options.cohort, options.support)
    supports = {name: prepare_support(ct, scribbles, weights, method) for name, method in methods.items()}
    organs = region_of(options.cohort).organs
    found: dict[str, list[Row]] = {name: [] for name in methods}
    for number, case in enumerate(names, 1):
        query = prepare_query(read_ct(options.cohort, case), weights)
        reference = read_reference(options.cohort, case)
        for name, method in methods.items():
            found[name] += measure(case, query, reference, supports[name], weights, method, organs)
        print(f"{case}: {number} of {len(names)}", file=sys.stderr, flush=True)
    print(f"{len(names)} {options.split} cases, support {options.support}, weights {weights.name}\n")
    print_changes(found)
    if options.json:
        for name, rows in found.items():
            write_rows(options.json, re.sub(r"[^\w.]+", "-", name), rows)


def measure(
    case: str,
    query: PreparedCT,
    reference: Volume,
    support: Support,
    weights: Weights,
    method: Method,
    organs: Collection[int],
) -> Iterator[Row]:
    """One row's figures of each structure of a case."""
    values = evaluated_values(reference, support.structures.values, organs)
    try:
        result = segment_query(support, query.ct, weights, method, prepared=query)
    except InputError:
        # Denoising can leave nothing to grow from: the user gets no mask, and the row counts that as a Dice of 0.
        yield from (Row(case=case, value=value, figures={"share kept": 0.0, "Dice": 0.0}) for value in values)
        return
    mask = result.pseudo_mask().array
    last = next(reversed(result.propagation.after))
    for value in values:
        figures = arrival_figures(support, result, reference, value) | mask_figures(mask, reference, value)
        figures["mm outside"] = figures[f"mm outside after {last}"]
        yield Row(case=case, value=value, figures={column: figures[column] for column in COLUMNS})


def print_changes(found: Mapping[str, list[Row]]) -> None:
    """A Markdown row for each method, with its distance from the first."""
    print(f"| | {' | '.join(COLUMNS)} | difference |\n| --- |" + " ---: |" * (len(COLUMNS) + 1))
    means = {name: [_mean(rows, column) for column in COLUMNS] for name, rows in found.items()}
    default = next(iter(means.values()))[-1]
    for name, (distance, inside, kept, dice) in means.items():
        difference = f"{dice - default:+.3f}" if name != "default" else ""
        print(f"| {name} | {distance:.1f} | {inside:.2f} | {kept:.2f} | {dice:.3f} | {difference} |")


def _mean(rows: list[Row], column: str) -> float:
    return float(np.mean(list(structure_means(rows, column).values()) or [np.nan]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--split", default="train", choices=("train", "validation"))
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    parser.add_argument("--weights", default="headneck")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), help="only these, and the default")
    parser.add_argument("--json", type=Path, help="folder for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
