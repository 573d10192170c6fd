"""Label maps that other programs cropped, turned or refined, brought back onto the grid of the image they belong to."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import corners, whole_box
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.imaging.labels import paint_points
from OneShotSegLib.imaging.volume import GEOMETRY_TOLERANCE_MM, Vector, Volume

log = logging.getLogger(__name__)

MOST_OFF_LATTICE = 0.1
"""Voxels by which a label map's voxels may lie beside the image's own, to be taken for these."""
MOST_OFF = 0.5
"""The same for a label map of the image's own size, and for what may stand out of the image."""
FACTOR_TOLERANCE = 0.02
TIE = 1e-6


class OnGrid(NamedTuple):
    """A label map on an image's grid.

    Attributes:
        labels: The labels, shape of the image.
        note: What was done to them beyond a new order of the voxels, as the end of a sentence; '' for nothing.
    """

    labels: Volume
    note: str = ""


class _Axes(NamedTuple):
    """How the voxels of a label map lie in an image whose axes are the same ones, in any order and either way.

    Attributes:
        order: For each axis of the image the axis of the label map that runs along it, shape (3,).
        step: Voxels of the image per voxel of the label map along each axis of the image, negative where the label map
            runs the other way, shape (3,).
        first: Where in the image the label map's first voxel lies, in voxels, shape (3,).
        voxels: Voxels of the label map along each axis of the image, shape (3,).
    """

    order: NDArray[np.intp]
    step: Vector
    first: Vector
    voxels: NDArray[np.intp]

    @property
    def edges(self) -> tuple[Vector, Vector]:
        """The outer edges of the label map in voxels of the image: low and high, each of shape (3,)."""
        ends = np.stack([self.first - self.step / 2, self.first + (self.voxels - 0.5) * self.step])
        return ends.min(axis=0), ends.max(axis=0)


def onto_grid(labels: Volume, grid: Volume, strokes: bool = False) -> OnGrid | None:
    """A label map on the grid of an image, where it shows that it was made on that image.

    - Voxels at the image's own positions, to a tenth of a voxel, are taken as they are, whatever part of the image the
      label map holds and in whatever order and direction its axes run. One of the image's own size may be half a voxel
      off.
    - Voxels that are finer by a whole factor, or those of a map that covers all the image, are resampled.

    Args:
        labels: The label map.
        grid: The image; its voxels are not used.
        strokes: Let each painted voxel paint the voxel of the image in which it lies, so that no thin stroke is lost.
            Otherwise a voxel gets the label with the greatest share of it.

    Returns:
        None if the label map does not fit: other axes or voxels, or a part of it lies outside the image.
    """
    if labels.same_grid(grid):
        return OnGrid(labels)
    axes = _axes(labels, grid)
    if axes is None or not _is_within(axes, grid):
        return None
    whole_steps = np.abs(np.abs(axes.step) - 1) * axes.voxels <= MOST_OFF_LATTICE
    if whole_steps.all():
        return _reordered(labels, grid, axes)
    factors = 1 / np.abs(axes.step)
    is_whole = (np.abs(factors - np.rint(factors)) <= FACTOR_TOLERANCE) & (factors > 1 - FACTOR_TOLERANCE)
    if not is_whole.all() and not _covers(axes, grid, finer=strokes):
        return None
    found = _painted(labels, grid) if strokes else resample_labels(labels, grid)
    size = " x ".join(f"{step:.4g}" for step in labels.spacing[::-1])
    return OnGrid(found, f"its voxels of {size} mm were resampled onto those of the CT")


def _axes(labels: Volume, grid: Volume) -> _Axes | None:
    """How the label map lies in the image; None if their axes are not the same ones."""
    start = grid.to_index(labels.origin)
    matrix = np.linalg.inv(grid.direction) @ labels.direction * labels.spacing / grid.spacing[:, None]
    order = np.abs(np.linalg.inv(grid.direction) @ labels.direction).argmax(axis=1)
    if sorted(order) != [0, 1, 2]:
        return None
    step = matrix[np.arange(3), order]
    exact = np.zeros((3, 3))
    exact[np.arange(3), order] = step
    turned = corners(whole_box(labels.shape)) @ (matrix - exact).T
    if np.abs(turned).max() > MOST_OFF_LATTICE:
        return None
    return _Axes(order, step, start, np.asarray(labels.shape)[order])


def _is_within(axes: _Axes, grid: Volume) -> bool:
    low, high = axes.edges
    return bool((low > -0.5 - MOST_OFF - TIE).all() and (high < np.asarray(grid.shape) - 0.5 + MOST_OFF + TIE).all())


def _covers(axes: _Axes, grid: Volume, finer: bool) -> bool:
    """Whether the label map covers the whole image to half a voxel; with voxels that are no coarser, if asked."""
    low, high = axes.edges
    reaches = (low < -0.5 + MOST_OFF).all() and (high > np.asarray(grid.shape) - 0.5 - MOST_OFF).all()
    return bool(reaches and (not finer or (np.abs(axes.step) < 1 + FACTOR_TOLERANCE).all()))


def _reordered(labels: Volume, grid: Volume, axes: _Axes) -> OnGrid | None:
    """The labels put into the image's voxels as they are; None if they lie too far beside them."""
    backwards = axes.step < 0
    ends = np.stack([axes.first, axes.first + (axes.voxels - 1) * axes.step])
    low = np.rint(ends.mean(axis=0) - (axes.voxels - 1) / 2).astype(int)
    high = low + axes.voxels
    off = max(np.abs(ends.min(axis=0) - low).max(), np.abs(ends.max(axis=0) - (high - 1)).max())
    same_size = bool((axes.voxels == grid.shape).all())
    if off > (MOST_OFF if same_size else MOST_OFF_LATTICE) or (low < 0).any() or (high > grid.shape).any():
        return None
    array: NDArray[Any] = labels.array.transpose(axes.order)
    array = array[tuple(slice(None, None, -1 if back else 1) for back in backwards)]
    found = np.zeros(grid.shape, dtype=labels.array.dtype)
    found[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = array
    distance = max(_distance_mm(ends.min(axis=0) - low, grid), _distance_mm(ends.max(axis=0) - (high - 1), grid))
    note = f"it lies {distance:.2g} mm beside the CT's voxels and was taken for these"
    return OnGrid(grid.with_array(found), note if distance > GEOMETRY_TOLERANCE_MM else "")


def _distance_mm(off: Vector, grid: Volume) -> float:
    return float(np.linalg.norm(off * grid.spacing))


def _painted(labels: Volume, grid: Volume) -> Volume:
    """Each painted voxel in the voxel of the image that holds its centre; of several labels the most frequent."""
    index = np.argwhere(labels.array > 0)
    # Centres on the border of two voxels all go to the same side.
    inner = labels.to_world(index) - TIE * grid.direction @ grid.spacing
    values = labels.array[tuple(index.T)]
    return grid.with_array(paint_points(grid, inner, values).astype(labels.array.dtype))


def mask_on_ct(path: Path, ct: Volume) -> LabelMap:
    """Read a whole mask of a CT, such as a correction, onto the CT's own grid; see `onto_grid`.

    What was done beyond a new order of the voxels is logged as a warning.

    Raises:
        InputError: If it cannot be read, or does not fit the CT.
    """
    return map_on_ct(read_label_map(path), ct, path)


def map_on_ct(labels: LabelMap, ct: Volume, source: Path) -> LabelMap:
    """A whole mask of a CT on the CT's own grid; see `mask_on_ct`.

    Args:
        labels: The mask as it was read.
        ct: The CT.
        source: Where it was read, for messages.
    """
    found = onto_grid(labels.volume, ct)
    if found is None:
        raise InputError(
            f"{source}: expected a mask on the grid of its CT ({ct.describe_grid()}), found another grid "
            f"({labels.volume.describe_grid()})."
        )
    if found.note:
        log.warning("%s: %s.", source, found.note)
    return labels.with_volume(found.labels)
