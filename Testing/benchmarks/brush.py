"""How the way of painting matters: strokes in several styles on one support, the default method on its queries.

    python Testing/benchmarks/brush.py                                       phantom patients
    python Testing/benchmarks/brush.py --cohort COHORT --support pt_4        train cases of the cohort

The strokes are made from the support's reference mask (``OneShotSegLib.method.stroke_simulation``), so that
styles differ in nothing but what the row names. "own" is the Dice of the strokes' expansion in the support itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cohort import cases_of, read_ct, read_reference, region_of

from OneShotSegLib import phantom
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, background_segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import segment_query
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.stroke_simulation import PaintingStyle, strokes_from_mask
from OneShotSegLib.method.support import prepare_support
from OneShotSegLib.networks.weights import load_weights
from OneShotSegLib.networks.weights_selection import choose_weights
from OneShotSegLib.scoring.overlap import dice

IN_THE_BODY_HU = -300
STYLES: Mapping[str, PaintingStyle] = {
    "lines on 3 slices": PaintingStyle(slices=3, one_more_per_mm=25.0, brush=0.0),
    "lines on 4 slices": PaintingStyle(slices=4, one_more_per_mm=20.0, brush=0.0),
    "brush of a third, 3 slices": PaintingStyle(slices=3, one_more_per_mm=25.0, brush=0.33),
    "brush of a half, 3 slices": PaintingStyle(slices=3, one_more_per_mm=25.0, brush=0.5),
    "brush of a half, 4 slices": PaintingStyle(slices=4, one_more_per_mm=20.0, brush=0.5),
    "brush of a half, 4 slices, background at 10 mm": PaintingStyle(
        slices=4, one_more_per_mm=20.0, brush=0.5, gap_mm=10.0
    ),
}


@dataclass(frozen=True)
class Patient:
    """A CT with its reference masks."""

    ct: Volume
    reference: Volume


def main() -> None:
    """Print the table."""
    options = _options()
    support, queries, names = _cohort(options) if options.cohort else _phantoms(options)
    weights = load_weights(choose_weights("auto", support.ct, torch.device("cpu")))
    background = background_segment(max(names) + 1)
    segments = (*(Segment(value=value, name=name, color=(1, 1, 1)) for value, name in names.items()), background)
    supports = {}
    for title, style in STYLES.items():
        allowed = support.ct.array > IN_THE_BODY_HU
        strokes = strokes_from_mask(support.reference.array, support.ct.spacing, background.value, allowed, style)
        scribbles = LabelMap(support.ct.with_array(strokes), segments)
        supports[title] = prepare_support(support.ct, scribbles, weights, DEFAULT)
    found: dict[str, list[dict[int, float]]] = {title: [] for title in STYLES}
    for query in queries:
        for title, prepared in supports.items():
            mask = segment_query(prepared, query.ct, weights, DEFAULT).pseudo_mask()
            found[title].append(_dice(mask, query.reference, names))
    print(f"Weights {weights.name}; mean Dice of the queries, and of the support itself\n")
    print(f"| | {' | '.join(names.values())} | mean | own |\n| --- |{' ---: |' * (len(names) + 2)}")
    for title, rows in found.items():
        means = [float(np.mean([row[value] for row in rows if value in row])) for value in names]
        grown = resample_labels(supports[title].expansion.soft, support.ct, DEFAULT.smooth_mm)
        own = float(np.mean(list(_dice(grown, support.reference, names).values())))
        print(f"| {title} | " + " | ".join(f"{mean:.2f}" for mean in (*means, np.mean(means), own)) + " |")


def _dice(mask: Volume, reference: Volume, names: Mapping[int, str]) -> dict[int, float]:
    present = [value for value in names if (reference.array == value).any()]
    return {value: dice(mask.array == value, reference.array == value) for value in present}


def _phantoms(options: argparse.Namespace) -> tuple[Patient, Iterator[Patient], dict[int, str]]:
    cases = list(phantom.make_cohort(1 + (options.cases or 6)))
    patients = [Patient(case.ct, case.reference) for case in cases]
    return patients[0], iter(patients[1:]), {segment.value: segment.name for segment in cases[0].present}


def _cohort(options: argparse.Namespace) -> tuple[Patient, Iterator[Patient], dict[int, str]]:
    region = region_of(options.cohort)
    cases: Sequence[str] = cases_of(options.cohort, "train", [options.support])[: options.cases]

    def patient(case: str) -> Patient:
        reference = read_reference(options.cohort, case)
        counts = np.isin(reference.array, list(region.organs))
        return Patient(read_ct(options.cohort, case), reference.with_array(np.where(counts, reference.array, 0)))

    return patient(options.support), (patient(case) for case in cases), dict(region.organs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, help="its train cases instead of phantoms")
    parser.add_argument("--support", default="pt_4")
    parser.add_argument("--cases", type=int, default=None, help="only the first so many")
    return parser.parse_args()


if __name__ == "__main__":
    main()
