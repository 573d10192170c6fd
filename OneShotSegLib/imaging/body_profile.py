"""What a CT shows of the body, level by level along its axis, in a few hundred numbers: by these, scans are compared.

Nothing is learned and no structure is looked for, so that it is the same for every region of the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.intensity import AIR_HU, BODY_HU
from OneShotSegLib.imaging.slice_values import slice_axis
from OneShotSegLib.imaging.volume import Vector, Volume

LEVEL_MM = 5.0
CELL_MM = 4.0
"""Pixels of the levels: a couch is thinner than two of them, and noise is averaged away."""
CHANNELS = ("width", "depth", "area", "air", "fat", "soft tissue", "bone")
"""Width and depth in mm, the area as the square root of mm², and shares of the area."""
HIGHEST_HU = 1500.0
TISSUES_HU = ((AIR_HU, BODY_HU), (BODY_HU, -30.0), (-30.0, 180.0), (180.0, HIGHEST_HU + 1))
LEAST_AREA_MM2 = 1000.0


@dataclass(frozen=True, eq=False)
class BodyProfile:
    """The body in a CT, level by level from the lower end up.

    Attributes:
        levels: A row for each 5 mm from the first to the last with a body, its columns as in `CHANNELS`, shape (N, 7).
        height_mm: Height of the field of view.
    """

    levels: NDArray[np.float32]
    height_mm: float

    @classmethod
    def of(cls, ct: Volume, name: str) -> BodyProfile:
        """The profile of a CT; takes the memory of a few slices more than the CT itself.

        Args:
            ct: In HU, any grid.
            name: Its name, for the message.

        Raises:
            InputError: If there is no body in it.
        """
        array, spacing = _upright(ct)
        cells = np.stack([_coarse(part, spacing) for part in _parts(array, float(spacing[0]))])
        pixel = [max(1, round(CELL_MM / step)) * step for step in spacing[1:].tolist()]
        rows = [_row(values, body, pixel) for values, body in zip(cells, _body(cells), strict=True)]
        there = np.flatnonzero([row is not None for row in rows])
        if not len(there):
            raise InputError(f"{name}: expected a CT of a body, found none in it.")
        levels = np.array([row or (0.0,) * len(CHANNELS) for row in rows], dtype=np.float32)
        return cls(levels[there[0] : there[-1] + 1], height_mm=float(len(array) * spacing[0]))


def _upright(ct: Volume) -> tuple[NDArray[Any], Vector]:
    """The voxels with the axes that run most along z (up), y and x, without a copy, and their spacing."""
    along = slice_axis(ct)
    across = max((axis for axis in range(3) if axis != along), key=lambda axis: float(abs(ct.direction[2, axis])))
    order = [along, 3 - along - across, across]
    array = ct.array.transpose(order)
    return (array if ct.direction[0, along] > 0 else array[::-1]), ct.spacing[order]


def _parts(array: NDArray[Any], spacing: float) -> Iterator[NDArray[np.float32]]:
    """The mean slice of each level."""
    for number in range(max(1, round(len(array) * spacing / LEVEL_MM))):
        first, last = (int(edge * LEVEL_MM / spacing) for edge in (number, number + 1))
        first = min(first, len(array) - 1)
        yield np.mean(array[first : max(first + 1, last)], axis=0, dtype=np.float32)


def _coarse(pixels: NDArray[np.float32], spacing: Vector) -> NDArray[np.float32]:
    """A slice as means over cells, shape (H, W)."""
    clipped = np.clip(pixels, AIR_HU, HIGHEST_HU)
    rows, columns = (
        min(extent, max(1, round(CELL_MM / step)))
        for extent, step in zip(pixels.shape, spacing[1:].tolist(), strict=True)
    )
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    kept = clipped[: height * rows, : width * columns]
    found: NDArray[np.float32] = kept.reshape(height, rows, width, columns).mean(axis=(1, 3))
    return found


def _body(cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest part that is no air, with the air inside it; a couch is left out."""
    tissue = cells > BODY_HU
    # What lies beyond the image counts as tissue here, so that a body that it cuts stays whole.
    thick = ndimage.binary_dilation(ndimage.binary_erosion(tissue, border_value=1), mask=tissue)
    labels, count = ndimage.label(thick)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        thick = labels == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(level) for level in thick])


def _row(values: NDArray[np.float32], body: NDArray[np.bool_], pixel: Sequence[float]) -> tuple[float, ...] | None:
    """The channels of a level; None where there is hardly any body."""
    area = float(np.count_nonzero(body)) * pixel[0] * pixel[1]
    if area < LEAST_AREA_MM2:
        return None
    width, depth = (float(np.count_nonzero(body.any(axis=axis))) * pixel[1 - axis] for axis in (0, 1))
    inside = values[body]
    shares = (float(np.mean((inside >= low) & (inside < high))) for low, high in TISSUES_HU)
    return (width, depth, area**0.5, *shares)
