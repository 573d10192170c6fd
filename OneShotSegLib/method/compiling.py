"""Compiles the loops ahead of the first case, which would else wait: ``python -m OneShotSegLib.method.compiling``.

What is compiled is kept next to the source, or in the user's cache folder (`OneShotSegLib.geodesic.compiled`).
"""

from __future__ import annotations

import numpy as np
import torch

from OneShotSegLib.geodesic import IntensityCost, nearest_two
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.alignment import AlignmentSettings, align, prepare_alignment
from OneShotSegLib.method.displacement import Displacement
from OneShotSegLib.method.fitting import AffineMap
from OneShotSegLib.method.propagation import PreparedCT
from OneShotSegLib.networks.patches import PatchSource

VOXELS = 24


def compile_loops() -> None:
    """Run each compiled loop of the default method once, on a few made voxels of the types that a case has."""
    image = np.random.default_rng(0).random((VOXELS,) * 3).astype(np.float32)
    ct = Volume.create(image, (3.0, 4.0, 4.0))
    source = PatchSource.from_volume(ct)
    prepared = PreparedCT(ct=ct, coarse=source, fine=source, fine_volume=ct)
    strokes = ct.to_world([(10, 10, 10), (14, 14, 14)])
    settings = AlignmentSettings()
    still = AffineMap(np.zeros(3), np.eye(3), np.zeros(3))
    reference = prepare_alignment(prepared, strokes, settings)
    align(reference, prepared, still, settings)
    field = torch.zeros(3, *reference.grid.cells + 1)
    Displacement(grid=reference.grid, linear=np.eye(3), fields=(field,))(strokes)
    seeds = np.zeros(image.shape, np.uint8)
    seeds[2, 2, 2], seeds[20, 20, 20] = 1, 2
    nearest_two(image, seeds, ct.spacing, IntensityCost(1.0, 0.005), region=np.ones(image.shape, bool))


if __name__ == "__main__":
    compile_loops()
