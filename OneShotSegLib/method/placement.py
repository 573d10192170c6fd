"""Where a support lies in a query: the affine fit with the local displacement on top, read in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.displacement import Displacement
from OneShotSegLib.method.fitting import AffineMap

INVERSION_STEPS = 8
LATTICE = 3  # voxels from one place to the next where the map is inverted; between them it is interpolated


@dataclass(frozen=True, eq=False, kw_only=True)
class Placement:
    """A map between a support and a query.

    Attributes:
        affine: The fit, support to query.
        displacement: What the alignment adds to it; None for nothing.
    """

    affine: AffineMap
    displacement: Displacement | None

    def to_query(self, positions: Vector) -> Vector:
        """Support positions (..., 3) to query positions (..., 3), mm."""
        return self.affine(positions if self.displacement is None else self.displacement.within_support(positions))

    def to_support(self, positions: Vector) -> Vector:
        """Query positions (..., 3) to support positions (..., 3), mm.

        The displacement has no closed inverse: it is found by fixed-point iteration, which converges since the field
        folds nowhere.
        """
        undone = self.affine.inverse()(positions)
        if self.displacement is None:
            return undone
        found = undone
        for _ in range(INVERSION_STEPS):
            found = undone - (self.displacement.within_support(found) - found)
        return found

    def support_positions(self, grid: Volume) -> NDArray[np.float32]:
        """The support positions of all voxels of a grid in the query, shape (3, D, H, W), mm.

        Args:
            grid: Axis-aligned, in the query, shape (D, H, W).
        """
        shape = np.asarray(grid.shape)
        counts = -(-(shape - 1) // LATTICE) + 1
        index = np.stack(np.meshgrid(*(np.arange(n) * LATTICE for n in counts), indexing="ij"), axis=-1)
        found = torch.as_tensor(np.moveaxis(self.to_support(grid.to_world(index)), -1, 0), dtype=torch.float32)
        size = ((counts - 1) * LATTICE + 1).tolist()
        dense = F.interpolate(found[None], size=size, mode="trilinear", align_corners=True)[0]
        positions: NDArray[np.float32] = dense[:, : shape[0], : shape[1], : shape[2]].numpy()
        return positions


def read_at(volume: Volume, positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """A volume's values, interpolated linearly, 0 outside it.

    Args:
        volume: Any grid, shape (D', H', W').
        positions: Where to read it, mm, shape (3, D, H, W).

    Returns:
        Shape (D, H, W).
    """
    # From mm to indices by one matrix; grid_sample counts from the voxels' edges, -1 to 1, x first.
    to_index = np.linalg.inv(volume.direction) / volume.spacing[:, None]
    extent = np.asarray(volume.shape, dtype=np.float64)
    matrix = 2 * to_index / extent[:, None]
    offset = (1 - 2 * to_index @ volume.origin) / extent - 1
    points = torch.as_tensor(positions).reshape(3, -1)
    normalised = torch.as_tensor(matrix, dtype=torch.float32) @ points
    normalised += torch.as_tensor(offset, dtype=torch.float32)[:, None]
    image = torch.as_tensor(np.ascontiguousarray(volume.array), dtype=torch.float32)[None, None]
    sampled = F.grid_sample(image, normalised.flip(0).T[None, None, None], padding_mode="zeros", align_corners=False)
    values: NDArray[np.float32] = sampled.reshape(positions.shape[1:]).numpy()
    return values
