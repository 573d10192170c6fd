"""Closed contours in a plane as masks, and masks between two planes.

Vertices are (row, column) in pixels, the centre of the first pixel at (0, 0); a polygon is closed from its last vertex
to its first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Polygon = NDArray[np.float64]

DECIMALS = 4
"""Of a pixel: what numbers as files have them can tell; vertices on pixel centres are on them exactly then."""


def fill_polygons(polygons: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside, by the even-odd rule over all polygons together.

    An inner contour is a hole so, a contour within the hole is an island, and the two ways along a keyhole's channel
    cancel. Vertices are used as they are, between pixel centres too. What a centre on an edge counts for is a matter
    of its side, so that of two areas with a common edge each pixel gets to one.

    Args:
        polygons: Each of shape (N, 2).
        shape: Rows and columns of the mask.
    """
    rows, columns = shape
    if not polygons:
        return np.zeros(shape, dtype=bool)
    start = np.round(np.concatenate(polygons), DECIMALS)
    stop = np.round(np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons]), DECIMALS)
    first = np.clip(np.ceil(np.minimum(start[:, 0], stop[:, 0])), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(start[:, 0], stop[:, 0])), 0, rows).astype(np.int64)
    # One entry for each row of pixel centres that an edge crosses.
    counts = last - first
    edge = np.repeat(np.arange(len(start)), counts)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (stop[edge, 1] - start[edge, 1]) / (stop[edge, 0] - start[edge, 0])
    crossing = np.round(start[edge, 1] + (row - start[edge, 0]) * slope, DECIMALS + 2)
    column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
    flips = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1)).reshape(rows, columns + 1)
    return (np.cumsum(flips[:, :columns], axis=1) & 1).astype(bool)


def fill_region(polygons: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Like `fill_polygons`, but what is so thin that it passes between all pixel centres is kept as one pixel each."""
    mask = fill_polygons(polygons, shape)
    if mask.any():
        return mask
    centres = np.array([polygon.mean(axis=0) for polygon in polygons]).reshape(-1, 2)
    nearest = np.floor(centres + 0.5).astype(np.int64)
    inside = np.all((nearest >= 0) & (nearest < shape), axis=1)
    mask[tuple(nearest[inside].T)] = True
    return mask


def cross(polygons: Sequence[Polygon], shape: tuple[int, int]) -> bool:
    """Whether two of these contours share a part of their areas without one lying within the other."""
    return any(
        _share_a_part(one, other, shape)
        for number, one in enumerate(polygons)
        for other in polygons[:number]
        if (one.min(axis=0) <= other.max(axis=0)).all() and (other.min(axis=0) <= one.max(axis=0)).all()
    )


def _share_a_part(one: Polygon, other: Polygon, shape: tuple[int, int]) -> bool:
    masks = fill_polygons([one], shape), fill_polygons([other], shape)
    return np.count_nonzero(masks[0] & masks[1]) not in (0, *map(np.count_nonzero, masks))


def region_between(
    before: Sequence[Polygon],
    after: Sequence[Polygon],
    share: float,
    shape: tuple[int, int],
    spacing: tuple[float, float],
) -> NDArray[np.bool_]:
    """The region between two planes, by interpolating the signed distances to the two regions' borders.

    Where both are a single contour, they are moved onto each other first, so that a slanting thin structure goes on.

    Args:
        before: The contours in the one plane.
        after: Those in the other.
        share: How far it is from the one to the other, 0-1.
        shape: Rows and columns of the mask.
        spacing: Size of a pixel in mm, row and column.
    """
    shift = np.zeros(2)
    if len(before) == len(after) == 1:
        shift = after[0].mean(axis=0) - before[0].mean(axis=0)
    one = fill_region([polygon + share * shift for polygon in before], shape)
    other = fill_region([polygon - (1 - share) * shift for polygon in after], shape)
    distance = (1 - share) * _signed_distance(one, spacing) + share * _signed_distance(other, spacing)
    return distance > 0


def _signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Distance to the border in mm, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -np.inf)
    inside: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1]
    outside: NDArray[np.float64] = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return inside - outside
