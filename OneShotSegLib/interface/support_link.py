"""Which place in a support corresponds to a place in a query: an affine map between the structures of their two masks.

A run keeps on disk where reviewed cases lie in a query, but not where its scribbled supports do; what the masks of both
show is there for every case, whatever made it. So the map is a coarse one: good to a few millimetres at the structures,
and a guess far from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import name_key, read_label_map
from OneShotSegLib.imaging.volume import Vector, Volume
from OneShotSegLib.interface.snapshots import CroppedLabels

Landmarks = Mapping[str, NDArray[np.float64]]
"""Structure to positions, LPS mm [z, y, x], shape (1 or 4, 3): its middle, then those of its lower, middle and upper
third, where it is not cut off by the field of view."""

THIRDS = 3
FEWEST_SLICES = 2 * THIRDS
RIDGE_MM = 10.0
RESIDUAL_MM = 10.0
ROUNDS = 10
LEAST_SCALE, MOST_SCALE = 0.6, 1.7
"""Of two bodies; a fit beyond that follows structures that were found in the wrong place."""


def landmarks_of(at: NDArray[np.intp], cropped: CroppedLabels) -> NDArray[np.float64]:
    """The landmarks of one structure.

    Args:
        at: Indices of its voxels in the cropped array, or of an even part of them, shape (N, 3); one or more.
        cropped: The label map that they are of.
    """
    grid = cropped.label_map.volume
    places = at + np.asarray(cropped.start)
    low, high = int(places[:, 0].min()), int(places[:, 0].max())
    middle = places.mean(axis=0)
    is_cut = low == 0 or high == grid.shape[0] - 1
    if is_cut or high - low + 1 < FEWEST_SLICES:
        return np.asarray(grid.to_world(middle[None]))
    third = np.minimum((places[:, 0] - low) * THIRDS // (high - low + 1), THIRDS - 1)
    parts = [places[third == number].mean(axis=0) if (third == number).any() else middle for number in range(THIRDS)]
    return np.asarray(grid.to_world(np.array([middle, *parts])))


@dataclass(frozen=True, eq=False)
class SupportLink:
    """An affine map: query -> (query - query_centre) @ linear + support_centre; all in LPS mm [z, y, x].

    Attributes:
        linear: Shape (3, 3), applied to row vectors.
        query_centre: Shape (3,).
        support_centre: Where it lies in the support, shape (3,).
        pairs: Structure to its middles in the query and in the support, for those that both have.
    """

    linear: NDArray[np.float64]
    query_centre: Vector
    support_centre: Vector
    pairs: Mapping[str, tuple[Vector, Vector]]

    @classmethod
    def between(cls, query: Landmarks, support: Landmarks) -> SupportLink | None:
        """The map between two masks; None if they have no structure in common."""
        own = {name_key(name): places for name, places in support.items()}
        common = [(name, places, own[name_key(name)]) for name, places in query.items() if name_key(name) in own]
        if not common:
            return None
        pairs = {name_key(name): (one[0], other[0]) for name, one, other in common}
        # A structure that is cut off in one of the two has only its middle; each structure counts once.
        parts = [
            (one[1:], other[1:]) if len(one) == len(other) > 1 else (one[:1], other[:1]) for _n, one, other in common
        ]
        source, target = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
        weights = np.concatenate([np.full(len(part[0]), 1 / len(part[0])) for part in parts])
        return cls(*_fitted(source, target, weights), pairs)

    def through(self, structure: str) -> SupportLink:
        """The same map, moved so that a structure's middles lie on each other; unmoved if not both have it."""
        pair = self.pairs.get(name_key(structure))
        return self if pair is None else SupportLink(self.linear, *pair, self.pairs)

    def to_support(self, position: Vector) -> Vector:
        """A position in the query to the one in the support, LPS mm [z, y, x]."""
        return np.asarray((position - self.query_centre) @ self.linear + self.support_centre)

    def to_query(self, position: Vector) -> Vector:
        """The way back."""
        return np.asarray((position - self.support_centre) @ np.linalg.inv(self.linear) + self.query_centre)


def _fitted(
    source: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Vector, Vector]:
    """A robust affine fit with a ridge towards no change of shape, so that few points are enough.

    SciPy, which the method's own fit needs, would hold up Slicer's main thread when it is first loaded.
    """
    robust = np.ones(len(source))
    for _round in range(ROUNDS):
        share = weights * robust / (weights * robust).sum()
        centre, goal = share @ source, share @ target
        x, y = source - centre, target - goal
        ridge = RIDGE_MM**2 * np.eye(3)
        linear = np.linalg.solve(x.T @ (x * share[:, None]) + ridge, x.T @ (y * share[:, None]) + ridge)
        residual = np.linalg.norm(x @ linear - y, axis=1)
        robust = 1 / (1 + (residual / RESIDUAL_MM) ** 2) ** 2
    scales = np.linalg.svd(linear, compute_uv=False)
    if scales.min() < LEAST_SCALE or scales.max() > MOST_SCALE:
        linear = np.eye(3)
    return linear, centre, goal


@dataclass(frozen=True, eq=False)
class SupportContent:
    """A support as it is shown beside a query.

    Attributes:
        ct: Its CT; None if it is in the scene already.
        labels: Its mask, or its strokes where it has no mask.
        landmarks: Where its structures lie.
    """

    ct: Volume | None
    labels: CroppedLabels
    landmarks: Landmarks


def read_support(ct: Path | None, mask: Path) -> SupportContent:
    """Read a support.

    Args:
        ct: Its CT; None to leave it out.
        mask: Its mask or strokes.

    Raises:
        InputError: If a file is missing or broken.
    """
    labels = CroppedLabels.of(read_label_map(mask))
    found = {}
    for segment in labels.label_map.segments:
        at = np.argwhere(labels.array == segment.value)
        if len(at) and not segment.is_background_stroke:
            found[segment.name] = landmarks_of(at, labels)
    return SupportContent(None if ct is None else read_volume(ct), labels, found)
