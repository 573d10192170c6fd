"""The support's scribbles as labelled points in the patient (Lei et al., section III)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_grids import onto_grid
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.imaging.labels import present_labels
from OneShotSegLib.imaging.volume import Vector, Volume

log = logging.getLogger(__name__)

LEVEL_MM = 0.1


@dataclass(frozen=True, eq=False)
class ScribblePoints:
    """N labelled points.

    Attributes:
        positions: LPS mm [z, y, x], shape (N, 3).
        labels: Label values, shape (N,).
    """

    positions: Vector
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, value: int) -> Vector:
        """The positions of one label, shape (n, 3)."""
        found: Vector = self.positions[self.labels == value]
        return found

    def select(self, which: NDArray[Any]) -> ScribblePoints:
        """A part of the points, by mask or indices."""
        return ScribblePoints(self.positions[which], self.labels[which])

    def moved(self, positions: Vector) -> ScribblePoints:
        """The same labels at other positions."""
        return ScribblePoints(positions, self.labels)


def on_support(scribbles: LabelMap, support: Volume) -> LabelMap:
    """Scribbles on the support's own grid, where it shows that they were painted on it (`onto_grid`).

    What was done beyond a new order of the voxels is logged as a warning.

    Args:
        scribbles: Scribbles, perhaps cropped, with other axes, finer, or a trifle beside the support's voxels.
        support: The CT.

    Raises:
        InputError: If they do not fit.
    """
    found = onto_grid(scribbles.volume, support, strokes=True)
    if found is None:
        check_grid(scribbles.volume, support)
    elif found.note:
        log.warning("The scribbles' grid is not that of their CT: %s.", found.note)
    return scribbles if found is None else scribbles.with_volume(found.labels)


def check_grid(scribbles: Volume, support: Volume) -> None:
    """Refuse scribbles that were painted on another image than the support.

    Raises:
        InputError: If the grids differ.
    """
    if not scribbles.same_grid(support):
        raise InputError(
            f"Expected scribbles on the support's grid ({support.describe_grid()}), found {scribbles.describe_grid()}."
        )


def points_of(labels: Volume) -> ScribblePoints:
    """The centres of all painted voxels of a label map (D, H, W)."""
    index = np.argwhere(labels.array > 0)
    values = labels.array[tuple(index.T)].astype(np.uint8)
    return ScribblePoints(labels.to_world(index), values)


def levels_of(positions: Vector) -> Iterator[tuple[float, Vector]]:
    """Points grouped by the slice on which they lie, from the lowest slice upwards.

    On an oblique grid each point has a height of its own: there a group is what lies within a tenth of a mm, so that
    the number of groups follows from the length of the scan and not from the number of points.

    Args:
        positions: Shape (N, 3), mm.

    Yields:
        Height of a group's lowest point, mm, and the group, shape (n, 3).
    """
    steps = np.rint(positions[:, 0] / LEVEL_MM).astype(np.int64)
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(steps[order])) + 1
    for group in np.split(positions[order], starts) if len(order) else ():
        yield float(group[:, 0].min()), group


def thin(points: ScribblePoints, most_per_label: int) -> NDArray[np.intp]:
    """Indices of at most so many points of each label, spread evenly by farthest-point sampling; ascending.

    Neighbouring scribble voxels have nearly the same patch: a few dozen well-spread ones suffice for the fit.
    """
    chosen: list[int] = []
    for value in present_labels(points.labels):
        members = np.flatnonzero(points.labels == value)
        chosen += members[farthest_points(points.positions[members], most_per_label)].tolist()
    return np.sort(np.asarray(chosen, dtype=np.intp))


def farthest_points(positions: Vector, count: int) -> NDArray[np.intp]:
    """Indices of ``count`` points of (N, 3), each the farthest from those before it, from the centre outwards."""
    if len(positions) <= count:
        return np.arange(len(positions))
    first = int(np.argmin(np.linalg.norm(positions - positions.mean(axis=0), axis=1)))
    chosen = [first]
    distance = np.linalg.norm(positions - positions[first], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(positions - positions[chosen[-1]], axis=1))
    return np.asarray(chosen, dtype=np.intp)
