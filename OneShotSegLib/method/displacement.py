"""Displacement fields on a grid of control points: their grid, reading them, and keeping them free of folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from OneShotSegLib.imaging.volume import Vector
from OneShotSegLib.method import descriptor_kernels as kernels
from OneShotSegLib.method.filters import box_mean

VoxelBox = tuple[NDArray[np.int64], NDArray[np.int64]]
"""From which voxel to before which."""

MIN_JACOBIAN = 0.1
MAX_SMOOTHINGS = 20
CONSISTENCY_TURNS = 8


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

    def with_control_points(self, control_mm: float) -> ControlGrid:
        """The smallest grid that holds all of this one's voxels, with the control points at another distance.

        Args:
            control_mm: Distance of the control points, to the nearest whole number of voxels.
        """
        step = np.maximum(np.rint(control_mm / self.spacing), 1).astype(np.int64)
        voxels = self.cells * self.step
        cells = np.maximum(-(-voxels // step), 2)
        low = self.low - (cells * step - voxels) // 2 * self.spacing
        return ControlGrid(low=low, spacing=self.spacing, step=step, cells=cells)

    def voxels_after(self, low: Vector) -> NDArray[np.int64]:
        """How many voxels this grid's first one lies after a position of the same lattice, along each axis."""
        return np.rint((self.low - low) / self.spacing).astype(np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple((self.cells * self.step + 1).tolist())

    @property
    def size_mm(self) -> Vector:
        """Distance from the first to the last control point along each axis, shape (3,)."""
        return np.asarray(self.cells * self.step * self.spacing, dtype=np.float64)

    def positions(self, box: VoxelBox | None = None) -> Vector:
        """Positions of the voxels of a box, or of the whole grid; shape (D, H, W, 3), mm.

        Args:
            box: From which voxel to before which; may go beyond the grid's faces.
        """
        first, last = box or (np.zeros(3, np.int64), np.asarray(self.shape))
        axes = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self.low + index * self.spacing

    def control_positions(self) -> Vector:
        """Positions of the control points, shape (*cells + 1, 3), mm."""
        index = np.stack(np.meshgrid(*(np.arange(n + 1) for n in self.cells), indexing="ij"), axis=-1)
        return self.low + index * self.step * self.spacing


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

    def after(self, field: Tensor) -> Displacement:
        """The displacement that first moves by a field (3, *cells + 1) on the same grid, then as this one, as one."""
        points = self.grid.control_positions()
        first = replace(self, fields=(field,)).within_support(points)
        moved = np.moveaxis(self.within_support(first) - points, -1, 0)
        return replace(self, fields=(torch.as_tensor(moved, dtype=torch.float32, device=field.device),))

    def _read(self, field: Tensor, positions: Vector) -> Vector:
        normalised = 2 * (positions.reshape(-1, 3) - self.grid.low) / self.grid.size_mm - 1
        points = torch.as_tensor(normalised, dtype=torch.float32, device=field.device).flip(-1)
        values = F.grid_sample(field[None], points[None, None, None], padding_mode="zeros", align_corners=True)
        return values[0, :, 0, 0].T.cpu().numpy().astype(np.float64).reshape(positions.shape)


def on_control_points(field: Tensor, of: ControlGrid, grid: ControlGrid) -> Tensor:
    """A field (3, d, h, w) given at the control points of one grid, at those of another."""
    found = Displacement(grid=of, linear=np.eye(3), fields=(field,))
    points = grid.control_positions()
    moved = np.moveaxis(found.within_support(points) - points, -1, 0)
    return torch.as_tensor(moved, dtype=torch.float32, device=field.device)


def inverse_consistent(forward: Tensor, backward: Tensor, grid: ControlGrid) -> Tensor:
    """The mean of a field and the inverse of another, found by turns (as in ConvexAdam).

    Args:
        forward: Displacements at the control points from the first image to the second, mm, shape (3, *cells + 1).
        backward: Those from the second to the first.
        grid: Of both.

    Returns:
        A field from the first to the second, shape (3, *cells + 1).
    """
    device = forward.device
    size = torch.as_tensor(grid.size_mm, dtype=torch.float32, device=device)
    points = torch.as_tensor(grid.control_positions() - grid.low, dtype=torch.float32, device=device).movedim(-1, 0)
    half = size[:, None, None, None] / 2

    def read(field: Tensor, moved: Tensor) -> Tensor:
        at = ((points + moved) / half - 1).movedim(0, -1).flip(-1)
        return F.grid_sample(field[None], at[None], padding_mode="zeros", align_corners=True)[0]

    for _ in range(CONSISTENCY_TURNS):
        forward, backward = (forward - read(backward, forward)) / 2, (backward - read(forward, backward)) / 2
    return forward


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
