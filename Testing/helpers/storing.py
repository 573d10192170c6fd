"""One scan stored in other ways: with other axes, turned, with other voxels. What is found in it is to be the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.resampling import resample
from OneShotSegLib.imaging.volume import Volume

TURN_DEGREES = (8, -6, 12)
VOXELS = (0.8, 1.15, 1.15)
AIR_HU = -1000


def stored_in_ras(ct: Volume) -> Volume:
    """The voxels in the order of RAS: none is changed."""
    return from_itk(sitk.DICOMOrient(to_itk(ct), "RAS"))


def stored_with_permuted_axes(ct: Volume) -> Volume:
    """Sagittal slices: no voxel is changed."""
    return from_itk(sitk.DICOMOrient(to_itk(ct), "SAL"))


def stored_obliquely(ct: Volume) -> Volume:
    """On a grid of the same voxel size that is turned about all axes: every voxel is interpolated."""
    turn = Rotation.from_euler("zyx", TURN_DEGREES, degrees=True).as_matrix()
    centre = ct.to_world((np.asarray(ct.shape) - 1) / 2)
    shape = np.ceil(np.asarray(ct.shape) * 1.15).astype(int)
    oblique = Volume.create(np.zeros(shape, np.uint8), ct.spacing, direction=turn)
    placed = Volume(
        array=oblique.array, spacing=ct.spacing, origin=centre - oblique.to_world((shape - 1) / 2), direction=turn
    )
    return resample(ct, placed, fill=AIR_HU)


def stored_with_other_spacing(ct: Volume) -> Volume:
    """With thinner slices and larger pixels: every voxel is interpolated."""
    spacing = ct.spacing * VOXELS
    shape = np.ceil(ct.size_mm / spacing).astype(int)
    return resample(ct, Volume.create(np.zeros(shape, np.uint8), spacing, ct.origin), fill=AIR_HU)


WAYS_OF_STORING: Mapping[str, Callable[[Volume], Volume]] = {
    "RAS": stored_in_ras,
    "permuted axes": stored_with_permuted_axes,
    "oblique": stored_obliquely,
    "other spacing": stored_with_other_spacing,
}
