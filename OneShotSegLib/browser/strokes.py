"""Strokes as the page sends them: a line in a plane of the CT and what it paints; and the voxels that they paint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from OneShotSegLib.browser.between import between_slices
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, box_between
from OneShotSegLib.imaging.labelmaps import MAX_LABEL

MOST_POINTS = 20_000
WIDEST_MM = 200.0
HU_RANGE = (-32768, 32767)
Kind: TypeAlias = Literal["line", "ball", "outline", "between"]
Hounsfield: TypeAlias = Callable[[Box], NDArray[np.int16]]
"""The HU of a part of the CT."""


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """One stroke.

    Attributes:
        value: The label that it paints; 0 erases.
        axis: The array axis at right angles to the plane in which it was painted: 0 axial, 1 coronal, 2 sagittal.
        points: The line, voxel indices [z, y, x], fractions too; one at least, but for ``between``.
        width_mm: Diameter of the brush.
        kind: What is painted. ``line``: what lies within half the brush's width of the line, in its plane. ``ball``:
            the same in all three directions. ``outline``: what the line encloses, in its plane. ``between``: between
            slices across the axis that have the label, those that have none of it.
        within: The least and the greatest HU of what is painted; None paints whatever is there.
    """

    value: int
    axis: int
    points: tuple[tuple[float, float, float], ...]
    width_mm: float
    kind: Kind = "line"
    within: tuple[int, int] | None = None

    @classmethod
    def parse(cls, content: Any) -> Stroke:
        """Read what the page sent.

        Raises:
            InputError: If it is no stroke.
        """
        if not isinstance(content, Mapping):
            raise InputError("Expected a stroke, found other content.")
        value, axis, width, points = _fields(content)
        kind, within = content.get("kind", "line"), content.get("within")
        if not _is_whole(value, 0, MAX_LABEL) or not _is_whole(axis, 0, 2) or not _is_number(width, 0, WIDEST_MM):
            raise InputError("Expected a stroke with a label, a plane and a brush's width, found another.")
        if kind not in get_args(Kind):
            raise InputError(f"Expected a stroke that is one of {', '.join(get_args(Kind))}, found another.")
        if kind == "between":
            points = ()
            if not value:
                raise InputError("Expected a structure to fill between slices, found none.")
        elif not isinstance(points, Sequence) or not 1 <= len(points) <= MOST_POINTS:
            raise InputError(f"Expected a stroke of 1 to {MOST_POINTS} points, found another.")
        if not all(_is_point(point) for point in points):
            raise InputError("Expected the points of a stroke as three numbers each, found others.")
        line = tuple((float(z), float(y), float(x)) for z, y, x in points)
        return cls(value=value, axis=axis, points=line, width_mm=float(width), kind=kind, within=_parsed_range(within))

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)

    def voxels(
        self, shape: tuple[int, int, int], spacing: ArrayLike, hounsfield: Hounsfield | None = None
    ) -> tuple[Box, NDArray[np.bool_]] | None:
        """What its line paints; see `paint` for one that fills between slices.

        Args:
            shape: Of the CT, (D, H, W).
            spacing: In mm, z, y, x.
            hounsfield: The CT; to be given if the stroke has a range.

        Returns:
            A box of the CT and which of its voxels; None if the stroke lies outside, or there is nothing in its range.
        """
        found = self._drawn(shape, np.asarray(spacing, dtype=float))
        return found if found is None else self.in_range(*found, hounsfield)

    def in_range(
        self, box: Box, voxels: NDArray[np.bool_], hounsfield: Hounsfield | None
    ) -> tuple[Box, NDArray[np.bool_]] | None:
        """Those voxels of a box that have HU of its range; None if there are none."""
        if self.within is None or hounsfield is None:
            return box, voxels
        hu = hounsfield(box)
        within = voxels & (hu >= self.within[0]) & (hu <= self.within[1])
        return (box, within) if within.any() else None

    def _drawn(self, shape: tuple[int, int, int], spacing: NDArray[Any]) -> tuple[Box, NDArray[np.bool_]] | None:
        points = np.asarray(self.points)
        if not len(points):
            return None
        across = [axis for axis in range(3) if axis != self.axis]
        size = np.asarray(shape)
        plane = round(float(np.median(points[:, self.axis])))
        steps = spacing[across]
        radius = 0.0 if self.kind == "outline" else max(self.width_mm / 2, 0.5 * float(min(steps)))
        deep = int(radius / spacing[self.axis]) if self.kind == "ball" else 0
        first, last = max(plane - deep, 0), min(plane + deep, shape[self.axis] - 1)
        line = points[:, across]
        low = np.maximum(np.floor(line.min(axis=0) - radius / steps).astype(int), 0)
        high = np.minimum(np.ceil(line.max(axis=0) + radius / steps).astype(int) + 1, size[across])
        if first > last or (low >= high).any():
            return None
        rows, columns = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
        at = np.stack([rows, columns], axis=-1) * steps
        slices = []
        for slice_ in range(first, last + 1):
            away = (slice_ - plane) * spacing[self.axis]
            near = math.sqrt(max(radius**2 - away**2, 0.0))
            slices.append(_inside(at, line * steps) if self.kind == "outline" else _near_line(at, line * steps, near))
        if first <= plane <= last:
            for point in np.rint(line).astype(int):
                if (point >= low).all() and (point < high).all():
                    slices[plane - first][tuple(point - low)] = True
        voxels = np.stack(slices, axis=self.axis)
        if not voxels.any():
            return None
        start, stop = np.zeros(3, int), np.zeros(3, int)
        start[across], stop[across] = low, high
        start[self.axis], stop[self.axis] = first, last + 1
        return box_between(start, stop), voxels


def _inside(at: NDArray[Any], line: NDArray[Any]) -> NDArray[np.bool_]:
    """Which positions a line encloses, whose ends are joined; all in mm. What it winds around twice is inside too."""
    winding = np.zeros(at.shape[:2], dtype=int)
    rows, columns = at[:, 0, 0], at[0, :, 1]
    for start, end in zip(line, np.roll(line, -1, axis=0), strict=True):
        if start[0] == end[0]:
            continue
        low, high = sorted((start[0], end[0]))
        between = np.flatnonzero((rows >= low) & (rows < high))
        crossed = start[1] + (rows[between] - start[0]) / (end[0] - start[0]) * (end[1] - start[1])
        right = columns[None, :] > crossed[:, None]
        winding[between] += right * (1 if end[0] > start[0] else -1)
    inside: NDArray[np.bool_] = winding != 0
    return inside


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


def _parsed_range(within: Any) -> tuple[int, int] | None:
    if within is None:
        return None
    if not isinstance(within, list | tuple) or len(within) != 2 or not all(_is_whole(v, *HU_RANGE) for v in within):
        raise InputError("Expected a range as two whole numbers of HU, found another.")
    if within[0] > within[1]:
        raise InputError("Expected a range whose first number is the smaller one, found another.")
    return within[0], within[1]


def _is_point(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(_is_number(x, -1e5, 1e5) for x in value)


def _is_number(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def touched(
    labels: NDArray[np.uint8], stroke: Stroke, spacing: ArrayLike, hounsfield: Hounsfield | None = None
) -> tuple[Box, NDArray[np.bool_]] | None:
    """What a stroke paints into labels.

    Args:
        labels: Shape (D, H, W).
        stroke: The stroke.
        spacing: In mm, z, y, x.
        hounsfield: The CT; to be given if the stroke has a range.

    Returns:
        A box and which of its voxels; None if there is nothing to paint.
    """
    if stroke.kind != "between":
        return stroke.voxels((labels.shape[0], labels.shape[1], labels.shape[2]), spacing, hounsfield)
    found = between_slices(labels, stroke.value, stroke.axis, spacing)
    return found if found is None else stroke.in_range(*found, hounsfield)


def nothing_painted(stroke: Stroke) -> InputError:
    """Why a stroke paints nothing."""
    if stroke.kind == "between":
        return InputError("Expected empty slices between slices that have the structure, found none in this plane.")
    if stroke.within is not None:
        low, high = stroke.within
        return InputError(f"Expected voxels of {low} to {high} HU under the stroke, found none.")
    return InputError("Expected a stroke within the CT, found one outside.")


def paint(
    labels: NDArray[np.uint8], stroke: Stroke, spacing: ArrayLike, hounsfield: Hounsfield | None = None
) -> Box | None:
    """Paint a stroke into labels, which are changed in place; the part that was touched, None for nothing.

    See `touched`.
    """
    found = touched(labels, stroke, spacing, hounsfield)
    if found is None:
        return None
    box, voxels = found
    labels[box][voxels] = stroke.value
    return box
