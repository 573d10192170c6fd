"""Resampling of intensities, and the axis-aligned working grids to which scans are resampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.imaging.boxes import (
    corners,
    whole_box,
)
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.volume import Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

LEAST_SMOOTHED = 4  # voxels that the recursive filter needs along an axis
NEGLIGIBLE = 1e-9  # weight below which a voxel is not read
ROWS = 32  # rows of a volume that are converted to floating-point numbers at a time


def working_grid(volume: Volume, spacing: ArrayLike) -> Volume:
    """An empty axis-aligned LPS grid of the given spacing that covers the volume.

    Its voxels lie at whole multiples of the spacing from the patient's origin, so that one scan stored in two ways is
    sampled at the same positions. The array is a broadcast scalar: it takes no memory until voxels are put in.

    Args:
        volume: Any grid, oblique or not.
        spacing: Working spacing in mm, [z, y, x].
    """
    step = np.asarray(spacing, dtype=np.float64)
    world = volume.to_world(corners(whole_box(volume.shape)))
    first = np.floor(world.min(axis=0) / step + 0.5 + 1e-6).astype(int)
    last = np.maximum(np.ceil(world.max(axis=0) / step - 0.5 - 1e-6).astype(int), first)
    return Volume.create(np.broadcast_to(np.uint8(0), tuple(last - first + 1)), step, first * step)


def resample(volume: Volume, grid: Volume, fill: float = 0.0, order: int = 1) -> Volume:
    """Resample a volume's intensities to another grid.

    Where the grid is coarser than the volume, the volume is smoothed first, so that no thin structure is skipped.
    Between grids of the same directions smoothing and interpolation are one product of matrices per axis: the volume
    shrinks on the way, and is never converted to floating-point numbers as a whole.

    Args:
        volume: The volume, shape (D, H, W).
        grid: The grid of the result, shape (D', H', W'); its voxels are not used.
        fill: Value outside the volume.
        order: 0 for the nearest voxel (labels), 1 for linear.

    Returns:
        float32 voxels for linear, the volume's own type for nearest; shape (D', H', W').
    """
    import SimpleITK as sitk  # noqa: N813

    if order == 0:
        image = to_itk(volume)
        return from_itk(_resample_itk(image, grid, fill, sitk.sitkNearestNeighbor))
    sigma = _smoothing(volume, grid)
    if _is_parallel(volume, grid) and _is_finite(volume.array):
        return grid.with_array(_read_along_axes(volume, grid, sigma, fill))
    image = _smoothed(to_itk(volume.with_array(volume.array.astype(np.float32))), sigma)
    return from_itk(_resample_itk(image, grid, fill, sitk.sitkLinear))


def _is_parallel(volume: Volume, grid: Volume) -> bool:
    """Whether the axes are the same ones, to a hundredth of a voxel over the whole grid."""
    turn = np.abs(volume.direction - grid.direction).max()
    return bool(turn * max(grid.shape) < 0.01)


def _is_finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iub" or bool(np.isfinite(array).all())


def _read_along_axes(volume: Volume, grid: Volume, sigma: NDArray[Any], fill: float) -> NDArray[np.float32]:
    """Smooth and interpolate linearly along z, y and x in turn."""
    first = volume.to_index(grid.origin)
    step = grid.spacing / volume.spacing
    axes = [
        _axis_weights(count, at + np.arange(n) * by, width / spacing)
        for count, at, n, by, width, spacing in zip(
            volume.shape, first, grid.shape, step, sigma, volume.spacing, strict=True
        )
    ]
    z, y, x = axes
    array = volume.array[tuple(axis.used for axis in axes)]
    depth, height, width = array.shape
    slabs = np.empty((grid.shape[0], height, width), dtype=np.float32)
    for row in range(0, height, ROWS):
        part = np.ascontiguousarray(array[:, row : row + ROWS], dtype=np.float32)
        slabs[:, row : row + ROWS] = (z.weights @ part.reshape(depth, -1)).reshape(-1, *part.shape[1:])
    result = np.empty(grid.shape, dtype=np.float32)
    for slab, target in zip(slabs, result, strict=True):
        np.matmul(y.weights @ slab, x.weights.T, out=target)
    result[~z.inside] = fill
    result[:, ~y.inside] = fill
    result[:, :, ~x.inside] = fill
    return result


class _AxisWeights(NamedTuple):
    """How n positions along one axis are interpolated.

    Attributes:
        weights: Of each used voxel for each position, shape (n, used voxels).
        used: The voxels that are used.
        inside: Which positions lie inside the volume, shape (n,).
    """

    weights: NDArray[np.float32]
    used: slice
    inside: NDArray[np.bool_]


def _axis_weights(count: int, at: NDArray[np.float64], sigma: float) -> _AxisWeights:
    """The weights to smooth ``count`` voxels with sigma in voxels and interpolate them linearly at indices (n,)."""
    import SimpleITK as sitk  # noqa: N813

    inside = (at > -0.5 - 1e-6) & (at < count - 0.5 + 1e-6)
    held = np.clip(at, 0, count - 1)
    lower = np.minimum(held.astype(np.int64), max(count - 2, 0))
    weights = np.zeros((len(at), count), dtype=np.float32)
    rows = np.arange(len(at))
    weights[rows, lower] = 1 - (held - lower)
    weights[rows, np.minimum(lower + 1, count - 1)] += held - lower
    if sigma > 0 and count >= LEAST_SMOOTHED:
        # The filter's responses to single voxels: one line of the image is one line of this matrix.
        single = sitk.GetImageFromArray(np.eye(count, dtype=np.float32))
        weights = weights @ sitk.GetArrayFromImage(sitk.RecursiveGaussian(single, sigma=float(sigma), direction=1))
    used = np.flatnonzero(np.abs(weights).max(axis=0) > NEGLIGIBLE)
    part = slice(int(used[0]), int(used[-1]) + 1)
    return _AxisWeights(np.ascontiguousarray(weights[:, part]), part, inside)


def _resample_itk(image: sitk.Image, grid: Volume, fill: float, interpolator: int) -> sitk.Image:
    import SimpleITK as sitk  # noqa: N813

    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in grid.shape[::-1]])
    resampler.SetOutputSpacing([float(v) for v in grid.spacing[::-1]])
    resampler.SetOutputOrigin([float(v) for v in grid.origin[::-1]])
    resampler.SetOutputDirection([float(v) for v in grid.direction.ravel()[::-1]])
    resampler.SetInterpolator(interpolator)
    resampler.SetDefaultPixelValue(float(fill))
    found: sitk.Image = resampler.Execute(image)
    return found


def _smoothing(volume: Volume, grid: Volume) -> NDArray[np.float64]:
    """Sigma, mm, along each axis: 0.35 of the coarser step where voxels would be skipped, as a box filter; else 0."""
    cosines = grid.direction.T @ volume.direction  # of grid axis (row) to volume axis (column)
    target = np.sqrt((cosines**2).T @ grid.spacing**2)  # root mean square of the grid's step along each volume axis
    ratio = target / volume.spacing
    return np.where(ratio > 1.2, 0.35 * np.sqrt(np.maximum(target**2 - volume.spacing**2, 0)), 0.0)


def _smoothed(image: sitk.Image, sigma: NDArray[np.float64]) -> sitk.Image:
    """Smooth along the axes [z, y, x]; the filter needs four voxels along an axis, a thinner image is left as it is."""
    import SimpleITK as sitk  # noqa: N813

    for axis, value in enumerate(sigma):
        if value > 0 and image.GetSize()[2 - axis] >= LEAST_SMOOTHED:
            image = sitk.RecursiveGaussian(image, sigma=float(value), direction=2 - axis)
    return image
