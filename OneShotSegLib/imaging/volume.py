"""A 3D image in physical space, with everything in the array's own [z, y, x] order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.grids import RIGHT_ANGLE_TOLERANCE, check_grid

Vector = NDArray[np.float64]

GEOMETRY_TOLERANCE_MM = 1e-3
ROUNDING_ERROR = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class Volume:
    """An array with its grid in the patient, all in [z, y, x] order.

    Attributes:
        array: Voxels, shape (D, H, W).
        spacing: Voxel size in mm, shape (3,).
        origin: Position of voxel (0, 0, 0) in LPS mm, written z, y, x; shape (3,).
        direction: 3x3 matrix; column ``k`` is the unit vector (z, y, x) along which array axis ``k`` runs.
    """

    array: NDArray[Any]
    spacing: Vector
    origin: Vector
    direction: Vector

    @classmethod
    def create(
        cls,
        array: NDArray[Any],
        spacing: ArrayLike = (1.0, 1.0, 1.0),
        origin: ArrayLike = (0.0, 0.0, 0.0),
        direction: ArrayLike | None = None,
    ) -> Volume:
        """Build a volume from plain sequences; the direction defaults to the identity (LPS, axis-aligned)."""
        if array.ndim != 3:
            raise ValueError(f"A volume has 3 axes [z, y, x]; got an array of shape {array.shape}.")
        matrix = np.eye(3) if direction is None else np.array(direction, dtype=np.float64)
        # A rounding error where there should be a 0 can be so small that ITK fails to invert the matrix.
        matrix[np.abs(matrix) < ROUNDING_ERROR] = 0
        return cls(
            array=array,
            spacing=np.asarray(spacing, dtype=np.float64),
            origin=np.asarray(origin, dtype=np.float64),
            direction=matrix,
        )

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        spacing: ArrayLike = (1.0, 1.0, 1.0),
        origin: ArrayLike = (0.0, 0.0, 0.0),
        direction: ArrayLike | None = None,
    ) -> Volume:
        """A volume from an array, for users of the Python interface.

        Args:
            array: Voxels, shape (D, H, W), [z, y, x]; HU for a CT, whole numbers for labels.
            spacing: Voxel size in mm, z, y, x.
            origin: Position of voxel (0, 0, 0) in LPS mm, z, y, x.
            direction: 3x3 matrix; column ``k`` is the unit vector (z, y, x) along which array axis ``k`` runs. The
                identity by default: x to the patient's left, y to the back, z to the head.

        Raises:
            InputError: If the array does not have 3 axes, or the grid is not one of right angles.
        """
        voxels = np.asarray(array)
        if voxels.ndim != 3 or 0 in voxels.shape:
            raise InputError(f"Expected an array with 3 axes [z, y, x], found one of shape {voxels.shape}.")
        steps, position = np.asarray(spacing, dtype=np.float64), np.asarray(origin, dtype=np.float64)
        if steps.shape != (3,) or not np.isfinite(steps).all() or (steps <= 0).any():
            raise InputError(f"Expected a spacing of 3 numbers over 0 (z, y, x, in mm), found {spacing!r}.")
        if position.shape != (3,) or not np.isfinite(position).all():
            raise InputError(f"Expected an origin of 3 numbers (z, y, x, in mm), found {origin!r}.")
        matrix = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.allclose(matrix.T @ matrix, np.eye(3), atol=RIGHT_ANGLE_TOLERANCE):
            raise InputError("Expected a direction of 3 unit vectors at right angles, found another matrix.")
        check_grid("The array", steps, position, matrix)
        return cls.create(voxels, steps, position, matrix)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""
        return self.array.shape

    @property
    def size_mm(self) -> Vector:
        """Extent along the array's axes in mm, voxel edges included; shape (3,)."""
        return np.asarray(self.shape) * self.spacing

    def with_array(self, array: NDArray[Any]) -> Volume:
        """The same grid with other voxels; the shape must be the same."""
        if array.shape != self.shape:
            raise ValueError(f"Expected an array of the grid's shape {self.shape}; got {array.shape}.")
        return replace(self, array=array)

    def to_world(self, index: ArrayLike) -> Vector:
        """Voxel indices (..., 3) to LPS mm positions (..., 3)."""
        return np.asarray(index, dtype=np.float64) * self.spacing @ self.direction.T + self.origin

    def to_index(self, world: ArrayLike) -> Vector:
        """LPS mm positions (..., 3) to continuous voxel indices (..., 3)."""
        inverse = np.linalg.inv(self.direction)
        return (np.asarray(world, dtype=np.float64) - self.origin) @ inverse.T / self.spacing

    def contains(self, world: ArrayLike) -> NDArray[np.bool_]:
        """Whether LPS mm positions (..., 3) lie within the voxels' edges; shape (...)."""
        index = self.to_index(world)
        found: NDArray[np.bool_] = np.all((index >= -0.5) & (index <= np.asarray(self.shape) - 0.5), axis=-1)
        return found

    def same_grid(self, other: Volume) -> bool:
        """Whether two volumes have their voxels at the same positions, to a thousandth of a mm at every corner."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n) for n in self.shape], indexing="ij")).reshape(3, -1).T
        return bool(np.abs(self.to_world(corners) - other.to_world(corners)).max() <= GEOMETRY_TOLERANCE_MM)

    def describe_grid(self) -> str:
        """The grid in words, for messages: voxels, spacing and origin, all as x, y, z."""
        size = " x ".join(str(n) for n in self.shape[::-1])
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing[::-1])
        origin = ", ".join(f"{o:.4g}" for o in self.origin[::-1])
        return f"{size} voxels of {spacing} mm at ({origin})"
