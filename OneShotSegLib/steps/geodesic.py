"""Geodesic distance from seeds through an image: exact, every class in one pass.

The distance of a voxel is the cost of the cheapest path of steps between 26-neighbours to a seed. A step's price comes
from a rule in ``geodesic_costs``. Images are [z, y, x] or [channel, z, y, x], spacings mm [z, y, x].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import geodesic_kernels as kernels
from .geodesic_costs import FastGeodisCost, GeodisTKCost, IntensityCost, StepCost

__all__ = [
    "ClassDistances",
    "FastGeodisCost",
    "GeodesicMap",
    "GeodisTKCost",
    "IntensityCost",
    "NearestTwo",
    "StepCost",
    "class_distances",
    "geodesic_distances",
    "nearest_two",
    "raster_scan_distance",
]

DEFAULT_COST = IntensityCost()


class GeodesicMap(NamedTuple):
    """Distance to the nearest seed and that seed's label.

    Attributes:
        distance: float32, shape (D, H, W); infinite where no seed reaches.
        label: Label of the nearest seed, the smaller one where two are equally near; 0 where no seed reaches.
    """

    distance: NDArray[np.float32]
    label: NDArray[np.integer]


class ClassDistances(NamedTuple):
    """Distance to each class separately.

    Attributes:
        labels: The classes that have seeds, ascending; shape (N,).
        distance: float32, shape (N, D, H, W); infinite where the class does not reach.
    """

    labels: NDArray[np.integer]
    distance: NDArray[np.float32]


class NearestTwo(NamedTuple):
    """The nearest class and the runner-up; their difference says how sure the choice is.

    Attributes:
        distance: Distance to the nearest class, float32, shape (D, H, W); infinite where none reaches.
        label: That class, 0 where none reaches.
        second_distance: Distance to the second nearest class; infinite where only one or none reaches.
        second_label: That class, 0 where only one or none reaches.
    """

    distance: NDArray[np.float32]
    label: NDArray[np.integer]
    second_distance: NDArray[np.float32]
    second_label: NDArray[np.integer]


def geodesic_distances(
    image: ArrayLike,
    seeds: ArrayLike,
    spacing: ArrayLike,
    cost: StepCost = DEFAULT_COST,
    *,
    region: ArrayLike | None = None,
    limit: float = np.inf,
    start_costs: Mapping[int, float] | None = None,
) -> GeodesicMap:
    """Exact geodesic distance to the nearest seed of any class, with its label, in one pass.

    Args:
        image: Intensities, shape (D, H, W) or (C, D, H, W). A voxel that is not finite is never entered.
        seeds: Integer label map, shape (D, H, W); 0 is unseeded.
        spacing: Voxel size in mm, [z, y, x].
        cost: What a step costs.
        region: Boolean mask, shape (D, H, W): paths stay inside it, and seeds outside it do not count.
        limit: Largest distance of interest; what lies beyond is not reached.
        start_costs: Distance at which a class's seeds start, 0 or more; 0 for classes that are not named.
    """
    task = _Task.prepare(image, seeds, spacing, cost, region, limit)
    distance, label = task.solve(_start_values(task.classes, start_costs))
    return GeodesicMap(task.uncrop(distance, np.inf), task.uncrop(label, 0))


def class_distances(
    image: ArrayLike,
    seeds: ArrayLike,
    spacing: ArrayLike,
    cost: StepCost = DEFAULT_COST,
    *,
    region: ArrayLike | None = None,
    limit: float = np.inf,
    start_costs: Mapping[int, float] | None = None,
) -> ClassDistances:
    """Exact geodesic distance to each class separately, as if the others had no seeds.

    Arguments as for `geodesic_distances`. Takes 4 bytes a voxel and class; `nearest_two` needs only the two nearest.
    """
    task = _Task.prepare(image, seeds, spacing, cost, region, limit)
    starts = _start_values(task.classes, start_costs)
    result = np.empty((task.classes.size, *task.shape), np.float32)
    for index in range(task.classes.size):
        result[index] = task.uncrop(task.solve(starts, only=index)[0], np.inf)
    return ClassDistances(task.classes, result)


def nearest_two(
    image: ArrayLike,
    seeds: ArrayLike,
    spacing: ArrayLike,
    cost: StepCost = DEFAULT_COST,
    *,
    region: ArrayLike | None = None,
    limit: float = np.inf,
    start_costs: Mapping[int, float] | None = None,
) -> NearestTwo:
    """Exact geodesic distance to the two nearest different classes.

    Arguments as for `geodesic_distances`. Memory does not grow with the number of classes, time does.
    """
    task = _Task.prepare(image, seeds, spacing, cost, region, limit)
    starts = _start_values(task.classes, start_costs)
    box = task.image.shape[1:]
    first, second = np.full(box, np.inf, np.float32), np.full(box, np.inf, np.float32)
    label, second_label = np.zeros(box, task.classes.dtype), np.zeros(box, task.classes.dtype)
    for index, value in enumerate(task.classes):
        distance = task.solve(starts, only=index)[0]
        nearer = distance < first
        runner_up = ~nearer & (distance < second)
        second[nearer], second_label[nearer] = first[nearer], label[nearer]
        first[nearer], label[nearer] = distance[nearer], value
        second[runner_up], second_label[runner_up] = distance[runner_up], value
    return NearestTwo(
        task.uncrop(first, np.inf),
        task.uncrop(label, 0),
        task.uncrop(second, np.inf),
        task.uncrop(second_label, 0),
    )


def raster_scan_distance(
    image: ArrayLike,
    seed_mask: ArrayLike,
    spacing: ArrayLike,
    iterations: int = 2,
    lamb: float = 1.0,
) -> NDArray[np.float32]:
    """The approximate distance of GeodisTK's ``geodesic3d_raster_scan``, value for value.

    A forward and a backward sweep an iteration, in GeodisTK's order and with its half neighbourhoods. It is far from
    converged after two iterations on noisy images; use it only to reproduce results that were made with it.

    Args:
        image: Intensities, shape (D, H, W) or (C, D, H, W).
        seed_mask: Shape (D, H, W); where it is not 0 the distance is 0.
        spacing: Voxel size in mm, [z, y, x].
        iterations: Number of forward and backward pairs.
        lamb: Weight of the intensity against the length, 0 to 1.

    Returns:
        float32, shape (D, H, W); 1e10 where no seed reached.
    """
    channels = _as_channels(image)
    mask = np.asarray(seed_mask) != 0
    _check_shape("seed_mask", mask.shape, channels.shape[1:])
    steps, lengths = _half_neighbourhood(_as_spacing(spacing).astype(np.float32))
    padded = np.full((*(n + 2 for n in mask.shape), channels.shape[0]), np.nan, np.float32)
    padded[1:-1, 1:-1, 1:-1] = np.moveaxis(channels, 0, -1)
    distance = np.full(padded.shape[:3], np.float32(1e10))
    distance[1:-1, 1:-1, 1:-1][mask] = 0
    weight = np.float32(GeodisTKCost(lamb).lamb)
    for _ in range(iterations):
        kernels.raster_sweep(padded, distance, steps, lengths, weight, False)
        kernels.raster_sweep(padded, distance, -steps, lengths, weight, True)
    return np.ascontiguousarray(distance[1:-1, 1:-1, 1:-1])


def _half_neighbourhood(spacing: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The 13 steps that GeodisTK's forward sweep looks along, and their lengths in mm.

    Its sweep leads along x, then y, then z, but the half is cut by y first: it takes z + 1 with y - 1, not z - 1 with
    y + 1. The backward sweep's half is the mirror image.
    """
    steps = kernels.neighbour_steps()
    z, y, x = steps.T
    forward = (y < 0) | ((y == 0) & ((x < 0) | ((x == 0) & (z < 0))))
    half = steps[forward]
    squares = (half != 0) * (spacing * spacing)
    return half, np.sqrt(squares[:, 0] + squares[:, 1] + squares[:, 2], dtype=np.float32)


@dataclass(frozen=True)
class _Task:
    """Checked input, cropped to the region's bounding box.

    Attributes:
        image: float32, shape (C, d, h, w); NaN outside the region.
        index: Which class each seed voxel has, 1..N in the order of `classes`; 0 elsewhere; shape (d, h, w).
        classes: Label values that have seeds, ascending, in the smallest type that holds them.
        shape: The whole grid's shape (D, H, W).
        box: Where the crop lies in it.
        spacing: mm, shape (3,).
        cost: What a step costs.
        limit: Largest distance of interest.
    """

    image: NDArray[np.float32]
    index: NDArray[np.int16]
    classes: NDArray[np.integer]
    shape: tuple[int, ...]
    box: tuple[slice, ...]
    spacing: NDArray[np.float64]
    cost: StepCost
    limit: float

    @classmethod
    def prepare(
        cls,
        image: ArrayLike,
        seeds: ArrayLike,
        spacing: ArrayLike,
        cost: StepCost,
        region: ArrayLike | None,
        limit: float,
    ) -> _Task:
        """Check everything and crop."""
        channels = _as_channels(image)
        grid = channels.shape[1:]
        labels = _as_labels(seeds, grid)
        if np.isnan(limit) or limit < 0:
            raise ValueError(f"limit must be 0 or more; got {limit}.")
        inside = None if region is None else _as_region(region, grid)
        box = tuple(slice(0, n) for n in grid) if inside is None else _bounding_box(inside)
        crop = np.array(channels[(slice(None), *box)], np.float32)
        walls = ~np.isfinite(crop).all(axis=0)
        if inside is not None:
            walls |= ~inside[box]
        crop[:, walls] = np.nan
        seeded = np.where(walls, 0, labels[box])
        classes = np.unique(seeded[seeded > 0])
        index = np.searchsorted(classes, seeded) + 1
        index[seeded == 0] = 0
        kind = np.min_scalar_type(int(classes.max(initial=0)))
        spacing_mm = _as_spacing(spacing)
        return cls(crop, index.astype(np.int16), classes.astype(kind), grid, box, spacing_mm, cost, float(limit))

    def solve(
        self, starts: NDArray[np.float32], only: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Distance and label in the crop, from all classes or from the one at position `only`."""
        index = self.index if only is None else np.where(self.index == only + 1, self.index, 0).astype(np.int16)
        label = np.pad(index, 1)
        beyond = np.nextafter(np.float32(min(self.limit, 3e38)), np.float32(np.inf))
        distance = np.full(label.shape, beyond, np.float32)
        seeded = label > 0
        distance[seeded] = starts[label[seeded] - 1]
        label[distance >= beyond] = 0
        distance[label == 0] = beyond
        seeds = np.flatnonzero(label).astype(np.int32)
        if seeds.size:
            self._spread(distance.reshape(-1), label.reshape(-1), seeds)
        inner = (slice(1, -1),) * 3
        distance[label == 0] = np.inf
        values = np.concatenate([[0], self.classes]).astype(self.classes.dtype)
        return distance[inner], values[label[inner]]

    def _spread(self, distance: NDArray[np.float32], label: NDArray[np.int16], seeds: NDArray[np.int32]) -> None:
        padded = np.pad(self.image, ((0, 0), (1, 1), (1, 1), (1, 1)), constant_values=np.nan)
        flat = np.ascontiguousarray(np.moveaxis(padded.reshape(padded.shape[0], -1), 0, -1))
        steps = kernels.neighbour_steps()
        strides = np.array([padded.shape[2] * padded.shape[3], padded.shape[3], 1])
        price = self.cost.coefficients(np.sqrt(((steps * self.spacing) ** 2).sum(axis=1)))
        inside = flat[np.isfinite(flat[:, 0]), 0]
        gap = np.float32(inside.std())
        cheap = (price.slope.min() * gap + price.constant.min()) / (price.bend * gap + price.base)
        width = np.float32(max(0.01 * cheap, 1e-30))
        rule = (price.slope, price.constant, np.float32(price.bend), np.float32(price.base), self.cost.sums_channels)
        kernels.spread(flat, distance, label, seeds, steps @ strides, *rule, width)

    def uncrop(self, values: NDArray, outside: float) -> NDArray:
        """The crop's values on the whole grid."""
        if values.shape == self.shape:
            return np.ascontiguousarray(values)
        whole = np.full(self.shape, outside, values.dtype)
        whole[self.box] = values
        return whole


def _as_channels(image: ArrayLike) -> NDArray:
    """The image as (C, D, H, W)."""
    array = np.asarray(image)
    if array.ndim not in (3, 4) or array.size == 0 or array.dtype.kind not in "fiub":
        raise ValueError(
            "image must hold real numbers, shape (D, H, W) or (C, D, H, W), not empty; "
            f"got {array.dtype} of shape {array.shape}."
        )
    return array[None] if array.ndim == 3 else array


def _as_labels(seeds: ArrayLike, grid: tuple[int, ...]) -> NDArray:
    labels = np.asarray(seeds)
    _check_shape("seeds", labels.shape, grid)
    if labels.dtype.kind not in "iub" or labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        raise ValueError(f"seeds must be a label map of integers, 0 or more; got {labels.dtype}.")
    return labels


def _as_region(region: ArrayLike, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.asarray(region)
    _check_shape("region", mask.shape, grid)
    return mask.astype(bool)


def _as_spacing(spacing: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(spacing, np.float64)
    if values.shape != (3,) or not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError(f"spacing must be three positive lengths in mm, [z, y, x]; got {spacing!r}.")
    return values


def _check_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise ValueError(f"{name} must have the image's grid, shape {expected}; got {got}.")


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds the mask; one voxel where the mask is empty."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 1))
    return tuple(box)


def _start_values(classes: NDArray[np.integer], start_costs: Mapping[int, float] | None) -> NDArray[np.float32]:
    """Start cost of each class, shape (N,)."""
    given = dict(start_costs or {})
    bad = {label: value for label, value in given.items() if not (np.isfinite(value) and value >= 0)}
    if bad:
        raise ValueError(f"start_costs must be finite and 0 or more; got {bad}.")
    return np.array([given.get(int(label), 0.0) for label in classes], np.float32)
