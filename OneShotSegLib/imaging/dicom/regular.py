"""Tilted or unevenly spaced slices read onto a regular grid, and label maps of that grid brought back onto the slices.

The grid has the slices' own pixels and orientation, widened by whole pixels until it holds them all. Its planes lie at
equal steps from the first slice to the last: the step is the lower quartile of the gaps, made to fit in a whole number
of times, so that an evenly spaced series, or one that lacks a slice, keeps its slices' own planes. Values are
interpolated linearly, first within each slice and then between the two slices next to a plane; around them is air.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.dicom.stacking import Stack
from OneShotSegLib.imaging.grids import Vector, check_grid
from OneShotSegLib.imaging.intensity import AIR_HU
from OneShotSegLib.imaging.volume import Volume

MAX_VOXELS = 2**31
ROUNDING = 1e-6
QUARTILE = 0.25


@dataclass(frozen=True, eq=False, kw_only=True)
class StackGrid:
    """The regular grid of a stack.

    Attributes:
        shape: Planes, rows and columns.
        step: Distance between planes, mm.
        shifts: Row and column of each slice's pixel (0, 0) in the grid, shape (N, 2).
        planes: Plane of each slice in the grid, shape (N,), fractional.
        origin: Position of voxel (0, 0, 0), LPS mm, x, y, z.
    """

    shape: tuple[int, int, int]
    step: float
    shifts: Vector
    planes: Vector
    origin: Vector


def grid_of(stack: Stack, name: object) -> StackGrid:
    """The regular grid for a stack; its slices' own where they are regular.

    Args:
        stack: The slices.
        name: What sentences begin with.

    Raises:
        InputError: If it is too large, or its planes lie too near or too far apart.
    """
    extent = float(stack.along[-1])
    count = len(stack.slices) - 1
    if not stack.is_even:
        count = max(1, round(extent / float(np.quantile(np.diff(stack.along), QUARTILE))))
    step = extent / count
    position = np.asarray(stack.slices[0].position, dtype=np.float64)
    shifts = np.zeros((len(stack.slices), 2))
    if not stack.is_straight:
        shifts = stack.shifts[:, ::-1] / stack.pixel  # along columns, along rows: in rows, in columns
    low = np.floor(shifts.min(axis=0) + ROUNDING).astype(int)
    high = np.ceil(shifts.max(axis=0) - ROUNDING).astype(int)
    rows, columns = np.asarray(stack.size) + high - low
    shape = (count + 1, int(rows), int(columns))
    if math.prod(shape) > MAX_VOXELS:
        found = " x ".join(str(n) for n in shape)
        raise InputError(f"{name}: expected at most 2^31 voxels, found a series of {found}.")
    origin = position + stack.column * (low[0] * stack.pixel[0]) + stack.row * (low[1] * stack.pixel[1])
    check_grid(
        name, (stack.pixel[1], stack.pixel[0], step), origin, np.array([stack.row, stack.column, stack.normal]).T
    )
    planes = np.arange(len(stack.slices), dtype=np.float64) if stack.is_even else stack.along / step
    return StackGrid(shape=shape, step=step, shifts=shifts - low, planes=planes, origin=origin)


def volume_on(stack: Stack, grid: StackGrid, array: NDArray[Any]) -> Volume:
    """An array on the grid as a volume.

    Args:
        stack: The slices.
        grid: Their grid.
        array: Shape as the grid's.
    """
    axes = np.array([stack.normal[::-1], stack.column[::-1], stack.row[::-1]]).T
    return Volume.create(array, (grid.step, *stack.pixel), grid.origin[::-1], axes)


def regular_array(stack: Stack, grid: StackGrid, pixels: NDArray[Any]) -> NDArray[Any]:
    """The slices' pixels on the grid.

    Args:
        stack: The slices.
        grid: Their grid.
        pixels: Shape (N, rows, columns).

    Returns:
        Shape as the grid's; whole numbers stay such.
    """
    if stack.is_regular:
        return pixels
    fill = max(AIR_HU, float(pixels.min()))
    result = np.empty(grid.shape, dtype=pixels.dtype)
    placed: dict[int, NDArray[Any]] = {}
    for plane in range(grid.shape[0]):
        lower, upper, share = _neighbours(grid.planes, plane)
        placed = {k: placed[k] if k in placed else _placed(pixels[k], grid, k, fill) for k in (lower, upper)}
        values = placed[lower] * (1 - share) + placed[upper] * share
        result[plane] = np.rint(values) if pixels.dtype.kind in "iu" else values
    return result


def _neighbours(planes: Vector, plane: int) -> tuple[int, int, float]:
    """The slices below and above a plane, and the share of the one above."""
    upper = int(np.clip(np.searchsorted(planes, plane - ROUNDING), 0, len(planes) - 1))
    lower = max(upper - 1, 0)
    if upper == lower or abs(planes[upper] - plane) <= ROUNDING:
        return upper, upper, 0.0
    return lower, upper, float(np.clip((plane - planes[lower]) / (planes[upper] - planes[lower]), 0, 1))


def _placed(pixels: NDArray[Any], grid: StackGrid, number: int, fill: float) -> NDArray[np.float64]:
    """A slice in the rows and columns of the grid, by linear interpolation."""
    canvas = np.full(grid.shape[1:], fill)
    whole = np.floor(grid.shifts[number] + ROUNDING).astype(int)
    rows, columns = pixels.shape
    canvas[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = pixels
    for axis in (0, 1):
        share = float(grid.shifts[number][axis] - whole[axis])
        if share > ROUNDING:
            moved = np.roll(canvas, 1, axis=axis)  # what comes in from the other side is the last, which is air
            canvas = (1 - share) * canvas + share * moved
    return canvas


def labels_on_slices(labels: Volume, stack: Stack) -> NDArray[np.uint8]:
    """A label map read on the planes of the slices themselves: each pixel gets the label of the voxel that it lies in.

    Args:
        labels: Any grid.
        stack: The slices.

    Returns:
        Shape (N, rows, columns); 0 where the label map does not reach.
    """
    rows, columns = stack.size
    result = np.zeros((len(stack.slices), rows, columns), dtype=labels.array.dtype)
    for number, one in enumerate(stack.slices):
        corner = np.asarray(one.position, dtype=np.float64)
        if stack.is_regular:
            corner = np.asarray(stack.slices[0].position) + stack.normal * (
                float(stack.along[-1]) / (len(stack.slices) - 1) * number
            )
        ends = np.array([corner, corner + stack.column * stack.pixel[0], corner + stack.row * stack.pixel[1]])
        start, down, across = labels.to_index(ends[:, ::-1])
        index = (
            start
            + (down - start) * np.arange(rows)[:, None, None]
            + (across - start) * np.arange(columns)[None, :, None]
        )
        voxels = np.rint(index).astype(np.int64)
        inside = ((voxels >= 0) & (voxels < labels.shape)).all(axis=-1)
        result[number][inside] = labels.array[tuple(voxels[inside].T)]
    return result
