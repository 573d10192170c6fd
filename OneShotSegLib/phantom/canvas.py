"""Painting parts, one over the other, on a voxel grid with soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.phantom.shapes import Field, Points, Shape, Vector
from OneShotSegLib.phantom.tissues import AIR, Texture, Tissue

COARSE_STEP = 4
"""Every so many voxels a point is looked at to find the box of voxels that a part can touch."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing in the patient.

    Attributes:
        shape: Where it is, in anatomical mm.
        tissue: Its HU; None paints no HU, only the label.
        label: Value it leaves in the label map; 0 leaves the label map as it is.
        clears_label: Whether it takes its voxels away from the structures painted before.
    """

    shape: Shape
    tissue: Tissue | None
    label: int = 0
    clears_label: bool = False


class Canvas:
    """HU and labels under painting.

    Attributes:
        points: Anatomical position of every voxel in mm, shape (3, D, H, W), z, y, x.
        hu: Painted so far, shape (D, H, W).
        labels: Reference label map so far, shape (D, H, W).
    """

    def __init__(self, points: Points, spacing: Vector, texture: Texture) -> None:
        self.points = points
        self.hu: Field = np.full(points.shape[1:], AIR, dtype=np.float32)
        self.labels: NDArray[np.uint8] = np.zeros(points.shape[1:], dtype=np.uint8)
        self._texture = texture
        # An edge as wide as a voxel is what sampling a sharp surface with square voxels gives on average.
        self._edge_mm = np.float32(np.mean(spacing))
        self._coarse = points[:, ::COARSE_STEP, ::COARSE_STEP, ::COARSE_STEP]
        self._reach = np.asarray(0.7 * COARSE_STEP * spacing + 2.0, dtype=np.float32)

    def paint(self, part: Part) -> None:
        """Paint a part over what is there."""
        box = self._box(part.shape)
        if box is None:
            return
        depth = -part.shape.distance(self.points[(slice(None), *box)])
        if part.tissue is not None:
            cover = np.clip(depth / self._edge_mm + np.float32(0.5), 0, 1)
            values = part.tissue(depth, self._texture.within(box))
            self.hu[box] += cover * (values - self.hu[box])
        if part.label or part.clears_label:
            self.labels[box][depth >= 0] = part.label

    def _box(self, shape: Shape) -> tuple[slice, slice, slice] | None:
        """The voxels that a shape can touch, with a margin for the bends between the coarse points."""
        low, high = shape.low - self._reach, shape.high + self._reach
        near = np.ones(self._coarse.shape[1:], dtype=bool)
        for axis in range(3):
            near &= (self._coarse[axis] >= low[axis]) & (self._coarse[axis] <= high[axis])
        if not near.any():
            return None
        slices = []
        for axis, size in enumerate(self.hu.shape):
            hits = np.flatnonzero(near.any(axis=tuple(other for other in range(3) if other != axis)))
            first, last = hits[0] * COARSE_STEP - COARSE_STEP, hits[-1] * COARSE_STEP + COARSE_STEP + 1
            slices.append(slice(max(0, int(first)), min(size, int(last))))
        return slices[0], slices[1], slices[2]
