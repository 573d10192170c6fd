"""The support's scribbles as labelled points in the patient (Lei et al., section III)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.resampling import present_labels
from OneShotSegLib.imaging.volume import Vector, Volume


@dataclass(frozen=True, eq=False)
class ScribblePoints:
    """Labelled points.

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
        return self.positions[self.labels == value]

    def select(self, which: NDArray) -> ScribblePoints:
        """A part of the points, by mask or indices."""
        return ScribblePoints(self.positions[which], self.labels[which])

    def moved(self, positions: Vector) -> ScribblePoints:
        """The same labels at other positions."""
        return ScribblePoints(positions, self.labels)


@dataclass(frozen=True)
class Structures:
    """What the label values mean.

    Attributes:
        foreground: The structures to segment.
        background: The background stroke.
    """

    foreground: tuple[Segment, ...]
    background: Segment

    @property
    def values(self) -> list[int]:
        """Label values of the structures."""
        return [segment.value for segment in self.foreground]


def structures_of(scribbles: LabelMap) -> Structures:
    """Split the segments into structures and background stroke, and check that all of them were painted.

    Raises:
        InputError: If there is no background stroke, no structure, or a segment without a stroke.
    """
    painted = set(present_labels(scribbles.volume.array))
    background = [segment for segment in scribbles.segments if segment.is_background_stroke]
    if len(background) != 1 or background[0].value not in painted:
        named = ", ".join(f"{s.value} {s.name}" for s in scribbles.segments) or "none"
        raise InputError(
            "The scribbles need one painted background stroke: a segment named 'Background' or the value given by "
            f"--background-label; found the segments: {named}."
        )
    foreground = tuple(s for s in scribbles.segments if not s.is_background_stroke)
    if not foreground:
        raise InputError("The scribbles need a stroke on at least one structure; found the background stroke alone.")
    missing = [segment.name for segment in foreground if segment.value not in painted]
    if missing:
        raise InputError(f"Every structure needs a stroke; found none for: {', '.join(missing)}.")
    return Structures(foreground, background[0])


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
    """The centres of all painted voxels."""
    index = np.argwhere(labels.array > 0)
    values = labels.array[tuple(index.T)].astype(np.uint8)
    return ScribblePoints(labels.to_world(index), values)


def thin(points: ScribblePoints, most_per_label: int) -> NDArray[np.intp]:
    """Indices of at most so many points of each label, spread evenly by farthest-point sampling; ascending.

    Neighbouring scribble voxels see nearly the same patch: a few dozen well-spread ones carry the fit.
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
