"""How much a scan's masks depend on how it is stored: Dice in world space with the mask of the scan as it was.

    python Testing/benchmarks/storage.py                     phantom patients with voxels of 3 x 2.2 x 2.2 mm
    python Testing/benchmarks/storage.py --coarseness 0.5    with voxels of 1.5 x 1.1 x 1.1 mm

Each query is stored in other ways (``Testing.helpers.storing``), segmented there by the default method, and its
mask is read back on the query's own grid. "all" counts the voxels of all structures together. "strokes apart" is the
mean distance between where the strokes arrived in the two scans, "reference" the mean Dice with the reference masks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from OneShotSegLib import phantom
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.pipeline import Candidate, segment_query
from OneShotSegLib.method.settings import DEFAULT
from OneShotSegLib.method.support import prepare_support
from OneShotSegLib.networks.weights import load_weights, resolve_weights
from OneShotSegLib.phantom import PhantomCase
from OneShotSegLib.scoring.overlap import dice

sys.path.insert(0, str(Path(__file__).parents[2]))
from Testing.helpers.storing import WAYS_OF_STORING


def main() -> None:
    """Print the table."""
    options = _options()
    weights = load_weights(resolve_weights("phantom"))
    case = phantom.make_patient(0, coarseness=options.coarseness)
    scribbles = LabelMap(phantom.scribbles(case), (*case.present, phantom.BACKGROUND))
    support = prepare_support(case.ct, scribbles, weights, DEFAULT)
    names = [segment.name for segment in phantom.STRUCTURES]
    print(f"| patient, stored as | {' | '.join(names)} | all | strokes apart, mm | reference |")
    print(f"| --- |{' ---: |' * (len(names) + 3)}")
    for number in range(1, options.patients + 1):
        patient = phantom.make_patient(number, coarseness=options.coarseness)
        straight = segment_query(support, patient.ct, weights, DEFAULT)
        _print_row(f"{number}, as it is", straight, straight, patient)
        for title, stored in WAYS_OF_STORING.items():
            _print_row(
                f"{number}, {title}", segment_query(support, stored(patient.ct), weights, DEFAULT), straight, patient
            )


def _print_row(title: str, result: Candidate, straight: Candidate, patient: PhantomCase) -> None:
    mask, expected = _on_grid(result, patient.ct), straight.pseudo_mask().array
    values = [segment.value for segment in phantom.STRUCTURES]
    each = [dice(mask == value, expected == value) for value in values]
    moved = result.propagation.points.positions - straight.propagation.points.positions
    reference = patient.reference.array
    against_reference = np.mean(
        [dice(mask == segment.value, reference == segment.value) for segment in patient.present]
    )
    figures = [f"{figure:.2f}" for figure in each]
    figures += [
        f"{dice(mask > 0, expected > 0):.3f}",
        f"{np.linalg.norm(moved, axis=1).mean():.2f}",
        f"{against_reference:.2f}",
    ]
    print(f"| {title} | {' | '.join(figures)} |", flush=True)


def _on_grid(result: Candidate, grid: Volume) -> np.ndarray:
    return resample_labels(result.pseudo_mask(), grid).array


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=3, help="how many queries")
    parser.add_argument("--coarseness", type=float, default=1.0, help="factor on the phantoms' voxel size")
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
