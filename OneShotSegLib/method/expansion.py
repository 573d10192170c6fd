"""Geodesic expansion: scribbles grow into masks along the image (Lei et al., section III-D)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

from OneShotSegLib.geodesic import IntensityCost, nearest_two, raster_scan_distance
from OneShotSegLib.imaging.boxes import bounding_box, box_between, cropped, grown
from OneShotSegLib.imaging.resampling import paint_points, present_labels
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.method.scribbles import ScribblePoints
from OneShotSegLib.method.structures import Structures

AIR_LEVEL = 0.08
AIRY_SHARE = 0.1
LONGEST_MM = 1e4
RIM = 4  # voxels beyond the extent: what smoothing and the competition look at


@dataclass(frozen=True, kw_only=True)
class ExpansionSettings:
    """How seeds grow.

    Attributes:
        exact: All classes compete in one exact pass; else one clipped raster scan a class, as in the paper.
        spacing: Voxel size of the grid they grow on, mm [z, y, x]; None for the fine network's.
        spatial_weight: Cost of a mm beside the intensity difference (exact only).
        smooth_mm: Standard deviation of the Gaussian that calms the image's noise first.
        clip: Distances are clipped here (raster scan only).
        air_is_background: Whether air competes as background; within the extent of a structure that holds air it is
            painted over with the tissue beside it instead.
        limit_extent: Whether everything beyond a structure's extent, known from the support's strokes, competes as
            background.
        extent_across: Extent across the slices' plane, times the strokes' distance to the background strokes.
        extent_along: Extent along z, times the length that the structure's strokes span.
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
class Extent:
    """How far a structure extends from its strokes, mm: across the slices' plane and along z; whether it holds air."""

    across: float
    along: float
    holds_air: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Expansion:
    """Grown masks.

    Attributes:
        labels: Structures on the expansion's grid; background is 0.
        certainty: Margin of the best class over the second, (second - best) / (second + best), 0-1, shape (D, H, W).
        rivals: The second class; background is 0. Shape (D, H, W).
        between_voxels: Whether the masks' borders lie where the two are equally far, else on the voxels' faces.
    """

    labels: Volume
    certainty: NDArray[np.float32]
    rivals: NDArray[np.uint8]
    between_voxels: bool = True

    @property
    def soft(self) -> SoftLabels:
        """The masks with their borders."""
        if not self.between_voxels:
            return SoftLabels.hard(self.labels)
        return SoftLabels(self.labels, self.rivals, ((1 + self.certainty) / 2).astype(np.float32))

    @cached_property
    def volumes_ml(self) -> dict[int, float]:
        """Volume of each structure that is there, ml."""
        voxel_ml = float(np.prod(self.labels.spacing)) / 1000
        return {v: float((self.labels.array == v).sum()) * voxel_ml for v in present_labels(self.labels.array)}


def measure_extent(
    points: ScribblePoints, structures: Structures, settings: ExpansionSettings, image: Volume | None = None
) -> dict[int, Extent]:
    """How far each structure extends, from the support's strokes alone.

    Across: the near end of the distances from background strokes on the same slices. Along: a share of the length that
    the strokes span, since strokes are painted well inside a structure. A structure holds air if strokes of it lie in
    air in the support's image (0-1), where one is given.
    """
    background = points.only(structures.background.value)
    extent = {}
    for value in structures.values:
        own = points.only(value)
        across = _gap_to_background(own, background)
        along = max(settings.extent_along * float(np.ptp(own[:, 0])), settings.shortest_extent_mm)
        holds_air = image is not None and _share_in_air(image, own) > AIRY_SHARE
        extent[value] = Extent(settings.extent_across * across, along, holds_air)
    return extent


def _share_in_air(image: Volume, positions: NDArray) -> float:
    index = np.clip(np.rint(image.to_index(positions)).astype(int), 0, np.asarray(image.shape) - 1)
    return float((image.array[tuple(index.T)] < AIR_LEVEL).mean())


def _gap_to_background(own: NDArray, background: NDArray) -> float:
    """The near end (5th percentile) of the mm from background strokes to a structure's on the same slice."""
    across = np.linalg.norm(background[:, None, 1:] - own[None, :, 1:], axis=-1)
    same_slice = np.abs(background[:, None, 0] - own[None, :, 0]) < 1.0
    gaps = np.where(same_slice, across, np.inf).min(axis=1)
    if not np.isfinite(gaps).any():
        gaps = np.linalg.norm(background[:, None] - own[None], axis=-1).min(axis=1)
    return float(np.percentile(gaps[np.isfinite(gaps)], 5))


def expand(
    image: Volume,
    points: ScribblePoints,
    structures: Structures,
    extent: Mapping[int, Extent],
    settings: ExpansionSettings,
) -> Expansion:
    """Grow scribble points into masks.

    Args:
        image: Axis-aligned CT in 0-1, shape (D, H, W).
        points: Scribbles to grow from, structures and background.
        structures: What the labels mean.
        extent: How far each structure may grow.
        settings: How.
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
    calm = gaussian_filter(array, settings.smooth_mm / image.spacing) if settings.smooth_mm else array
    labels, rivals, certainty = (_compete if settings.exact else _scan)(calm, seeds, image, settings, background)
    for classes in (labels, rivals):
        classes[classes == background] = 0
    return Expansion(
        labels=image.with_array(labels), certainty=certainty, rivals=rivals, between_voxels=settings.between_voxels
    )


def _beyond_extent(seeds: NDArray[np.uint8], image: Volume, extent: Mapping[int, Extent]) -> NDArray[np.bool_]:
    """Voxels out of every structure's extent; without any seed of a structure, all of them."""
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
    """The image with the air in a part of it painted over by the nearest tissue.

    The wall between a larynx and the air in it is the strongest edge there is, and none of its borders.
    """
    box = bounding_box(where)
    if box is None:
        return array
    # The voxels beside air are partly air.
    air = binary_dilation(array < AIR_LEVEL, np.ones((3, 3, 3))) & where
    part, hidden = array[box], air[box]
    if hidden.all():
        return array
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    painted = array.copy()
    painted[box] = part[tuple(nearest)]
    return painted


def part_in_extent(
    grid: Volume, points: ScribblePoints, extent: Mapping[int, Extent], settings: ExpansionSettings
) -> Volume:
    """The part of a grid within the structures' extent, all of it where nothing limits them: the rest is background."""
    there = [value for value in extent if (points.labels == value).any()]
    if not settings.limit_extent or not there:
        return grid
    far = {value: np.array([extent[value].along, extent[value].across, extent[value].across]) for value in there}
    low = grid.to_index(np.min([points.only(value).min(axis=0) - far[value] for value in there], axis=0))
    high = grid.to_index(np.max([points.only(value).max(axis=0) + far[value] for value in there], axis=0))
    most = np.asarray(grid.shape)
    first = np.clip(np.floor(low).astype(int) - RIM, 0, most - 1)
    last = np.clip(np.ceil(high).astype(int) + RIM + 1, first + 1, most)
    return cropped(grid, box_between(first, last))


def _compete(
    calm: NDArray, seeds: NDArray[np.uint8], image: Volume, settings: ExpansionSettings, background: int
) -> _Contest:
    cost = IntensityCost(1.0, settings.spatial_weight)
    # Only what is undecided, and a rim of seeds around it, has to be visited: a few per cent of the volume.
    region = binary_dilation(seeds == 0, np.ones((3, 3, 3)))
    nearest = nearest_two(calm, seeds, image.spacing, cost, region=region)
    settled = ~region
    nearest.label[settled] = seeds[settled]
    nearest.distance[settled] = 0
    return _contest(nearest.distance, nearest.label, nearest.second_distance, nearest.second_label)


def _scan(
    calm: NDArray, seeds: NDArray[np.uint8], image: Volume, settings: ExpansionSettings, background: int
) -> _Contest:
    """The paper's way: each class's raster scan clipped, the least wins; where all are far, background."""
    best = np.full(seeds.shape, settings.clip, dtype=np.float32)
    second, label = best.copy(), np.full(seeds.shape, background, dtype=np.uint8)
    rival = label.copy()
    for value in [background, *(v for v in present_labels(seeds) if v != background)]:
        distance = np.minimum(scan_distance(calm, seeds == value, image), settings.clip)
        wins, next_best = distance < best, (distance >= best) & (distance < second)
        second[wins], rival[wins] = best[wins], label[wins]
        best[wins], label[wins] = distance[wins], value
        second[next_best], rival[next_best] = distance[next_best], value
    return _contest(best, label, second, rival)


class _Contest(NamedTuple):
    """Who wins each voxel, who comes second, and the margin between them, 0-1."""

    label: NDArray[np.uint8]
    rival: NDArray[np.uint8]
    certainty: NDArray[np.float32]


def _contest(best: NDArray[np.float32], label: NDArray, second: NDArray[np.float32], rival: NDArray) -> _Contest:
    near, far = np.minimum(best, LONGEST_MM), np.minimum(second, LONGEST_MM)
    certainty = (far - near) / np.maximum(far + near, 1e-6)
    return _Contest(label.astype(np.uint8), rival.astype(np.uint8), certainty.astype(np.float32))


def scan_distance(array: NDArray, mask: NDArray[np.bool_], image: Volume) -> NDArray[np.float32]:
    """GeodisTK's raster scan with the paper's lambda 1 and 2 iterations, GeodisTK's own or our equal."""
    try:
        import GeodisTK  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return raster_scan_distance(array, mask, image.spacing)
    spacing = tuple(float(value) for value in image.spacing)
    return GeodisTK.geodesic3d_raster_scan(
        np.ascontiguousarray(array, np.float32), np.ascontiguousarray(mask, np.uint8), spacing, 1.0, 2
    )
