"""Masks as closed contours in their planes: smooth, and with the same voxels inside when they are read again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from OneShotSegLib.imaging.boxes import bounding_box

Polygon = NDArray[np.float64]

SMOOTHING_PIXELS = 0.8
NEAREST = 0.3
"""How near the smoothed share may come to one half at a pixel's centre: the contour keeps at least a third of the way
to the next centre off each centre, so that neither smoothing nor rounding puts a voxel on its other side."""
TOLERANCE_PIXELS = 0.05
LEAST_POINTS = 3
MOST_PAIRS = 1_000_000
"""Of vertices whose distances are held at a time."""


def closed_contours(mask: NDArray[np.bool_]) -> list[Polygon]:
    """The outlines of a mask in one plane, one for each connected part (pixels that touch by their sides).

    A hole is reached by a keyhole: a channel without width, once there and once back, as DICOM asks for with contours
    of the type CLOSED_PLANAR (PS3.3 C.8.8.6.3).

    Args:
        mask: Shape (H, W).

    Returns:
        Vertices (row, column) in pixels, the centre of the first pixel at (0, 0), each of shape (N, 2); not closed by
        a copy of the first vertex.
    """
    import contourpy

    box = bounding_box(mask)
    if box is None:
        return []
    # An empty margin closes the outline of a mask that touches the border.
    part = np.pad(mask[box], 2)
    corner = np.array([box[0].start - 2, box[1].start - 2])
    generator = contourpy.contour_generator(z=_smooth(part), fill_type=contourpy.FillType.OuterOffset)
    filled: Any = generator.filled(0.5, 2.0)
    contours = []
    for vertices, ends in zip(*filled, strict=True):
        rings = [vertices[first : last - 1, ::-1] for first, last in pairwise(ends)]
        outer, *holes = [simplified(ring) for ring in rings]
        contours.append(with_keyholes(outer, holes) + corner)
    return contours


def _smooth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A smoothed share of each pixel that is over one half where the mask is, and nowhere else."""
    share: NDArray[np.float64] = ndimage.gaussian_filter(mask.astype(np.float64), SMOOTHING_PIXELS)
    return np.where(mask, np.maximum(share, 0.5 + NEAREST), np.minimum(share, 0.5 - NEAREST))


def simplified(ring: Polygon) -> Polygon:
    """Douglas-Peucker: the fewest of the vertices whose closed line stays within a twentieth of a pixel of all."""
    if len(ring) <= LEAST_POINTS:
        return ring
    # From two vertices that are far apart, which both stay.
    far = int(np.argmax(np.linalg.norm(ring - ring[0], axis=1)))
    line = np.concatenate([ring, ring[:1]])
    keep = np.zeros(len(line), dtype=bool)
    keep[[0, far, -1]] = True
    parts = [(0, far), (far, len(line) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        away = _distances(line[first : last + 1])
        farthest = int(away.argmax())
        if away[farthest] > TOLERANCE_PIXELS:
            keep[first + farthest] = True
            parts += [(first, first + farthest), (first + farthest, last)]
    kept = line[:-1][keep[:-1]]
    return kept if len(kept) >= LEAST_POINTS else ring


def _distances(points: Polygon) -> NDArray[np.float64]:
    """Distance of each point to the line from the first to the last."""
    along = points[-1] - points[0]
    offset = points - points[0]
    length = float(np.hypot(*along))
    if not length:
        return np.asarray(np.hypot(*offset.T), dtype=np.float64)
    return np.asarray(np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]) / length, dtype=np.float64)


def with_keyholes(outer: Polygon, holes: list[Polygon]) -> Polygon:
    """One ring around an area with holes: to each hole there is a way, from the nearest vertices, and back."""
    ring = outer
    left = list(holes)
    while left:
        ways = [_shortest_way(ring, hole) for hole in left]
        nearest = int(np.argmin([way.length for way in ways]))
        at, start = ways[nearest].start, ways[nearest].stop
        hole = np.roll(left.pop(nearest), -start, axis=0)
        ring = np.concatenate([ring[: at + 1], hole, hole[:1], ring[at:]])
    return ring


class _Way(NamedTuple):
    """From a vertex of one ring to the nearest vertex of another: indices of both, and the distance."""

    length: float
    start: int
    stop: int


def _shortest_way(ring: Polygon, other: Polygon) -> _Way:
    """The shortest way between the vertices of two rings, of equally short ones the first."""
    best = _Way(np.inf, 0, 0)
    at_a_time = max(1, MOST_PAIRS // len(other))
    for first in range(0, len(ring), at_a_time):
        distances = cdist(ring[first : first + at_a_time], other)
        start, stop = divmod(int(distances.argmin()), len(other))
        if distances[start, stop] < best.length:
            best = _Way(float(distances[start, stop]), first + start, stop)
    return best
