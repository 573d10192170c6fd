"""Painting parts, one over the other, on a voxel grid with partial volume at their edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.boxes import Box, bounding_box, box_between, grown
from OneShotSegLib.phantom.shapes import Field, Points, Shape, Vector
from OneShotSegLib.phantom.tissues import AIR, Texture, Tissue

COARSE_STEP = 4
"""Step, in voxels, of the points from which the box of voxels that a part can touch is found."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the patient.

    Attributes:
        shape: Its shape, in anatomical mm.
        tissue: Its HU; None paints no HU, only the label.
        label: Its value in the label map; 0 leaves the label map as it is.
        clears_label: Whether it removes the structures painted before from its voxels.
    """

    shape: Shape
    tissue: Tissue | None
    label: int = 0
    clears_label: bool = False


class Canvas:
    """The HU and labels that parts are painted on.

    Attributes:
        points: Anatomical position of every voxel in mm, shape (3, D, H, W), z, y, x.
        hu: HU painted so far, shape (D, H, W).
        labels: Reference label map painted so far, shape (D, H, W).
    """

    def __init__(self, points: Points, spacing: Vector, texture: Texture) -> None:
        self.points = points
        self.hu: Field = np.full(points.shape[1:], AIR, dtype=np.float32)
        self.labels: NDArray[np.uint8] = np.zeros(points.shape[1:], dtype=np.uint8)
        self._texture = texture
        # A sharp surface sampled by voxels gives an edge as wide as a voxel on average.
        self._edge_mm = np.float32(np.mean(spacing))
        self._coarse = points[:, ::COARSE_STEP, ::COARSE_STEP, ::COARSE_STEP]
        self._margin_mm = np.asarray(0.7 * COARSE_STEP * spacing + 2.0, dtype=np.float32)

    def paint(self, part: Part) -> None:
        """Paint a part over the earlier ones."""
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

    def _box(self, shape: Shape) -> Box | None:
        """The box of voxels that a shape can touch, with a margin for the deformation between the coarse points."""
        low, high = shape.low - self._margin_mm, shape.high + self._margin_mm
        near = np.ones(self._coarse.shape[1:], dtype=bool)
        for axis in range(3):
            near &= (self._coarse[axis] >= low[axis]) & (self._coarse[axis] <= high[axis])
        coarse = bounding_box(near)
        if coarse is None:
            return None
        first, last = [part.start for part in coarse], [part.stop - 1 for part in coarse]
        touched = box_between(COARSE_STEP * np.array(first), COARSE_STEP * np.array(last) + 1)
        return grown(touched, COARSE_STEP, self.hu.shape)
