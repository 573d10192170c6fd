"""Resampling between a query's own grid and an axis-aligned working grid, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.imaging.boxes import (
    Box,
    box_on_grid,
    box_shape,
    corners,
    cropped,
    grown,
    label_boxes,
    union,
    whole_box,
    within,
)
from OneShotSegLib.imaging.itk import from_itk, to_itk
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Vector, Volume

if TYPE_CHECKING:
    # Elsewhere it is imported where it is used: Slicer's own process must not import it at start-up.
    import SimpleITK as sitk  # noqa: N813

LEAST_SMOOTHED = 4  # voxels that the recursive filter needs along an axis
NO_WEIGHT = 1e-9  # of a voxel that has no say
ROWS = 32  # of a volume that are turned into floating-point numbers at a time


def working_grid(volume: Volume, spacing: ArrayLike) -> Volume:
    """An empty axis-aligned LPS grid of the given spacing that covers the volume.

    Its voxels lie at whole multiples of the spacing from the patient's origin, so that one scan stored in two ways is
    seen at the same places. The array is a broadcast scalar: it takes no memory until voxels are put in.

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
    """Read a volume's intensities on another grid.

    Where the grid is coarser than the volume, the volume is smoothed first, so that no thin structure is stepped over.
    Between grids of the same directions smoothing and reading are one product of matrices an axis: the volume shrinks
    on the way, and is never there in whole as floating-point numbers.

    Args:
        volume: What to read, shape (D, H, W).
        grid: Where to read it, shape (D', H', W'); its voxels are not used.
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


def _is_finite(array: NDArray) -> bool:
    return array.dtype.kind in "iub" or bool(np.isfinite(array).all())


def _read_along_axes(volume: Volume, grid: Volume, sigma: NDArray, fill: float) -> NDArray[np.float32]:
    """Smooth and read linearly along z, y and x in turn."""
    first = volume.to_index(grid.origin)
    step = grid.spacing / volume.spacing
    rules = [
        _rule(count, at + np.arange(n) * by, width / spacing)
        for count, at, n, by, width, spacing in zip(
            volume.shape, first, grid.shape, step, sigma, volume.spacing, strict=True
        )
    ]
    z, y, x = rules
    array = volume.array[tuple(rule.used for rule in rules)]
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


class _Rule(NamedTuple):
    """How n places along an axis are read: weights (n, used voxels), which voxels are used, which places are inside."""

    weights: NDArray[np.float32]
    used: slice
    inside: NDArray[np.bool_]


def _rule(count: int, at: NDArray[np.float64], sigma: float) -> _Rule:
    """Smooth ``count`` voxels with sigma in voxels, and read them linearly at indices (n,)."""
    import SimpleITK as sitk  # noqa: N813

    inside = (at > -0.5 - 1e-6) & (at < count - 0.5 + 1e-6)
    held = np.clip(at, 0, count - 1)
    lower = np.minimum(held.astype(np.int64), max(count - 2, 0))
    weights = np.zeros((len(at), count), dtype=np.float32)
    rows = np.arange(len(at))
    weights[rows, lower] = 1 - (held - lower)
    weights[rows, np.minimum(lower + 1, count - 1)] += held - lower
    if sigma > 0 and count >= LEAST_SMOOTHED:
        # The filter's answers to single voxels; one line of the image is one line of this matrix.
        single = sitk.GetImageFromArray(np.eye(count, dtype=np.float32))
        weights = weights @ sitk.GetArrayFromImage(sitk.RecursiveGaussian(single, sigma=float(sigma), direction=1))
    used = np.flatnonzero(np.abs(weights).max(axis=0) > NO_WEIGHT)
    part = slice(int(used[0]), int(used[-1]) + 1)
    return _Rule(np.ascontiguousarray(weights[:, part]), part, inside)


def _resample_itk(image: sitk.Image, grid: Volume, fill: float, interpolator: int) -> sitk.Image:
    import SimpleITK as sitk  # noqa: N813

    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in grid.shape[::-1]])
    resampler.SetOutputSpacing([float(v) for v in grid.spacing[::-1]])
    resampler.SetOutputOrigin([float(v) for v in grid.origin[::-1]])
    resampler.SetOutputDirection([float(v) for v in grid.direction.ravel()[::-1]])
    resampler.SetInterpolator(interpolator)
    resampler.SetDefaultPixelValue(float(fill))
    return resampler.Execute(image)


def _smoothing(volume: Volume, grid: Volume) -> NDArray[np.float64]:
    """Sigma, mm, along each axis: 0.35 of the coarser step where voxels are stepped over, as a box would do; else 0."""
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


def resample_labels(labels: Volume | SoftLabels, grid: Volume, smooth_mm: float = 0.0) -> Volume:
    """Read a label map on another grid: each voxel gets the label with the greatest share of it (ties: the lower).

    Nearest-neighbour reading makes stairs and loses thin structures on coarser grids; shares do not. Each label is read
    only where it can reach, so small structures on a large grid cost little.

    Args:
        labels: Label map, shape (D, H, W); values below 1 are unlabelled. One that knows its voxels' shares is read
            with them.
        grid: Where to read it, shape (D', H', W'); its voxels are not used.
        smooth_mm: Standard deviation of a Gaussian that smooths each label's border first; half the radius of the
            largest ball within the label where that is less, so that thin structures do not vanish.

    Returns:
        A map of the labels' type, shape (D', H', W').
    """
    volume = label_volume(labels)
    if labels is volume and volume.same_grid(grid) and smooth_mm <= 0:
        return volume
    result = np.zeros(grid.shape, dtype=volume.array.dtype)
    regions = label_regions(labels, grid, smooth_mm)
    if not regions:
        return grid.with_array(result)
    whole = union([region.on_grid for region in regions.values()])
    best = np.zeros(box_shape(whole), dtype=np.float32)
    labelled = np.zeros_like(best)
    for value, region in sorted(regions.items()):
        share = label_share(labels, value, region, grid, smooth_mm)
        inside = within(region.on_grid, whole)
        wins = share > best[inside]
        result[region.on_grid][wins] = value
        best[inside][wins] = share[wins]
        labelled[inside] += share
    result[whole][1 - labelled >= best] = 0
    return grid.with_array(result)


class LabelRegion(NamedTuple):
    """Where a label matters: the part of its map that its smoothed shape needs, and the part of a grid it can touch."""

    on_labels: Box
    on_grid: Box


def label_volume(labels: Volume | SoftLabels) -> Volume:
    """The labels alone."""
    return labels.labels if isinstance(labels, SoftLabels) else labels


def label_regions(labels: Volume | SoftLabels, grid: Volume, smooth_mm: float = 0.0) -> dict[int, LabelRegion]:
    """The region of each label that comes near the grid."""
    volume = label_volume(labels)
    boxes = label_boxes(volume.array).items()
    return {value: region for value, box in boxes if (region := _region(volume, box, grid, smooth_mm)) is not None}


def label_share(
    labels: Volume | SoftLabels, value: int, region: LabelRegion, grid: Volume, smooth_mm: float = 0.0
) -> NDArray[np.float32]:
    """How much of each voxel within its region belongs to a label, 0-1; arguments as for ``resample_labels``."""
    from scipy import ndimage

    part = cropped(label_volume(labels), region.on_labels)
    mask = part.array == value
    share = labels.share_of(value, region.on_labels) if isinstance(labels, SoftLabels) else mask.astype(np.float32)
    if smooth_mm > 0:
        thickness = float(ndimage.distance_transform_edt(mask, sampling=part.spacing).max())
        share = ndimage.gaussian_filter(share, min(smooth_mm, thickness / 2) / part.spacing, mode="nearest")
    return resample(part.with_array(share), cropped(grid, region.on_grid)).array


def _region(labels: Volume, box: Box, grid: Volume, smooth_mm: float) -> LabelRegion | None:
    cosines = grid.direction.T @ labels.direction
    beyond = 1.5 * np.sqrt((cosines**2).T @ grid.spacing**2) + 2 * smooth_mm
    margin = np.ceil(beyond / labels.spacing).astype(int) + 2
    box_on_labels = grown(box, margin, labels.shape)
    found = box_on_grid(box_on_labels, labels, grid)
    return None if found is None else LabelRegion(box_on_labels, found)


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
    exact = grid.to_index(world)
    inside = np.all((exact > -0.5) & (exact < np.asarray(grid.shape) - 0.5), axis=1) & (values > 0)
    index = np.clip(np.rint(exact[inside]).astype(np.int64), 0, np.asarray(grid.shape) - 1)
    voxels = np.ravel_multi_index(tuple(index.T), grid.shape)
    pairs, counts = np.unique(np.stack([voxels, values[inside]]), axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], counts, pairs[0]))  # the winner of each voxel comes last and is painted last
    painted = np.zeros(int(np.prod(grid.shape)), dtype=np.uint8)
    painted[pairs[0][order]] = pairs[1][order]
    return painted.reshape(grid.shape)
