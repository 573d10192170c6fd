"""Conversion between volumes and SimpleITK images: the only place that knows x, y, z order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from OneShotSegLib.imaging.volume import Vector, Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813  (the name under which everybody knows it)


def from_itk(image: sitk.Image) -> Volume:
    """A scalar 3D SimpleITK image as a Volume on the same grid (the voxels are copied)."""
    import SimpleITK as sitk  # noqa: N813

    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    return Volume.create(
        sitk.GetArrayFromImage(image),
        image.GetSpacing()[::-1],
        image.GetOrigin()[::-1],
        direction[::-1, ::-1],
    )


def to_itk(volume: Volume) -> sitk.Image:
    """A Volume as a SimpleITK image on the same grid; a type that SimpleITK lacks becomes the next that holds it."""
    import SimpleITK as sitk  # noqa: N813

    kind = volume.array.dtype
    known: dict[np.dtype, np.dtype] = {np.dtype(bool): np.dtype(np.uint8), np.dtype(np.float16): np.dtype(np.float32)}
    array = volume.array.astype(known.get(kind, kind.newbyteorder("=")), copy=False)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(_floats(volume.spacing))
    image.SetOrigin(_floats(volume.origin))
    image.SetDirection(_floats(volume.direction.ravel()))
    return image


def _floats(values: Vector) -> list[float]:
    return [float(value) for value in values[::-1]]
