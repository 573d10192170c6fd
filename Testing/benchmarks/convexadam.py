"""ConvexAdam as a baseline: one labelled CT registered to each query by the published package.

    python -m venv CONVEXADAM && CONVEXADAM/bin/pip install torch convexAdam
    python Testing/benchmarks/convexadam.py --cohort COHORT --support pt_4 --convexadam-python CONVEXADAM/bin/python

Siebert et al., IEEE TMI 2024: MIND descriptors, coupled convex search, then gradient descent. It wants both scans near
each other on one grid: the affine map of ``registration.py`` brings the support onto the query's, around the strokes.
The package runs on the CPU in an interpreter of its own (or CONVEXADAM_PYTHON), for it brings its own libraries. Its
settings are its own but for one, chosen on train cases. What is warped and the tables are as in ``registration.py``.
Seconds are those of the affine map, of the package's call, and of warping; not of starting its interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from atlas import Atlas, Scan
from machine import Took, timed
from numpy.typing import NDArray
from registration import atlas_of, options_of, warp_all

from OneShotSegLib.imaging.volume import Volume

# Runs in the other interpreter; it has NumPy and ConvexAdam, nothing of ours.
WORKER = r"""
import json, sys, time
import numpy as np, torch
from convexAdam.convex_adam_MIND import convex_adam_pt
folder, settings = sys.argv[1], json.loads(sys.argv[2])
fixed, moving = np.load(folder + "/fixed.npy"), np.load(folder + "/moving.npy")
start, busy = time.perf_counter(), time.process_time()
displacement = convex_adam_pt(fixed, moving, device=torch.device("cpu"), dtype=torch.float32, **settings)
took = {"clock": time.perf_counter() - start, "cpu": time.process_time() - busy}
np.save(folder + "/displacement.npy", displacement)
print(json.dumps(took))
"""


@dataclass(frozen=True, kw_only=True)
class ConvexAdamSettings:
    """The package's own settings, by its names; lengths in voxels of the common grid.

    Attributes:
        mind_r: Radius of the patches that MIND compares.
        mind_d: Their distance.
        grid_sp: Distance of the control points of the search.
        disp_hw: Largest displacement of the search, in control points.
        grid_sp_adam: Distance of the control points of the gradient descent.
        selected_niter: Its iterations.
        lambda_weight: Its weight of smoothness; the package's own is 1.25.
        selected_smooth: Width of the smoothing of the result; 0 for none.
    """

    mind_r: int = 1
    mind_d: int = 2
    grid_sp: int = 6
    disp_hw: int = 4
    grid_sp_adam: int = 2
    selected_niter: int = 80
    lambda_weight: float = 0.75
    selected_smooth: int = 0


def main() -> None:
    """Register each case once, print a table for each way."""
    parser = options_of(__doc__)
    parser.add_argument("--convexadam-python", default=os.environ.get("CONVEXADAM_PYTHON"), metavar="PYTHON")
    options = parser.parse_args()
    if not options.convexadam_python:
        parser.error("--convexadam-python: expected an interpreter that has ConvexAdam.")
    atlas, settings = atlas_of(options), ConvexAdamSettings()
    warp_all("convexadam", options, lambda query: register(atlas, query, options.convexadam_python, settings))


def register(atlas: Atlas, query: Volume, python: str, settings: ConvexAdamSettings) -> tuple[sitk.Transform, Took]:
    """The map from a query's positions to the atlas's, and the time that took."""
    with timed() as ours:
        scan = Scan.of(query, atlas.settings)
        affine = atlas.affine(scan)
        grid = common_grid(atlas.near_strokes(scan, affine), settings)
        fixed = _on_grid(scan, grid, sitk.Transform())
        moving = _on_grid(atlas.scan, grid, affine)
    voxels, theirs = run_convexadam(fixed, moving, python, settings)
    with timed() as rest:
        displacement = displacement_transform(voxels, grid)
    return sitk.CompositeTransform([affine, displacement]), ours + theirs + rest  # the last one acts first


def common_grid(near: Scan, settings: ConvexAdamSettings) -> sitk.Image:
    """The part of a query's grid that holds its region, larger where the package's control points need it.

    It stretches the control points' lattice over the whole grid, which fits only if their distance divides its size.
    """
    part = near.cropped()
    step = int(np.lcm(settings.grid_sp, settings.grid_sp_adam))
    size = np.array(part.GetSize())
    wanted = -(-size // step) * step
    grid = sitk.Image(wanted.tolist(), sitk.sitkUInt8)
    grid.SetSpacing(part.GetSpacing())
    grid.SetDirection(part.GetDirection())
    grid.SetOrigin(part.TransformContinuousIndexToPhysicalPoint((-(wanted - size) / 2).tolist()))
    return grid


def _on_grid(scan: Scan, grid: sitk.Image, to_scan: sitk.Transform) -> NDArray[np.float32]:
    lowest = float(sitk.GetArrayViewFromImage(scan.image).min())
    return sitk.GetArrayFromImage(sitk.Resample(scan.image, grid, to_scan, sitk.sitkLinear, lowest))


def run_convexadam(
    fixed: NDArray[np.float32], moving: NDArray[np.float32], python: str, settings: ConvexAdamSettings
) -> tuple[NDArray[np.float64], Took]:
    """The displacement in voxels [z, y, x] at each voxel of the fixed image, shape (D, H, W, 3), and its time."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "fixed.npy", fixed)
        np.save(Path(folder) / "moving.npy", moving)
        command = [python, "-c", WORKER, folder, json.dumps(asdict(settings))]
        # Our own packages are not for the other interpreter.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
        took = Took(**json.loads(done.stdout.splitlines()[-1]))
        return np.load(Path(folder) / "displacement.npy"), took


def displacement_transform(voxels: NDArray[np.float64], grid: sitk.Image) -> sitk.Transform:
    """A displacement in voxels [z, y, x] as a transform in mm; it is 0 outside the grid."""
    field = sitk.GetImageFromArray(voxels[..., ::-1] * np.array(grid.GetSpacing()), isVector=True)
    field.CopyInformation(grid)
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


if __name__ == "__main__":
    main()
