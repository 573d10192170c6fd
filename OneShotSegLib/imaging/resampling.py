"""Resampling between a query's own grid and an axis-aligned working grid, and back."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.volume import Vector, Volume


def working_grid(volume: Volume, spacing: ArrayLike) -> Volume:
    """An empty axis-aligned LPS grid of the given spacing that covers the volume.

    The array is a broadcast scalar: it takes no memory until voxels are put in.

    Args:
        volume: Any grid, oblique or not.
        spacing: Working spacing in mm, [z, y, x].
    """
    step = np.asarray(spacing, dtype=np.float64)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.shape], indexing="ij")).reshape(3, -1).T
    world = volume.to_world(corners)
    low, high = world.min(axis=0), world.max(axis=0)
    shape = np.maximum(np.ceil((high - low) / step - 1e-6).astype(int), 1)
    origin = (low + high) / 2 - (shape - 1) / 2 * step
    return Volume.create(np.broadcast_to(np.uint8(0), tuple(shape)), step, origin)


def resample(volume: Volume, grid: Volume, fill: float = 0.0, order: int = 1) -> Volume:
    """Read a volume's intensities on another grid.

    Where the grid is coarser than the volume, the volume is smoothed first, so that no thin structure is stepped over.

    Args:
        volume: What to read, shape (D, H, W).
        grid: Where to read it, shape (D', H', W'); its voxels are not used.
        fill: Value outside the volume.
        order: 0 for the nearest voxel (labels), 1 for linear.

    Returns:
        float32 voxels for linear, the volume's own type for nearest; shape (D', H', W').
    """
    if order == 0:
        image = to_itk(volume)
        return from_itk(_resample_itk(image, grid, fill, sitk.sitkNearestNeighbor))
    image = _anti_aliased(to_itk(volume.with_array(volume.array.astype(np.float32))), volume, grid)
    return from_itk(_resample_itk(image, grid, fill, sitk.sitkLinear))


def _resample_itk(image: sitk.Image, grid: Volume, fill: float, interpolator: int) -> sitk.Image:
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in grid.shape[::-1]])
    resampler.SetOutputSpacing([float(v) for v in grid.spacing[::-1]])
    resampler.SetOutputOrigin([float(v) for v in grid.origin[::-1]])
    resampler.SetOutputDirection([float(v) for v in grid.direction.ravel()[::-1]])
    resampler.SetInterpolator(interpolator)
    resampler.SetDefaultPixelValue(float(fill))
    return resampler.Execute(image)


def _anti_aliased(image: sitk.Image, volume: Volume, grid: Volume) -> sitk.Image:
    """Smooth along each axis whose voxels the grid steps over; sigma 0.35 of the coarser step, as a box would do."""
    target = np.abs(grid.direction.T @ volume.direction).T @ grid.spacing
    ratio = target / volume.spacing
    sigma = np.where(ratio > 1.2, 0.35 * np.sqrt(np.maximum(target**2 - volume.spacing**2, 0)), 0.0)
    for axis, value in enumerate(sigma):
        # The recursive filter needs four voxels along the axis; a thinner image is left as it is.
        if value > 0 and volume.shape[axis] >= 4:
            image = sitk.RecursiveGaussian(image, sigma=float(value), direction=2 - axis)
    return image


def resample_labels(labels: Volume, grid: Volume) -> Volume:
    """Read a label map on another grid: each voxel gets the label with the greatest share of it (ties: the lower).

    Nearest-neighbour reading makes stairs and loses thin structures on coarser grids; shares do not.
    """
    if labels.same_grid(grid):
        return labels
    best = _share(labels, 0, grid)
    result = np.zeros(grid.shape, dtype=labels.array.dtype)
    for value in present_labels(labels.array):
        share = _share(labels, value, grid)
        wins = share > best
        result[wins] = value
        np.maximum(best, share, out=best)
    return grid.with_array(result)


def _share(labels: Volume, value: int, grid: Volume) -> NDArray[np.float32]:
    outside = float(value == 0)
    return resample(labels.with_array((labels.array == value).astype(np.float32)), grid, fill=outside).array


def present_labels(array: NDArray) -> list[int]:
    """The label values over 0 that occur, ascending."""
    return [int(value) for value in np.unique(array) if value > 0]


def paint_points(grid: Volume, world: Vector, values: NDArray) -> NDArray[np.uint8]:
    """Paint labelled points into the voxels that contain them; points outside the grid are left out.

    Where several points fall into one voxel the most frequent label wins (ties: the lower), so that no class overwrites
    another by the order of painting.

    Args:
        grid: Grid, shape (D, H, W).
        world: Positions, shape (N, 3), mm.
        values: Labels over 0, shape (N,).
    """
    index = np.rint(grid.to_index(world)).astype(np.int64)
    inside = np.all((index >= 0) & (index < np.asarray(grid.shape)), axis=1)
    flat = np.ravel_multi_index(tuple(index[inside].T), grid.shape)
    painted = np.zeros(int(np.prod(grid.shape)), dtype=np.uint8)
    votes = np.zeros(painted.shape, dtype=np.int32)
    for value in present_labels(values):
        count = np.bincount(flat[values[inside] == value], minlength=painted.size)
        wins = count > votes
        painted[wins] = value
        votes[wins] = count[wins]
    return painted.reshape(grid.shape)
