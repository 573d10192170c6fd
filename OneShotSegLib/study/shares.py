"""``shares.nrrd``: a pseudo mask on the grid on which it grew, with how much of each voxel belongs to its label.

One NRRD of three whole numbers per voxel: the label; the label of the rest, 0 for none; and the label's share in per
cent, 50 to 100. Only the part with structures is kept, with a margin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box, cropped, grown
from OneShotSegLib.imaging.files import read_itk, write_image
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

PER_CENT = 100
MARGIN = 4
LAYERS = 3


def write_shares(soft: SoftLabels, path: Path) -> None:
    """Write a mask with its voxels' shares; the file appears whole or not at all.

    Raises:
        OSError: If it could not be written.
    """
    box = _box(soft)
    part = cropped(soft.labels, box)
    shares = np.rint(np.clip(soft.shares[box], 0.5, 1) * PER_CENT)
    layers = np.stack([part.array, soft.second_labels[box], shares], axis=-1).astype(np.uint8)
    write_image(_image(layers, part), path)


def read_shares(path: Path) -> SoftLabels | None:
    """Read a mask with its voxels' shares; None if there is no such file.

    Raises:
        InputError: If it is there and cannot be read as one.
    """
    import SimpleITK as sitk  # noqa: N813

    if not path.is_file():
        return None
    image = read_itk(path, layers=True)
    array = sitk.GetArrayFromImage(image)
    if array.ndim != 4 or array.shape[3] != LAYERS or array.dtype != np.uint8:
        raise InputError(f"{path}: expected three whole numbers per voxel (label, other label, share), found others.")
    direction = np.asarray(image.GetDirection()).reshape(3, 3)[::-1, ::-1]
    labels = Volume.create(array[..., 0].copy(), image.GetSpacing()[::-1], image.GetOrigin()[::-1], direction)
    shares = np.clip(array[..., 2].astype(np.float32) / PER_CENT, 0.5, 1).astype(np.float32)
    return SoftLabels(labels, array[..., 1].copy(), shares)


def _box(soft: SoftLabels) -> Box:
    """The part with structures; a corner if there is none."""
    box = bounding_box((soft.labels.array > 0) | (soft.second_labels > 0))
    shape = soft.labels.shape
    return tuple(slice(0, min(MARGIN, n)) for n in shape) if box is None else grown(box, MARGIN, shape)


def _image(layers: np.ndarray, grid: Volume) -> sitk.Image:
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(layers, isVector=True)
    image.SetSpacing([float(value) for value in grid.spacing[::-1]])
    image.SetOrigin([float(value) for value in grid.origin[::-1]])
    image.SetDirection([float(value) for value in grid.direction.ravel()[::-1]])
    return image
