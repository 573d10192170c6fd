"""Strokes as the page sends them: a line in a plane of the CT and a brush's width; and the voxels that they paint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, box_between
from OneShotSegLib.imaging.labelmaps import MAX_LABEL

MOST_POINTS = 20_000
WIDEST_MM = 200.0


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """One stroke.

    Attributes:
        value: The label that it paints; 0 erases.
        axis: The array axis at right angles to the plane in which it was painted: 0 axial, 1 coronal, 2 sagittal.
        points: The line, voxel indices [z, y, x], fractions too; one at least.
        width_mm: Diameter of the brush.
    """

    value: int
    axis: int
    points: tuple[tuple[float, float, float], ...]
    width_mm: float

    @classmethod
    def parse(cls, content: Any) -> Stroke:
        """Read what the page sent.

        Raises:
            InputError: If it is no stroke.
        """
        if not isinstance(content, Mapping):
            raise InputError("Expected a stroke, found other content.")
        value, axis, width, points = _fields(content)
        if not _is_whole(value, 0, MAX_LABEL) or not _is_whole(axis, 0, 2) or not _is_number(width, 0, WIDEST_MM):
            raise InputError("Expected a stroke with a label, a plane and a brush's width, found another.")
        if not isinstance(points, Sequence) or not 1 <= len(points) <= MOST_POINTS:
            raise InputError(f"Expected a stroke of 1 to {MOST_POINTS} points, found another.")
        if not all(_is_point(point) for point in points):
            raise InputError("Expected the points of a stroke as three numbers each, found others.")
        line = tuple((float(z), float(y), float(x)) for z, y, x in points)
        return cls(value=value, axis=axis, points=line, width_mm=float(width))

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    def voxels(self, shape: tuple[int, int, int], spacing: ArrayLike) -> tuple[Box, NDArray[np.bool_]] | None:
        """What it paints: the voxels of one plane within half the brush's width of the line, the line's own at least.

        Args:
            shape: Of the CT, (D, H, W).
            spacing: In mm, z, y, x.

        Returns:
            A box of the CT and which of its voxels; None if the stroke lies outside.
        """
        points = np.asarray(self.points)
        across = [axis for axis in range(3) if axis != self.axis]
        size = np.asarray(shape)
        plane = round(float(np.median(points[:, self.axis])))
        if not 0 <= plane < shape[self.axis]:
            return None
        steps = np.asarray(spacing, dtype=float)[across]
        radius = max(self.width_mm / 2, 0.5 * float(min(steps)))
        line = points[:, across]
        low = np.maximum(np.floor(line.min(axis=0) - radius / steps).astype(int), 0)
        high = np.minimum(np.ceil(line.max(axis=0) + radius / steps).astype(int) + 1, size[across])
        if (low >= high).any():
            return None
        rows, columns = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
        at = np.stack([rows, columns], axis=-1) * steps
        near = _near_line(at, line * steps, radius)
        for point in np.rint(line).astype(int):
            if (point >= low).all() and (point < high).all():
                near[tuple(point - low)] = True
        if not near.any():
            return None
        start, stop = np.zeros(3, int), np.zeros(3, int)
        start[across], stop[across] = low, high
        start[self.axis], stop[self.axis] = plane, plane + 1
        return box_between(start, stop), np.expand_dims(near, self.axis)


def _near_line(at: NDArray[Any], line: NDArray[Any], radius: float) -> NDArray[np.bool_]:
    """Which positions lie within a radius of a line of several points; all in mm."""
    near = np.zeros(at.shape[:2], dtype=bool)
    ends = line[1:] if len(line) > 1 else line
    for start, end in zip(line, ends, strict=False):
        # Only the part of the plane that this piece can reach.
        low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
        rows = (at[:, 0, 0] >= low[0]) & (at[:, 0, 0] <= high[0])
        columns = (at[0, :, 1] >= low[1]) & (at[0, :, 1] <= high[1])
        if not rows.any() or not columns.any():
            continue
        part = np.ix_(rows, columns)
        along, offset = end - start, at[part] - start
        length = float(along @ along)
        share = np.clip(offset @ along / length, 0, 1) if length else np.zeros(offset.shape[:2])
        distance = offset - share[..., None] * along
        near[part] |= (distance**2).sum(axis=-1) <= radius**2
    return near


def _fields(content: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    return content.get("value"), content.get("axis"), content.get("width_mm"), content.get("points")


def _is_point(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(_is_number(x, -1e5, 1e5) for x in value)


def _is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def paint(labels: NDArray[np.uint8], stroke: Stroke, spacing: ArrayLike) -> Box | None:
    """Paint a stroke into labels of shape (D, H, W); the part that was touched, None if it lies outside."""
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    found = stroke.voxels(shape, spacing)
    if found is None:
        return None
    box, voxels = found
    labels[box][voxels] = stroke.value
    return box
