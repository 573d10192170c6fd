"""Filling between slices that were painted: the shapes of two slices, and those between them by distance."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.imaging.boxes import Box, bounding_box, grown

MARGIN = 1


def between_slices(
    labels: NDArray[np.uint8], value: int, axis: int, spacing: ArrayLike
) -> tuple[Box, NDArray[np.bool_]] | None:
    """What lies between the slices that have a label.

    Between two shapes that overlap, a voxel is inside if the distances to their edges, inside counted as negative and
    weighted by how near each slice is, are negative in sum. Shapes that do not overlap are moved onto one another
    first, so that what runs at a slant is filled too.

    Args:
        labels: Shape (D, H, W).
        value: The label.
        axis: The array axis across the slices.
        spacing: In mm, z, y, x.

    Returns:
        A box and which of its voxels are to be filled, none that has a label; None if there is nothing to fill.
    """
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    found = bounding_box(labels == value)
    if found is None:
        return None
    box = grown(found, MARGIN, shape)
    part = np.moveaxis(labels[box], axis, 0)
    steps = np.delete(np.asarray(spacing, dtype=float), axis)
    painted = part == value
    has_some = np.flatnonzero(painted.any(axis=(1, 2)))
    filled = np.zeros(part.shape, dtype=bool)
    for first, second in pairwise(has_some):
        if second - first > 1:
            filled[first + 1 : second] = _between(painted[first], painted[second], int(second - first), steps)
    filled &= part == 0
    return (box, np.moveaxis(filled, 0, axis)) if filled.any() else None


def _between(first: NDArray[np.bool_], second: NDArray[np.bool_], gap: int, steps: NDArray[Any]) -> NDArray[np.bool_]:
    """The shapes between two slices; shape (gap - 1, H, W)."""
    from scipy.ndimage import center_of_mass, shift

    distances = [_distance(shape, steps) for shape in (first, second)]
    apart = np.zeros(2)
    if not (first & second).any():
        apart = np.subtract(center_of_mass(second), center_of_mass(first))
    shapes = []
    for number in range(1, gap):
        share = number / gap
        moved = [
            shift(distance, by * apart, order=1, mode="nearest") if apart.any() else distance
            for distance, by in zip(distances, (share, share - 1), strict=True)
        ]
        shapes.append((1 - share) * moved[0] + share * moved[1] < 0)
    return np.stack(shapes)


def _distance(shape: NDArray[np.bool_], steps: NDArray[Any]) -> NDArray[Any]:
    """Distance to the edge of a shape in mm, negative inside of it."""
    from scipy.ndimage import distance_transform_edt

    half = float(min(steps)) / 2
    outside = distance_transform_edt(~shape, steps)
    inside = distance_transform_edt(shape, steps) if not shape.all() else np.full(shape.shape, np.inf)
    found: NDArray[Any] = np.where(shape, half - inside, outside - half)
    return found
