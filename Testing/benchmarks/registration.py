"""The baseline for pseudo masks: registration of one labelled CT to each query, with the tables of ``accuracy.py``.

    python Testing/benchmarks/registration.py --cohort COHORT --support pt_4 [--way both] [--split validation]

Affine, then B-spline (SimpleITK, mutual information; ``atlas.py`` has the settings, which were chosen on train cases).
One registration serves both ways:

- ``full-masks``: the support's reference masks, warped. The classic single-atlas baseline; it needs whole contours.
- ``scribbles-only``: what our method grows from the support's strokes in the support itself, warped. It has the same
  input as ours and differs only in how it gets to the query.

Seconds are those of registering and warping a query, not of reading it or of preparing the support. SimpleITK uses all
cores unless ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS is set; CPU seconds are those of all cores together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from atlas import Atlas, RegistrationSettings, Scan, warp_labels
from cohort import cases_of, read_ct, read_reference, read_scribbles, region_of
from figures import Row, evaluated_values, mask_figures, print_table, write_rows
from machine import Took, timed

from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import prepare_support
from OneShotSegLib.networks.weights import load_weights
from OneShotSegLib.networks.weights_selection import choose_weights

Registration = Callable[[Volume], tuple[sitk.Transform, Took]]
"""Takes a query; gives the map from its positions to the support's, and the time that took."""


def main() -> None:
    """Register each case once, print a table for each way."""
    options = options_of(__doc__).parse_args()
    atlas = atlas_of(options)
    warp_all("registration", options, lambda query: _register(atlas, query))


def _register(atlas: Atlas, query: Volume) -> tuple[sitk.Transform, Took]:
    with timed() as took:
        scan = Scan.of(query, atlas.settings)
        to_support = atlas.spline(scan, atlas.affine(scan))
    return to_support, took


def options_of(description: str | None) -> argparse.ArgumentParser:
    """The options that every kind of registration has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--way", default="both", choices=("both", *WAYS))
    parser.add_argument("--split", default="validation", choices=("train", "validation"))
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    parser.add_argument("--weights", default="headneck", help="as for accuracy.py")
    parser.add_argument("--json", type=Path, help="folder for all figures")
    return parser


def atlas_of(options: argparse.Namespace) -> Atlas:
    """The support, ready to be registered to."""
    return Atlas(read_ct(options.cohort, options.support), _strokes(options), RegistrationSettings())


def _strokes(options: argparse.Namespace) -> Volume:
    return _counted(read_scribbles(options.cohort, options.support).volume, options)


def _reference_masks(options: argparse.Namespace) -> Volume:
    """The support's clinical contours."""
    return _counted(read_reference(options.cohort, options.support), options)


def _grown_masks(options: argparse.Namespace) -> Volume:
    """What the default method grows from the support's strokes in the support."""
    ct = read_ct(options.cohort, options.support)
    weights = load_weights(choose_weights(options.weights, ct, torch.device("cpu")))
    support = prepare_support(ct, read_scribbles(options.cohort, options.support), weights, DEFAULT)
    return _counted(support.expansion.labels, options)


def _counted(labels: Volume, options: argparse.Namespace) -> Volume:
    """The same without the structures that do not count."""
    counted = list(region_of(options.cohort).organs)
    return labels.with_array(np.where(np.isin(labels.array, counted), labels.array, 0).astype(np.uint8))


WAYS: Mapping[str, Callable[[argparse.Namespace], Volume]] = {
    "full-masks": _reference_masks,
    "scribbles-only": _grown_masks,
}


def warp_all(name: str, options: argparse.Namespace, register: Registration) -> None:
    """Register each case once, warp the support's label map of each way, print a table for each."""
    masks = {way: of(options) for way, of in WAYS.items() if options.way in (way, "both")}
    names = cases_of(options.cohort, options.split, [options.support])[: options.cases]
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    print(f"{len(names)} {options.split} cases, support {options.support}, {threads} SimpleITK threads\n", flush=True)
    values = present_labels(_strokes(options).array)
    organs = region_of(options.cohort).organs
    found: dict[str, list[Row]] = {way: [] for way in masks}
    for number, case in enumerate(names, 1):
        query, reference = read_ct(options.cohort, case), read_reference(options.cohort, case)
        to_support, registering = register(query)
        for way, labels in masks.items():
            with timed() as warping:
                mask = warp_labels(labels, query, to_support).array
            took = registering + warping
            seconds = {"seconds per case": took.clock, "CPU seconds per case": took.cpu}
            found[way] += [
                Row(case=case, value=value, figures=mask_figures(mask, reference, value) | seconds)
                for value in evaluated_values(reference, values, organs)
            ]
        print(f"{case}: {number} of {len(names)}", file=sys.stderr, flush=True)
    for way, rows in found.items():
        print_table(f"{options.support}, {name}, {way}", rows, organs)
        if options.json:
            write_rows(options.json, f"{options.support}-{name}-{way}", rows)


if __name__ == "__main__":
    main()
