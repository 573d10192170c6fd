"""Grids without voxels: what of a volume goes from one process to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from OneShotSegLib.imaging.volume import Vector, Volume


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie; see `Volume`.

    Attributes:
        shape: Number of voxels along z, y, x.
        spacing: In mm.
        origin: In mm.
        direction: 3x3 matrix.
    """

    shape: tuple[int, int, int]
    spacing: Vector
    origin: Vector
    direction: Vector

    @classmethod
    def of(cls, volume: Volume) -> Grid:
        """That of a volume."""
        return cls(volume.shape, volume.spacing, volume.origin, volume.direction)

    @property
    def volume(self) -> Volume:
        """A volume of zeros that take no memory."""
        zeros = np.broadcast_to(np.uint8(0), self.shape)
        return Volume(array=zeros, spacing=self.spacing, origin=self.origin, direction=self.direction)
