"""Displacement fields on a grid of control points: their grid, reading them, and keeping them free of folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method import descriptor_kernels as kernels
from OneShotSegLib.method.filters import box_mean

MIN_JACOBIAN = 0.1
MAX_SMOOTHINGS = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class ControlGrid:
    """A grid of voxels with control points on every few of them, axis-aligned in the support.

    Attributes:
        low: Position of the first voxel and control point, mm, shape (3,).
        spacing: Voxel size, mm, shape (3,).
        step: Voxels from one control point to the next, shape (3,).
        cells: Control points less one along each axis, shape (3,).
    """

    low: Vector
    spacing: Vector
    step: NDArray[np.int64]
    cells: NDArray[np.int64]

    @classmethod
    def around(cls, positions: Vector, spacing: Vector, control_mm: float, margin_mm: float) -> ControlGrid:
        """The smallest grid with a margin around mm positions (N, 3).

        Args:
            positions: What the grid has to hold.
            spacing: Voxel size, mm, shape (3,).
            control_mm: Distance of the control points, to the nearest whole number of voxels.
            margin_mm: Least distance of the positions from the grid's faces.
        """
        step = np.maximum(np.rint(control_mm / spacing), 1).astype(np.int64)
        low, high = positions.min(axis=0) - margin_mm, positions.max(axis=0) + margin_mm
        cells = np.maximum(np.ceil((high - low) / (spacing * step)), 2).astype(np.int64)
        return cls(low=(low + high) / 2 - cells * step * spacing / 2, spacing=spacing, step=step, cells=cells)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple((self.cells * self.step + 1).tolist())

    @property
    def size_mm(self) -> Vector:
        """Distance from the first to the last control point along each axis, shape (3,)."""
        return np.asarray(self.cells * self.step * self.spacing, dtype=np.float64)

    def positions(self, pad: Sequence[int] | NDArray[Any] = (0, 0, 0)) -> Vector:
        """Positions of the voxels, and of ``pad`` more beyond each face; shape (D, H, W, 3), mm."""
        axes = [np.arange(-p, n + p) for p, n in zip(pad, self.shape, strict=True)]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.low + index * self.spacing


@dataclass(frozen=True, eq=False, kw_only=True)
class Displacement:
    """What to add to the affine map, 0 outside the control grid.

    Attributes:
        grid: Where it differs from 0.
        linear: The affine map's linear part, shape (3, 3), applied to row vectors.
        fields: Displacements at the control points in the support, mm, each (3, *cells + 1); the last acts first.
        distance: Descriptor distance with it and, before that, without it.
    """

    grid: ControlGrid
    linear: Vector
    fields: tuple[Tensor, ...] = ()
    distance: tuple[float, float] = (0.0, 0.0)

    def __call__(self, positions: Vector) -> Vector:
        """What to add to the affine map's image of support positions (..., 3); same shape, mm."""
        return (self.within_support(positions) - positions) @ self.linear

    def within_support(self, positions: Vector) -> Vector:
        """Support positions (..., 3), displaced in the support; the affine map then takes them to their place."""
        moved = np.asarray(positions, dtype=np.float64)
        if not self.fields or self.fields[0].device.type != "cpu":
            for field in reversed(self.fields):
                moved = moved + self._read(field, moved)
            return moved
        found = moved.reshape(-1, 3).copy()
        kernels.displace(found, self.grid.low, self.grid.step * self.grid.spacing, self.acting)
        return found.reshape(moved.shape)

    @property
    def acting(self) -> NDArray[np.float32]:
        """The fields in the order in which they act, as the compiled loops take them, (n, d, h, w, 3); on a CPU."""
        size = (len(self.fields), *(self.grid.cells + 1).tolist(), 3)
        fields = [np.moveaxis(field.numpy(), 0, -1) for field in reversed(self.fields)]
        return np.ascontiguousarray(fields, np.float32).reshape(size)

    def _read(self, field: Tensor, positions: Vector) -> Vector:
        normalised = 2 * (positions.reshape(-1, 3) - self.grid.low) / self.grid.size_mm - 1
        points = torch.as_tensor(normalised, dtype=torch.float32, device=field.device).flip(-1)
        values = F.grid_sample(field[None], points[None, None, None], padding_mode="zeros", align_corners=True)
        return values[0, :, 0, 0].T.cpu().numpy().astype(np.float64).reshape(positions.shape)


def fade_to_edge(grid: ControlGrid, margin_mm: float) -> Tensor:
    """1 at the control points well inside the grid, falling to 0 on its faces over half the margin; (*cells + 1)."""
    fade = torch.ones(())
    for cells, control_mm in zip(grid.cells.tolist(), (grid.step * grid.spacing).tolist(), strict=True):
        points = torch.arange(cells + 1)
        from_face = torch.minimum(points, cells - points) * control_mm
        fade = fade[..., None] * (from_face / max(margin_mm / 2, control_mm)).clamp(max=1.0)
    return fade


def without_folds(field: Tensor, fade: Tensor, grid: ControlGrid) -> Tensor:
    """Smooth a field until it folds nowhere; 0 everywhere if it still does at the end."""
    for _ in range(MAX_SMOOTHINGS):
        if least_jacobian(field, grid) >= MIN_JACOBIAN:
            return field
        field = box_mean(field) * fade
    return torch.zeros_like(field)


def least_jacobian(field: Tensor, grid: ControlGrid) -> float:
    """The smallest Jacobian determinant of x -> x + field(x) over the grid's voxels."""
    dense = F.interpolate(field[None], size=grid.shape, mode="trilinear", align_corners=True)[0]
    depth, height, width = (n - 1 for n in grid.shape)
    slopes = [dense.diff(dim=axis + 1)[:, :depth, :height, :width] / float(grid.spacing[axis]) for axis in range(3)]
    for axis, slope in enumerate(slopes):
        slope[axis] += 1
    # Written out: a factorisation of each of so many small matrices takes longer than the alignment's search.
    (a, b, c), (d, e, f), (g, h, i) = zip(*slopes, strict=True)
    return float((a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)).min())
