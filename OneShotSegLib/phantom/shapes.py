"""Solid shapes as signed distances in mm: what the anatomy is built from.

Points are arrays (3, ...) of millimetres in z, y, x order; a distance is negative inside. Distances of stretched shapes
are approximate away from the surface, which only softens an edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float32]
Points = NDArray[np.float32]
Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid and the box that encloses it.

    Attributes:
        distance: Signed distance in mm of points (3, ...), shape (...).
        low: Lower corner of the enclosing box in mm (z, y, x).
        high: Upper corner of the enclosing box in mm (z, y, x).
    """

    distance: Callable[[Points], Field]
    low: Vector
    high: Vector


def vector(values: ArrayLike) -> Vector:
    """Three (or n x 3) numbers as float32, which keeps every later operation in float32."""
    return np.asarray(values, dtype=np.float32)


def _centred(points: Points, centre: Vector) -> Points:
    """Points relative to a centre, shape kept."""
    return points - centre.reshape(3, *[1] * (points.ndim - 1))


def ellipsoid(centre: ArrayLike, radii: ArrayLike, squareness: int = 2) -> Shape:
    """An ellipsoid; squareness 4 gives a rounded box of the same radii."""
    middle, half = vector(centre), vector(radii)
    if squareness not in (2, 4):
        raise ValueError(f"Squareness is 2 or 4; got {squareness}.")

    def distance(points: Points) -> Field:
        scaled = _centred(points, middle)
        scaled /= half.reshape(3, *[1] * (points.ndim - 1))
        power = scaled * scaled
        if squareness == 4:
            power *= power
        radius = np.maximum(power.sum(axis=0), 1e-6) ** np.float32(1 / squareness)
        slope = np.zeros_like(radius)
        for axis in range(3):
            part = power[axis] / np.maximum(np.abs(scaled[axis]), 1e-3) / half[axis]
            slope += part * part
        # First-order distance: the level set's value over its gradient, exact at the surface.
        found: Field = (radius - 1) * radius ** (squareness - 1) / np.sqrt(np.maximum(slope, 1e-12))
        return found

    return Shape(distance, middle - half, middle + half)


def tube(path: ArrayLike, radii: float | Sequence[float], stretch: ArrayLike = (1.0, 1.0, 1.0)) -> Shape:
    """A round tube along a polyline (n, 3), its radius linear between the nodes; stretch flattens the section."""
    nodes = vector(path)
    radius = np.broadcast_to(vector(radii), (len(nodes),))
    factor = vector(stretch)

    def distance(points: Points) -> Field:
        scaled = points / factor.reshape(3, *[1] * (points.ndim - 1))
        best: Field | None = None
        for start, end, first, last in zip(
            nodes[:-1] / factor, nodes[1:] / factor, radius[:-1], radius[1:], strict=True
        ):
            one = _segment_distance(scaled, start, end, first, last)
            best = one if best is None else np.minimum(best, one)
        assert best is not None
        return best

    margin = radius[:, None] * factor
    return Shape(distance, (nodes - margin).min(axis=0), (nodes + margin).max(axis=0))


def _segment_distance(points: Points, start: Vector, end: Vector, first: np.float32, last: np.float32) -> Field:
    """Distance to one tapered segment, shape (...)."""
    along = end - start
    offset = _centred(points, start)
    weight = along / np.float32(max(float(along @ along), 1e-6))
    # Written out, as the same product by tensordot takes three times as long on these shapes.
    fraction = weight[0] * offset[0] + weight[1] * offset[1] + weight[2] * offset[2]
    np.clip(fraction, 0, 1, out=fraction)
    for axis in range(3):
        offset[axis] -= along[axis] * fraction
    found: Field = np.sqrt((offset * offset).sum(axis=0)) - (first + (last - first) * fraction)
    return found


def cylinder(centre: ArrayLike, half_height: float, radii: ArrayLike) -> Shape:
    """An upright elliptic cylinder with radii (y, x)."""
    middle, (ry, rx) = vector(centre), vector(radii)

    def distance(points: Points) -> Field:
        z, y, x = _centred(points, middle)
        radius = np.sqrt((y / ry) ** 2 + (x / rx) ** 2 + 1e-6)
        slope = np.sqrt((y / ry**2) ** 2 + (x / rx**2) ** 2 + 1e-6)
        found: Field = np.maximum((radius - 1) * radius / slope, np.abs(z) - np.float32(half_height))
        return found

    half = vector([half_height, ry, rx])
    return Shape(distance, middle - half, middle + half)


def block(centre: ArrayLike, half: ArrayLike, rounding: float = 1.0) -> Shape:
    """A box of half sizes (z, y, x) with rounded edges."""
    middle, size = vector(centre), vector(half)
    core = np.maximum(size - np.float32(rounding), 0)

    def distance(points: Points) -> Field:
        out = np.abs(_centred(points, middle)) - core.reshape(3, *[1] * (points.ndim - 1))
        outside = np.maximum(out, 0)
        found: Field = np.sqrt((outside * outside).sum(axis=0)) + np.minimum(out.max(axis=0), 0) - np.float32(rounding)
        return found

    return Shape(distance, middle - size, middle + size)


def rotation(pitch: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """Rotation of (z, y, x) vectors, in degrees: pitch about x (nod), yaw about z (turn), roll about y (tilt)."""
    p, w, r = np.radians([pitch, yaw, roll])
    nod = np.array([[np.cos(p), np.sin(p), 0], [-np.sin(p), np.cos(p), 0], [0, 0, 1]])
    turn = np.array([[1, 0, 0], [0, np.cos(w), np.sin(w)], [0, -np.sin(w), np.cos(w)]])
    tilt = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    found: NDArray[np.float64] = nod @ turn @ tilt
    return found


def placed(shape: Shape, centre: ArrayLike, pitch: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> Shape:
    """A shape made around the origin, turned and moved to a centre."""
    middle, matrix = vector(centre), vector(rotation(pitch, yaw, roll))

    def distance(points: Points) -> Field:
        local = _centred(points, middle)
        return shape.distance(np.stack([sum(m * c for m, c in zip(row, local, strict=True)) for row in matrix.T]))

    corners = np.array(np.meshgrid(*zip(shape.low, shape.high, strict=True), indexing="ij")).reshape(3, -1)
    turned = vector(matrix @ corners) + middle[:, None]
    return Shape(distance, turned.min(axis=1), turned.max(axis=1))


def union(*shapes: Shape, smooth_mm: float = 0.0) -> Shape:
    """All of the shapes together; a smooth union fills the crease where they meet, about ``smooth_mm`` wide."""

    def distance(points: Points) -> Field:
        best = shapes[0].distance(points)
        for shape in shapes[1:]:
            other = shape.distance(points)
            if smooth_mm > 0:
                near = np.maximum(np.float32(smooth_mm) - np.abs(best - other), 0)
                best = np.minimum(best, other) - near * near * np.float32(0.25 / smooth_mm)
            else:
                best = np.minimum(best, other)
        return best

    low = np.min([shape.low for shape in shapes], axis=0) - np.float32(smooth_mm / 2)
    high = np.max([shape.high for shape in shapes], axis=0) + np.float32(smooth_mm / 2)
    return Shape(distance, low, high)


def intersection(first: Shape, second: Shape) -> Shape:
    """What lies in both shapes."""
    return Shape(
        lambda points: np.maximum(first.distance(points), second.distance(points)),
        np.maximum(first.low, second.low),
        np.minimum(first.high, second.high),
    )


def without(first: Shape, second: Shape) -> Shape:
    """What lies in the first shape but not in the second."""
    return Shape(
        lambda points: np.maximum(first.distance(points), -second.distance(points)),
        first.low,
        first.high,
    )


def inset(shape: Shape, depth_mm: float) -> Shape:
    """The shape with a layer of ``depth_mm`` taken off all around (negative: put on)."""
    depth = np.float32(depth_mm)
    return Shape(lambda points: shape.distance(points) + depth, shape.low + depth, shape.high - depth)
