"""Slicer's x, y, z RAS geometry <-> the z, y, x LPS geometry of a Volume: the only place that knows both."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util import numpy_support

from OneShotSegLib.imaging.volume import Vector, Volume

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
SHEAR_TOLERANCE = 1e-5


def from_ras(array: NDArray[Any], spacing: Vector, origin: Vector, directions: NDArray[Any]) -> Volume:
    """A Volume from an array [z, y, x] and Slicer's x, y, z geometry.

    Args:
        array: Voxels, shape (D, H, W).
        spacing: mm along i, j, k.
        origin: RAS position of the first voxel.
        directions: 3x3; column 0 is the unit RAS vector along i, and so on.
    """
    lps = np.asarray(directions, dtype=np.float64) * RAS_TO_LPS[:, None]
    place = np.asarray(origin, dtype=np.float64) * RAS_TO_LPS
    # + 0.0 turns the -0.0 of the flips into 0.0.
    return Volume.create(array, np.asarray(spacing)[::-1], place[::-1] + 0.0, lps[::-1, ::-1] + 0.0)


def to_ras(grid: Volume) -> tuple[Vector, Vector, NDArray[Any]]:
    """Spacing, origin, directions of a Volume in Slicer's convention; the inverse of `from_ras`."""
    directions = grid.direction[::-1, ::-1] * RAS_TO_LPS[:, None] + 0.0
    return grid.spacing[::-1].copy(), grid.origin[::-1] * RAS_TO_LPS + 0.0, directions


def to_ras_point(world: Vector) -> tuple[float, float, float]:
    """An LPS position [z, y, x] as a RAS position (x, y, z)."""
    x, y, z = np.asarray(world, dtype=np.float64)[::-1] * RAS_TO_LPS
    return float(x), float(y), float(z)


def from_ras_point(point: tuple[float, float, float]) -> Vector:
    """A RAS position (x, y, z) as an LPS position [z, y, x]; the inverse of `to_ras_point`."""
    lps: Vector = np.asarray(point, dtype=np.float64) * RAS_TO_LPS
    return lps[::-1]


def ijk_to_ras(grid: Volume) -> NDArray[Any]:
    """The 4x4 matrix from voxel i, j, k to RAS mm."""
    spacing, origin, directions = to_ras(grid)
    matrix = np.eye(4)
    matrix[:3, :3] = directions * spacing
    matrix[:3, 3] = origin
    return matrix


def split_matrix(matrix: NDArray[Any]) -> tuple[Vector, Vector, NDArray[Any]] | None:
    """Spacing, origin, directions of a 4x4 matrix; None if it shears, which no image grid can."""
    axes = matrix[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    directions = axes / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > SHEAR_TOLERANCE:
        return None
    return spacing, matrix[:3, 3].copy(), directions


def numpy_matrix(matrix: Any) -> NDArray[Any]:
    """A vtkMatrix4x4 as a 4x4 array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_matrix(matrix: NDArray[Any]) -> Any:
    """A 3x3 or 4x4 array as a vtkMatrix4x4."""
    result = vtk.vtkMatrix4x4()
    for (row, column), value in np.ndenumerate(matrix):
        result.SetElement(row, column, float(value))
    return result


def image_array(image: Any) -> NDArray[Any]:
    """The voxels of a vtkImageData as an array [z, y, x] on the same memory."""
    size = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    if scalars is None or 0 in size:
        return np.zeros(size[::-1], dtype=np.uint8)
    found: NDArray[Any] = numpy_support.vtk_to_numpy(scalars).reshape(size[::-1])
    return found


def fill_image(image: Any, array: NDArray[Any]) -> Any:
    """Give a vtkImageData the voxels of an array, which it then shares and keeps alive."""
    voxels = np.ascontiguousarray(array)
    scalars = numpy_support.numpy_to_vtk(voxels.ravel(), deep=False)
    image.SetDimensions(*voxels.shape[::-1])
    image.GetPointData().SetScalars(scalars)
    return image
