"""Outlines of masks and points as compact SVG path data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Path data is in tenths of a pixel, so that whole numbers are fine enough.
UNITS_PER_PIXEL = 10
TOLERANCE_PIXELS = 0.2


def outline_path(share: NDArray[Any]) -> str:
    """The lines along which a share passes one half, as SVG path data in tenths of a pixel.

    Args:
        share: How much of each pixel the mask covers, 0-1, shape (H, W).
    """
    import contourpy

    # An empty margin closes the outline of a mask that reaches the border.
    padded = np.pad(share, 1)
    lines = contourpy.contour_generator(z=padded, line_type=contourpy.LineType.Separate).lines(0.5)
    # From pixel centres of the padded array to pixel corners of the picture.
    return "".join(_path(_simplified(np.asarray(line) - 0.5)) for line in lines)


def dots_path(points: NDArray[Any]) -> str:
    """Points as zero-length strokes (round caps make them dots); one for each pixel that has any.

    Args:
        points: Positions x, y in pixels from the picture's corner, shape (N, 2).
    """
    pixels = np.unique(np.floor(points).astype(int), axis=0)
    units = pixels * UNITS_PER_PIXEL + UNITS_PER_PIXEL // 2
    return "".join(f"M{x} {y}h0" for x, y in units)


def _path(points: NDArray[Any]) -> str:
    units = np.rint(points * UNITS_PER_PIXEL).astype(int)
    steps = np.diff(units, axis=0)
    moved = steps[np.any(steps != 0, axis=1)]
    if not len(moved):
        return ""
    return f"M{units[0, 0]} {units[0, 1]}l" + " ".join(f"{x} {y}" for x, y in moved)


def _simplified(points: NDArray[Any]) -> NDArray[Any]:
    """Douglas-Peucker: the fewest of the points whose line stays within the tolerance of all; shape (N, 2)."""
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    open_parts = [(0, len(points) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        if last - first < 2:
            continue
        away = _distances(points[first : last + 1])
        farthest = int(away.argmax())
        if away[farthest] > TOLERANCE_PIXELS:
            keep[first + farthest] = True
            open_parts += [(first, first + farthest), (first + farthest, last)]
    return points[keep]


def _distances(points: NDArray[Any]) -> NDArray[Any]:
    """Distance of each point to the line from the first to the last (to the point, if they are one)."""
    along = points[-1] - points[0]
    length = float(np.hypot(*along))
    offset = points - points[0]
    if length < 1e-9:
        found: NDArray[Any] = np.hypot(offset[:, 0], offset[:, 1])
        return found
    found = np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]) / length
    return found
