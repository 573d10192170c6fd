"""Geodesic distance from seeds through an image: exact, every class in one pass.

The distance of a voxel is the cost of the cheapest path of steps between 26-neighbours to a seed. A step's cost comes
from a rule in ``costs``. Images are [z, y, x] or [channel, z, y, x], spacings mm [z, y, x].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.geodesic import kernels
from OneShotSegLib.geodesic.checks import as_channels, as_labels, as_region, as_spacing
from OneShotSegLib.geodesic.costs import IntensityCost, StepCost

DEFAULT_COST = IntensityCost()
LARGEST_DISTANCE = 3e38


class GeodesicMap(NamedTuple):
    """Distance to the nearest seed and that seed's label.

    Attributes:
        distance: float32, shape (D, H, W); infinite where no seed reaches.
        label: Label of the nearest seed (of one of them where several are equally near: the same one in every run);
            0 where no seed reaches.
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
    """The nearest class and the runner-up; their difference measures how certain the choice is.

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

    Raises:
        ValueError: If an argument has another shape or type, or a value out of range.
    """
    task = _GeodesicTask.prepare(image, seeds, spacing, cost, region, limit)
    distance, label = task.solve(start_costs)
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

    Arguments as for `geodesic_distances`. Takes 4 bytes per voxel and class; `nearest_two` needs only the two nearest.
    """
    task = _GeodesicTask.prepare(image, seeds, spacing, cost, region, limit)
    result = np.empty((task.classes.size, *task.shape), np.float32)
    for index, label in enumerate(task.classes):
        result[index] = task.uncrop(task.solve(start_costs, only=label)[0], np.inf)
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

    Arguments as for `geodesic_distances`. Neither memory nor time grows with the number of classes: the second nearest
    class comes into the territory of the nearest one over its border, where some other class is the nearest.
    """
    task = _GeodesicTask.prepare(image, seeds, spacing, cost, region, limit)
    first, label = task.solve(start_costs)
    second, second_label = task.second_nearest(first, label, start_costs)
    # Where two classes are equally near, the lower one counts as the nearest.
    swapped = (second == first) & (second_label < label) & np.isfinite(second)
    label[swapped], second_label[swapped] = second_label[swapped], label[swapped]
    return NearestTwo(
        task.uncrop(first, np.inf),
        task.uncrop(label, 0),
        task.uncrop(second, np.inf),
        task.uncrop(second_label, 0),
    )


@dataclass(frozen=True, kw_only=True)
class _GeodesicTask:
    """Checked input, cropped to the region's bounding box and padded to whole blocks with a border.

    Attributes:
        image: float32, shape (C, d, h, w); NaN in the border and outside the region.
        seeds: Padded positions z, y, x of the seed voxels that can be entered; shape (3, S).
        seed_labels: Their labels, shape (S,), in the smallest unsigned type.
        classes: The labels that occur, ascending; shape (N,).
        shape: The whole grid's shape (D, H, W).
        box: Where the crop lies in it.
        spacing: mm, shape (3,).
        cost: What a step costs.
        bound: The smallest distance that is too far.
    """

    image: NDArray[np.float32]
    seeds: NDArray[np.intp]
    seed_labels: NDArray[np.integer]
    classes: NDArray[np.integer]
    shape: tuple[int, ...]
    box: tuple[slice, ...]
    spacing: NDArray[np.float64]
    cost: StepCost
    bound: np.float32

    @classmethod
    def prepare(
        cls,
        image: ArrayLike,
        seeds: ArrayLike,
        spacing: ArrayLike,
        cost: StepCost,
        region: ArrayLike | None,
        limit: float,
    ) -> _GeodesicTask:
        """Check everything, crop and pad."""
        channels = as_channels(image)
        grid = channels.shape[1:]
        labels = as_labels(seeds, grid)
        if np.isnan(limit) or limit < 0:
            raise ValueError(f"limit must be 0 or more; got {limit}.")
        inside = None if region is None else as_region(region, grid)
        box = tuple(slice(0, n) for n in grid) if inside is None else _bounding_box(inside)
        padded = _pad_to_blocks(channels[(slice(None), *box)], None if inside is None else inside[box])
        places = np.array(np.nonzero(labels[box])) + 1
        places = places[:, np.isfinite(padded[(0, *places)])]
        values = labels[box][tuple(places - 1)]
        values = values.astype(np.min_scalar_type(int(values.max(initial=0))))
        bound = np.nextafter(np.float32(min(limit, LARGEST_DISTANCE)), np.float32(np.inf))
        return cls(
            image=padded,
            seeds=places,
            seed_labels=values,
            classes=np.unique(values),
            shape=grid,
            box=box,
            spacing=as_spacing(spacing),
            cost=cost,
            bound=bound,
        )

    def solve(
        self, start_costs: Mapping[int, float] | None, only: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Distance and label in the crop, from the seeds of all classes or of one label."""
        starts = _start_values(self.seed_labels, start_costs)
        used = starts < self.bound
        if only is not None:
            used &= self.seed_labels == only
        shape = tuple(s.stop - s.start for s in self.box)
        return self._lowered(self.image, shape, self.seeds[:, used], starts[used], self.seed_labels[used])

    def second_nearest(
        self, first: NDArray[np.float32], label: NDArray[np.integer], start_costs: Mapping[int, float] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Distance and label of the second nearest class in the crop, given those of the nearest.

        A path of another class into a class's territory crosses the territory's border once and for all somewhere; the
        voxel before is nearest to some class other than this one, and no class but that has a cheaper path from there.
        """
        second, second_label = np.full(first.shape, np.inf, np.float32), np.zeros_like(label)
        core = self.image[(slice(None), *(slice(1, n + 1) for n in first.shape))]
        starts, at = _start_values(self.seed_labels, start_costs), tuple(self.seeds - 1)
        for value in self.classes:
            box = tuple(
                slice(max(s.start - 1, 0), min(s.stop + 1, n))
                for s, n in zip(_bounding_box(label == value), first.shape, strict=True)
            )
            own = label[box] == value
            near = with_neighbours(own)
            outside = np.array(np.nonzero(near & ~own & np.isfinite(first[box])))
            # A class that starts late may have its seeds within this one's territory.
            late = (label[at] == value) & (self.seed_labels != value) & (starts < self.bound)
            late_places = self.seeds[:, late] - 1 - np.array([s.start for s in box])[:, None]
            values, labels = self._lowered(
                _pad_to_blocks(core[(slice(None), *box)], near),
                own.shape,
                np.concatenate([outside, late_places], axis=1) + 1,
                np.concatenate([first[box][tuple(outside)], starts[late]]),
                np.concatenate([label[box][tuple(outside)], self.seed_labels[late]]),
            )
            second[box][own], second_label[box][own] = values[own], labels[own]
        return second, second_label

    def _lowered(
        self,
        image: NDArray[np.float32],
        shape: tuple[int, ...],
        places: NDArray[np.intp],
        starts: NDArray[np.float32],
        labels: NDArray[np.integer],
    ) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
        """Distance and label in the first voxels of a padded image, from places (3, S) that start at so much."""
        at = tuple(places)
        distance = np.full(image.shape[1:], self.bound)
        label = np.zeros(distance.shape, self.classes.dtype)
        distance[at], label[at] = starts, labels
        pending = np.full(tuple(np.array(distance.shape) // kernels.BLOCK), np.float32(np.inf))
        np.minimum.at(pending, tuple((p - 1) // kernels.BLOCK for p in at), starts)
        kernels.lower_to_exact(image, distance, label, pending, *self._step_costs())
        crop = tuple(slice(1, 1 + n) for n in shape)
        distance, label = np.ascontiguousarray(distance[crop]), np.ascontiguousarray(label[crop])
        distance[distance == self.bound] = np.inf
        return distance, label

    def _step_costs(self) -> tuple[NDArray[np.float32], kernels.Rule]:
        """Slopes and constants, shape (3, 2, 4), and the rest of the rule, as the kernel takes them."""
        z, y, x = self.spacing
        # Straight, aside along the row, aside across it, both: for sweeps along z, y (rows along x) and x (along z).
        axes = ((z, x, y), (y, x, z), (x, z, y))
        lengths = np.array([[a, np.hypot(a, b), np.hypot(a, c), np.hypot(np.hypot(a, b), c)] for a, b, c in axes])
        cost = self.cost.coefficients(lengths)
        table = np.stack([cost.slope, cost.constant], axis=1)
        channels = self.image.shape[0]
        if channels == 1 and cost.bend == 0 and cost.base == 1:
            return table, None
        return table, (channels, self.cost.sums_channels, np.float32(cost.bend), np.float32(cost.base))

    def uncrop(self, values: NDArray[Any], outside: float) -> NDArray[Any]:
        """The crop's values on the whole grid."""
        if values.shape == self.shape:
            return values
        whole = np.full(self.shape, outside, values.dtype)
        whole[self.box] = values
        return whole


def with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (D, H, W) and all 26 neighbours of its voxels."""
    found = mask.copy()
    for axis in range(3):
        found = np.moveaxis(found, axis, 0)
        before = found.copy()
        found[1:] |= before[:-1]
        found[:-1] |= before[1:]
        found = np.moveaxis(found, 0, axis)
    return found


def _pad_to_blocks(channels: NDArray[Any], inside: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """A copy of an image (C, d, h, w) in whole blocks with a border, NaN wherever no path may go."""
    extent = channels.shape[1:]
    padded = np.full(
        (channels.shape[0], *(-(-n // kernels.BLOCK) * kernels.BLOCK + 2 for n in extent)), np.float32("nan")
    )
    core = padded[(slice(None), *(slice(1, n + 1) for n in extent))]
    core[...] = channels
    walls = ~np.isfinite(core).all(axis=0)
    if inside is not None:
        walls |= ~inside
    core[:, walls] = np.nan
    return padded


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds the mask; one voxel where the mask is empty."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 1))
    return tuple(box)


def _start_values(labels: NDArray[np.integer], start_costs: Mapping[int, float] | None) -> NDArray[np.float32]:
    """Start cost of each seed, shape of the labels."""
    starts = np.zeros(labels.shape, np.float32)
    for label, value in (start_costs or {}).items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"start_costs must be finite and 0 or more; got {value} for label {label}.")
        starts[labels == label] = value
    return starts
