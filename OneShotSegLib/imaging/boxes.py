"""Boxes of voxels, and crops of volumes to them.

A box is one slice per array axis [z, y, x], with whole numbers from 0 to the array's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.imaging.volume import Vector, Volume

Box = tuple[slice, ...]


def box_between(low: ArrayLike, high: ArrayLike) -> Box:
    """The box from indices ``low`` to before indices ``high``, one of each per axis."""
    return tuple(slice(int(a), int(b)) for a, b in zip(np.asarray(low), np.asarray(high), strict=True))


def whole_box(shape: Sequence[int]) -> Box:
    """The box that holds all of an array."""
    return tuple(slice(0, int(n)) for n in shape)


def bounding_box(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds all of a mask, shape (D, H, W); None if it is empty."""
    parts: list[slice] = []
    for axis in range(mask.ndim):
        part = mask[tuple(parts)]  # what the axes before leave of it
        hit = np.flatnonzero(part.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not hit.size:
            return None
        parts.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(parts)


def label_boxes(array: NDArray[Any]) -> dict[int, Box]:
    """The smallest box that holds each label over 0 of a label array (D, H, W), ascending by label."""
    from scipy.ndimage import find_objects

    whole = array if array.dtype.kind in "iu" else array.astype(np.int32)
    found = find_objects(whole)
    return {value: box for value, box in enumerate(found, 1) if box is not None}


def grown(box: Box, margin: ArrayLike, shape: Sequence[int]) -> Box:
    """A box with a margin of whole voxels (one number, or one per axis), within an array of this shape."""
    steps = np.broadcast_to(np.asarray(margin, dtype=int), (len(box),))
    low = [max(part.start - int(step), 0) for part, step in zip(box, steps, strict=True)]
    high = [min(part.stop + int(step), int(n)) for part, step, n in zip(box, steps, shape, strict=True)]
    return box_between(low, high)


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these, at least one."""
    return tuple(slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*boxes, strict=True))


def within(box: Box, whole: Box) -> Box:
    """The same box with indices that count from the corner of a larger one, which holds it."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, whole, strict=True))


def box_shape(box: Box) -> tuple[int, ...]:
    """Voxels of a box along each axis."""
    return tuple(part.stop - part.start for part in box)


def part_around(grid: Volume, low: ArrayLike, high: ArrayLike, margin: ArrayLike) -> Volume:
    """The part of a grid that holds these indices and a margin, all (3,), in voxels; at least a voxel of it."""
    most = np.asarray(grid.shape)
    first = np.clip(np.floor(np.asarray(low) - margin), 0, most - 1)
    last = np.clip(np.ceil(np.asarray(high) + margin) + 1, first + 1, most)
    return cropped(grid, box_between(first, last))


def cropped(volume: Volume, box: Box) -> Volume:
    """The part of a volume within a box, at the same positions in mm."""
    return Volume.create(volume.array[box], volume.spacing, volume.to_world([p.start for p in box]), volume.direction)


def corners(box: Box) -> Vector:
    """The indices of a box's eight corners, voxel edges included; shape (8, 3)."""
    ends = [(part.start - 0.5, part.stop - 0.5) for part in box]
    return np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)


def box_on_grid(box: Box, volume: Volume, grid: Volume) -> Box | None:
    """The smallest box of another grid that holds a box of a volume; None where that lies outside the grid."""
    index = grid.to_index(volume.to_world(corners(box)))
    first = np.maximum(np.floor(index.min(axis=0)), 0).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0)) + 1, grid.shape).astype(int)
    return None if (first >= last).any() else box_between(first, last)
