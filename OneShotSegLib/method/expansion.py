"""Geodesic expansion: grows scribbles into masks along the image (Lei et al., section III-D)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from OneShotSegLib.geodesic import IntensityCost, nearest_two, raster_scan_distance, with_neighbours
from OneShotSegLib.imaging.boxes import bounding_box, grown, part_around
from OneShotSegLib.imaging.labels import paint_points, present_labels
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.method.scribbles import ScribblePoints, levels_of
from OneShotSegLib.method.structures import Structures

AIR_LEVEL = 0.08
AIRY_SHARE = 0.1
LONGEST_MM = 1e4
SAME_SLICE_MM = 1.0
RIM = 4  # voxels beyond the extent on which the smoothing and the distances within it depend


@dataclass(frozen=True, kw_only=True)
class ExpansionSettings:
    """How seeds grow.

    Attributes:
        exact: Whether the distances are exact; else those of a clipped raster scan per class, as in the paper.
        spacing: Voxel size of the grid they grow on, mm [z, y, x]; None for the fine network's.
        spatial_weight: Cost of 1 mm of path in addition to the intensity differences (exact only).
        smooth_mm: Standard deviation of the Gaussian that smooths the image first.
        clip: Distances are clipped here (raster scan only).
        air_is_background: Whether air is seeded as background; within the extent of a structure that holds air it is
            replaced by the nearest tissue instead.
        limit_extent: Whether everything beyond a structure's extent, measured on the support's strokes, is seeded as
            background.
        extent_across: Extent within the slices' plane, in units of the strokes' distance to the background strokes.
        extent_along: Extent along z, in units of the length that the structure's strokes span.
        shortest_extent_mm: Least extent along z.
        between_voxels: Whether borders lie between the voxels, where two classes are equally far; else on their faces.
    """

    exact: bool = True
    spacing: tuple[float, float, float] | None = (2.0, 2.0, 2.0)
    spatial_weight: float = 0.005
    smooth_mm: float = 1.0
    clip: float = 1.0
    air_is_background: bool = True
    limit_extent: bool = True
    extent_across: float = 1.5
    extent_along: float = 1.6
    shortest_extent_mm: float = 10.0
    between_voxels: bool = True


@dataclass(frozen=True)
class StructureExtent:
    """How far a structure extends from its strokes at most.

    Attributes:
        across: Within the slices' plane, mm.
        along: Along z, mm.
        holds_air: Whether strokes of the structure lie in air, as in a larynx.
    """

    across: float
    along: float
    holds_air: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Expansion:
    """Masks grown from scribbles.

    Attributes:
        labels: Nearest class on the expansion's grid; background is 0.
        certainty: Margin of the best class over the second, (second - best) / (second + best), 0-1, shape (D, H, W).
        second_labels: Second nearest class; background is 0. Shape (D, H, W).
        between_voxels: Whether the masks' borders lie where both classes are equally far, else on the voxels' faces.
    """

    labels: Volume
    certainty: NDArray[np.float32]
    second_labels: NDArray[np.uint8]
    between_voxels: bool = True

    @property
    def soft(self) -> SoftLabels:
        """The masks with the voxels' shares, from which their borders are read."""
        if not self.between_voxels:
            return SoftLabels.hard(self.labels)
        return SoftLabels(self.labels, self.second_labels, ((1 + self.certainty) / 2).astype(np.float32))

    @cached_property
    def volumes_ml(self) -> dict[int, float]:
        """Volume of each structure that is there, ml."""
        voxel_ml = float(np.prod(self.labels.spacing)) / 1000
        return {v: float((self.labels.array == v).sum()) * voxel_ml for v in present_labels(self.labels.array)}


def measure_extent(
    points: ScribblePoints, structures: Structures, settings: ExpansionSettings, image: Volume | None = None
) -> dict[int, StructureExtent]:
    """Measure on the support's strokes how far each structure extends.

    Across: the near end of the distances from background strokes on the same slices. Along: a share of the length that
    the strokes span, since strokes are painted well inside a structure. A structure holds air if strokes of it lie in
    air in the support's image (0-1), if that is given.
    """
    background = points.only(structures.background.value)
    extent = {}
    for value in structures.values:
        own = points.only(value)
        across = _gap_to_background(own, background)
        along = max(settings.extent_along * float(np.ptp(own[:, 0])), settings.shortest_extent_mm)
        holds_air = image is not None and _share_in_air(image, own) > AIRY_SHARE
        extent[value] = StructureExtent(settings.extent_across * across, along, holds_air)
    return extent


def _share_in_air(image: Volume, positions: NDArray[Any]) -> float:
    index = np.clip(np.rint(image.to_index(positions)).astype(int), 0, np.asarray(image.shape) - 1)
    return float((image.array[tuple(index.T)] < AIR_LEVEL).mean())


def _gap_to_background(own: NDArray[Any], background: NDArray[Any]) -> float:
    """The near end (5th percentile) of the mm from background strokes to a structure's on the same slice."""
    background = background[np.argsort(background[:, 0], kind="stable")]
    heights = background[:, 0]
    gaps = np.full(len(background), np.inf)
    # Slice by slice, with a tree for each: the distances of all to all would not fit into the memory.
    for z, strokes in levels_of(own):
        first, last = np.searchsorted(heights, (z - 2 * SAME_SLICE_MM, z + 2 * SAME_SLICE_MM))
        near = first + np.flatnonzero(np.abs(heights[first:last] - z) < SAME_SLICE_MM)
        gaps[near] = np.minimum(gaps[near], _distances_to_nearest(background[near, 1:], strokes[:, 1:]))
    if not np.isfinite(gaps).any():
        gaps = _distances_to_nearest(background, own)
    return float(np.percentile(gaps[np.isfinite(gaps)], 5))


def _distances_to_nearest(positions: Vector, others: Vector) -> Vector:
    """Distance of each position (N, k) to the nearest of others (M, k), shape (N,)."""
    _, nearest = cKDTree(others).query(positions)
    found: Vector = np.linalg.norm(positions - others[nearest], axis=1)
    return found


def expand(
    image: Volume,
    points: ScribblePoints,
    structures: Structures,
    extent: Mapping[int, StructureExtent],
    settings: ExpansionSettings,
) -> Expansion:
    """Grow scribble points into masks.

    Args:
        image: Axis-aligned CT in 0-1, shape (D, H, W).
        points: Scribbles to grow from, structures and background.
        structures: What the labels mean.
        extent: How far each structure may grow, by label.
        settings: Of the expansion.
    """
    seeds = paint_points(image, points.positions, points.labels)
    background = structures.background.value
    free = seeds == 0
    array = image.array
    if settings.air_is_background:
        airy = {value: limit for value, limit in extent.items() if limit.holds_air}
        elsewhere = _beyond_extent(seeds, image, airy)
        array = _without_air(array, ~elsewhere)
        seeds[free & (image.array < AIR_LEVEL) & elsewhere] = background
    if settings.limit_extent:
        seeds[free & _beyond_extent(seeds, image, extent)] = background
    return grow_seeds(image.with_array(array), seeds, settings, background)


def grow_seeds(image: Volume, seeds: NDArray[np.uint8], settings: ExpansionSettings, background: int) -> Expansion:
    """Grow seeds along the image: each voxel gets the class whose seeds are nearest by geodesic distance.

    Args:
        image: Axis-aligned CT in 0-1, shape (D, H, W).
        seeds: Label values, 0 where nothing is decided; shape (D, H, W).
        settings: Of the expansion; its extents and air are the caller's affair.
        background: Value of the background's seeds.
    """
    array = image.array
    smoothed = gaussian_filter(array, settings.smooth_mm / image.spacing) if settings.smooth_mm else array
    classify = _classify_exactly if settings.exact else _classify_by_raster_scan
    labels, second_labels, certainty = classify(smoothed, seeds, image, settings, background)
    for classes in (labels, second_labels):
        classes[classes == background] = 0
    return Expansion(
        labels=image.with_array(labels),
        certainty=certainty,
        second_labels=second_labels,
        between_voxels=settings.between_voxels,
    )


def _beyond_extent(seeds: NDArray[np.uint8], image: Volume, extent: Mapping[int, StructureExtent]) -> NDArray[np.bool_]:
    """Voxels outside every structure's extent; all of them if no structure has a seed."""
    beyond = np.ones(seeds.shape, dtype=bool)
    for value, limit in extent.items():
        mine = seeds == value
        box = bounding_box(mine)
        if box is not None:
            # Measuring z in units that make both extents one number turns the ellipsoid into a ball.
            sampling = image.spacing * np.array([limit.across / limit.along, 1.0, 1.0])
            near = grown(box, np.ceil(limit.across / sampling).astype(int) + 1, seeds.shape)
            beyond[near] &= distance_transform_edt(~mine[near], sampling=sampling) > limit.across
    return beyond


def _without_air(array: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The image with the air in a part of it replaced by the nearest tissue.

    The wall between a larynx and the air in it is the strongest edge in the image, but not a border of the larynx.
    """
    box = bounding_box(where)
    if box is None:
        return array
    # Voxels next to air are partly air.
    air = with_neighbours(array < AIR_LEVEL) & where
    part, hidden = array[box], air[box]
    if hidden.all():
        return array
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    filled = array.copy()
    filled[box] = part[tuple(nearest)]
    return filled


def part_in_extent(
    grid: Volume, points: ScribblePoints, extent: Mapping[int, StructureExtent], settings: ExpansionSettings
) -> Volume:
    """The part of a grid within the structures' extent, outside of which all is background; the grid if not limited."""
    there = [value for value in extent if (points.labels == value).any()]
    if not settings.limit_extent or not there:
        return grid
    far = {value: np.array([extent[value].along, extent[value].across, extent[value].across]) for value in there}
    low = grid.to_index(np.min([points.only(value).min(axis=0) - far[value] for value in there], axis=0))
    high = grid.to_index(np.max([points.only(value).max(axis=0) + far[value] for value in there], axis=0))
    return part_around(grid, low, high, RIM)


def _classify_exactly(
    smoothed: NDArray[Any], seeds: NDArray[np.uint8], image: Volume, settings: ExpansionSettings, background: int
) -> _TwoClasses:
    """The two nearest classes by exact distances of all classes."""
    cost = IntensityCost(1.0, settings.spatial_weight)
    # Only what has no seed, and a rim of seeds around it, has to be visited: a few per cent of the volume.
    region = with_neighbours(seeds == 0)
    nearest = nearest_two(smoothed, seeds, image.spacing, cost, region=region)
    decided = ~region
    nearest.label[decided] = seeds[decided]
    nearest.distance[decided] = 0
    return _two_classes(nearest.distance, nearest.label, nearest.second_distance, nearest.second_label)


def _classify_by_raster_scan(
    smoothed: NDArray[Any], seeds: NDArray[np.uint8], image: Volume, settings: ExpansionSettings, background: int
) -> _TwoClasses:
    """The two nearest classes by clipped raster scans, as in the paper; background where all classes are far."""
    best = np.full(seeds.shape, settings.clip, dtype=np.float32)
    second, label = best.copy(), np.full(seeds.shape, background, dtype=np.uint8)
    second_label = label.copy()
    for value in [background, *(v for v in present_labels(seeds) if v != background)]:
        distance = np.minimum(scan_distance(smoothed, seeds == value, image), settings.clip)
        wins, next_best = distance < best, (distance >= best) & (distance < second)
        second[wins], second_label[wins] = best[wins], label[wins]
        best[wins], label[wins] = distance[wins], value
        second[next_best], second_label[next_best] = distance[next_best], value
    return _two_classes(best, label, second, second_label)


class _TwoClasses(NamedTuple):
    """Each voxel's nearest and second nearest class, and the margin between their distances, 0-1."""

    label: NDArray[np.uint8]
    second_label: NDArray[np.uint8]
    certainty: NDArray[np.float32]


def _two_classes(
    best: NDArray[np.float32], label: NDArray[Any], second: NDArray[np.float32], second_label: NDArray[Any]
) -> _TwoClasses:
    """Distances and labels of the two nearest classes as labels and a margin."""
    near, far = np.minimum(best, LONGEST_MM), np.minimum(second, LONGEST_MM)
    certainty = (far - near) / np.maximum(far + near, 1e-6)
    return _TwoClasses(label.astype(np.uint8), second_label.astype(np.uint8), certainty.astype(np.float32))


def scan_distance(array: NDArray[Any], mask: NDArray[np.bool_], image: Volume) -> NDArray[np.float32]:
    """GeodisTK's raster scan with the paper's lambda 1 and 2 iterations, by its package or else by our equivalent."""
    try:
        import GeodisTK  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return raster_scan_distance(array, mask, image.spacing)
    spacing = tuple(float(value) for value in image.spacing)
    found: NDArray[np.float32] = GeodisTK.geodesic3d_raster_scan(
        np.ascontiguousarray(array, np.float32), np.ascontiguousarray(mask, np.uint8), spacing, 1.0, 2
    )
    return found
